//! Values of RESP3, and commands as they are sent.

use alloc::vec::Vec;
use core::fmt::{self, Debug};

/// One value that a server has sent. Text is kept as the bytes that came: it need not be UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub enum RespValue {
    /// Nothing: `_`.
    Null,
    /// A short text, which an acknowledgement is: `+OK`.
    Simple(Vec<u8>),
    /// An error, whose first word is its code: `-FENCED …`.
    Error(Vec<u8>),
    /// A number: `:7`.
    Integer(i64),
    /// A number with a fraction, as the text that came, which reads as a number: `,1.5`.
    Double(Vec<u8>),
    /// True or false: `#t`.
    Boolean(bool),
    /// Bytes of any kind: `$3`.
    Bulk(Vec<u8>),
    /// Bytes after the three letters of their format: `=7`, then `txt:` and the text.
    Verbatim(Vec<u8>),
    /// Values in an order: `*2`.
    Array(Vec<RespValue>),
    /// Pairs in the order in which they came: `%1`.
    Map(Vec<(RespValue, RespValue)>),
    /// Values whose order means nothing, as they came: `~2`.
    Set(Vec<RespValue>),
    /// A value that no command asked for, such as a message of a channel: `>3`. It is never a part of another value.
    Push(Vec<RespValue>),
}

impl Debug for RespValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            |f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]| write!(f, "{name}\"{}\"", bytes.escape_ascii());
        match self {
            Self::Null => write!(f, "null"),
            Self::Simple(bytes) => text(f, "+", bytes),
            Self::Error(bytes) => text(f, "-", bytes),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Double(bytes) => write!(f, ",{}", bytes.escape_ascii()),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Bulk(bytes) => text(f, "", bytes),
            Self::Verbatim(bytes) => text(f, "=", bytes),
            Self::Array(values) => values.fmt(f),
            Self::Map(pairs) => f.debug_map().entries(pairs.iter().map(|(key, value)| (key, value))).finish(),
            Self::Set(values) => f.debug_set().entries(values).finish(),
            Self::Push(values) => write!(f, "> {values:?}"),
        }
    }
}

/// Appends a command: its name and its arguments, each of which may be any bytes.
pub fn encode_command(parts: &[impl AsRef<[u8]>], out: &mut Vec<u8>) {
    header(b'*', parts.len(), out);
    for part in parts {
        let part = part.as_ref();
        header(b'$', part.len(), out);
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

fn header(kind: u8, number: usize, out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec;

    #[test]
    fn a_command_is_an_array_of_bulk_strings() {
        let mut out = b"+before\r\n".to_vec();
        encode_command(&[&b"SET"[..], b"a key", b"\r\n\0\xFF", b""], &mut out);
        assert_eq!(out, b"+before\r\n*4\r\n$3\r\nSET\r\n$5\r\na key\r\n$4\r\n\r\n\0\xFF\r\n$0\r\n\r\n");
    }

    #[test]
    fn a_value_is_shown_on_one_line_without_its_raw_bytes() {
        let value = RespValue::Push(vec![
            RespValue::Bulk(b"a\r\n\xFF".to_vec()),
            RespValue::Map(vec![(RespValue::Simple(b"k".to_vec()), RespValue::Null)]),
            RespValue::Double(b"1.5".to_vec()),
        ]);
        assert_eq!(format!("{value:?}"), r#"> ["a\r\n\xff", {+"k": null}, ,1.5]"#);
    }
}
