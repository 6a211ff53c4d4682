//! The decoder of what a Redis server sends, fed with bytes as they come.

use super::value::RespValue;
use alloc::vec::Vec;
use core::fmt;
use core::mem::take;

/// Bounds of one value. A value beyond them is an error as soon as its size is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RespLimits {
    /// The most bytes of a value as it is sent, with all that is nested in it.
    pub bytes: usize,
    /// The most arrays, maps and sets around a value.
    pub depth: usize,
}

/// Bytes that are no value of RESP3, or one beyond the limits. Nothing behind it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RespError {
    /// A value begins with none of the bytes that are known. Attributes, big numbers and bulk errors are not: no command that
    /// Parlor sends is answered with one.
    UnknownType(u8),
    /// A line ends otherwise than with CR and LF, or bulk bytes do.
    LineEnd,
    /// A number, a length or a boolean that is none. A length of -1 is how RESP2 says null.
    Malformed {
        /// The byte that the value begins with.
        kind: u8,
    },
    /// A value has more bytes than [`RespLimits::bytes`], or names a length that comes to more.
    TooLarge {
        /// The most bytes of a value.
        limit: usize,
    },
    /// A value is inside of more others than [`RespLimits::depth`].
    TooDeep {
        /// The most values around a value.
        limit: usize,
    },
    /// A push is inside of another value.
    NestedPush,
}

impl fmt::Display for RespError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(byte) => {
                let byte = byte.escape_ascii();
                write!(f, "a reply begins with '{byte}', where RESP3 has one of _ + - : , # $ = * % ~ >")
            }
            Self::LineEnd => write!(f, "a line of a reply does not end with CR LF"),
            Self::Malformed { kind } => {
                write!(f, "a reply of kind '{}' has no valid number or length", kind.escape_ascii())
            }
            Self::TooLarge { limit } => write!(f, "a reply is larger than {limit} bytes"),
            Self::TooDeep { limit } => write!(f, "a reply is nested deeper than {limit}"),
            Self::NestedPush => write!(f, "a push is inside of a reply"),
        }
    }
}

impl core::error::Error for RespError {}

/// Turns bytes into values. It keeps what has come of a value that is not whole: never more bytes than were fed, and no
/// memory for a length that was only named.
#[derive(Clone, Debug)]
pub struct RespDecoder {
    limits: RespLimits,
    buffer: Vec<u8>,
    /// Where in the buffer the next line begins, or the bytes of a bulk string.
    at: usize,
    /// Where the search for the end of that line goes on.
    searched: usize,
    /// The bulk string whose length was read: its kind and length.
    bulk: Option<(u8, usize)>,
    /// Arrays, maps, sets and pushes that lack values, the innermost last.
    open: Vec<OpenValue>,
    /// Bytes of the value that is being read, up to `at`.
    spent: usize,
    broken: Option<RespError>,
}

/// A value that is made of others, as far as they have come.
#[derive(Clone, Debug)]
struct OpenValue {
    kind: u8,
    missing: usize,
    values: Vec<RespValue>,
}

/// The fewest bytes of a value: `_\r\n`.
const LEAST: usize = 3;

impl RespDecoder {
    /// Creates a decoder with nothing in it.
    #[must_use]
    pub fn new(limits: RespLimits) -> Self {
        let (buffer, open) = (Vec::new(), Vec::new());
        Self { limits, buffer, at: 0, searched: 0, bulk: None, open, spent: 0, broken: None }
    }

    /// Takes bytes in. Take the values out before the next ones come in, so that no more waits here than a part of one.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.buffer.drain(..take(&mut self.at));
            self.searched = 0;
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Returns the bytes that have come and are no part of a value yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.at
    }

    /// Returns the next value, or None until more bytes have come.
    ///
    /// # Errors
    /// If the bytes are no RESP3 or the value is beyond the limits; and then for ever.
    pub fn next_value(&mut self) -> Result<Option<RespValue>, RespError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        self.read_on().inspect_err(|error| {
            self.broken = Some(*error);
            self.buffer = Vec::new();
            self.open = Vec::new();
            (self.at, self.searched) = (0, 0);
        })
    }

    fn read_on(&mut self) -> Result<Option<RespValue>, RespError> {
        loop {
            let value = match self.bulk {
                Some((kind, length)) => match self.bulk_bytes(kind, length)? {
                    Some(value) => value,
                    None => return Ok(None),
                },
                None => match self.line()? {
                    Some((from, to)) => match self.value_of(from, to)? {
                        Some(value) => value,
                        None => continue,
                    },
                    None => return Ok(None),
                },
            };
            if let Some(whole) = self.put(value) {
                self.spent = 0;
                return Ok(Some(whole));
            }
        }
    }

    /// Takes the next line out of the buffer, if it is there to its end, and returns where it is, without CR and LF.
    fn line(&mut self) -> Result<Option<(usize, usize)>, RespError> {
        let from = self.at;
        let begin = self.searched.max(from);
        let Some(end) = memchr::memchr2(b'\r', b'\n', &self.buffer[begin..]).map(|found| begin + found) else {
            self.searched = self.buffer.len();
            return self.within(self.buffer.len() - from).map(|()| None);
        };
        self.searched = end;
        self.within(end - from)?;
        match self.buffer.get(end..) {
            Some([b'\r', b'\n', ..]) => {}
            Some([b'\r']) => return Ok(None),
            _ => return Err(RespError::LineEnd),
        }
        self.consume(end + 2 - from)?;
        Ok(Some((from, end)))
    }

    /// Returns the value that a line says whole; None if it begins one, which is kept as begun.
    fn value_of(&mut self, from: usize, to: usize) -> Result<Option<RespValue>, RespError> {
        let line = &self.buffer[from..to];
        let Some((&kind, text)) = line.split_first() else { return Err(RespError::UnknownType(b'\r')) };
        let malformed = RespError::Malformed { kind };
        Ok(Some(match kind {
            b'_' if text.is_empty() => RespValue::Null,
            b'+' => RespValue::Simple(text.to_vec()),
            b'-' => RespValue::Error(text.to_vec()),
            b':' => RespValue::Integer(number(text).ok_or(malformed)?),
            b',' if is_double(text) => RespValue::Double(text.to_vec()),
            b'#' if matches!(text, b"t" | b"f") => RespValue::Boolean(text == b"t"),
            b'_' | b',' | b'#' => return Err(malformed),
            b'$' | b'=' => {
                let length = length(text).ok_or(malformed)?;
                self.within(length.saturating_add(2))?;
                self.bulk = Some((kind, length));
                return Ok(None);
            }
            b'*' | b'%' | b'~' | b'>' => {
                let length = length(text).ok_or(malformed)?;
                return self.begin(kind, length);
            }
            _ => return Err(RespError::UnknownType(kind)),
        }))
    }

    /// Begins a value of this many others. It is whole where there are none.
    fn begin(&mut self, kind: u8, length: usize) -> Result<Option<RespValue>, RespError> {
        let missing = if kind == b'%' { length.saturating_mul(2) } else { length };
        self.within(missing.saturating_mul(LEAST))?;
        if kind == b'>' && !self.open.is_empty() {
            return Err(RespError::NestedPush);
        }
        let open = OpenValue { kind, missing, values: Vec::new() };
        if missing == 0 {
            return Ok(Some(open.whole()));
        }
        if self.open.len() >= self.limits.depth {
            return Err(RespError::TooDeep { limit: self.limits.depth });
        }
        self.open.push(open);
        Ok(None)
    }

    fn bulk_bytes(&mut self, kind: u8, length: usize) -> Result<Option<RespValue>, RespError> {
        let Some(bytes) = self.buffer[self.at..].get(..length.saturating_add(2)) else { return Ok(None) };
        let Some(bytes) = bytes.strip_suffix(b"\r\n") else { return Err(RespError::LineEnd) };
        let bytes = bytes.to_vec();
        self.bulk = None;
        self.consume(length + 2)?;
        Ok(Some(if kind == b'=' { RespValue::Verbatim(bytes) } else { RespValue::Bulk(bytes) }))
    }

    /// Puts a value where it belongs. Returns the outermost one once nothing of it is missing.
    fn put(&mut self, mut value: RespValue) -> Option<RespValue> {
        while let Some(around) = self.open.last_mut() {
            around.values.push(value);
            around.missing -= 1;
            if around.missing > 0 {
                return None;
            }
            value = self.open.pop()?.whole();
        }
        Some(value)
    }

    /// Goes on behind these bytes, which count for the value that is being read.
    fn consume(&mut self, bytes: usize) -> Result<(), RespError> {
        self.within(bytes)?;
        self.at += bytes;
        self.spent += bytes;
        Ok(())
    }

    /// Checks that the value that is being read may have this many bytes more.
    fn within(&self, more: usize) -> Result<(), RespError> {
        let limit = self.limits.bytes;
        if self.spent.saturating_add(more) > limit { Err(RespError::TooLarge { limit }) } else { Ok(()) }
    }
}

impl OpenValue {
    fn whole(self) -> RespValue {
        let Self { kind, values, .. } = self;
        match kind {
            b'*' => RespValue::Array(values),
            b'~' => RespValue::Set(values),
            b'>' => RespValue::Push(values),
            _ => RespValue::Map(pairs(values)),
        }
    }
}

fn pairs(values: Vec<RespValue>) -> Vec<(RespValue, RespValue)> {
    let mut values = values.into_iter();
    core::iter::from_fn(|| values.next().zip(values.next())).collect()
}

fn number(text: &[u8]) -> Option<i64> {
    core::str::from_utf8(text).ok()?.parse().ok()
}

fn length(text: &[u8]) -> Option<usize> {
    let all_digits = text.iter().all(u8::is_ascii_digit);
    core::str::from_utf8(text).ok().filter(|_| all_digits)?.parse().ok()
}

fn is_double(text: &[u8]) -> bool {
    core::str::from_utf8(text).is_ok_and(|text| text.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    const LIMITS: RespLimits = RespLimits { bytes: 200, depth: 3 };

    /// One of each kind, as a server sends them one after the other.
    const STREAM: &[u8] = b"+OK\r\n-FENCED of site a\r\n:-7\r\n_\r\n,1.5\r\n,inf\r\n#t\r\n$0\r\n\r\n$4\r\n\r\n\0\xFF\r\n=7\r\ntxt:a:b\r\n\
        *0\r\n*3\r\n:1\r\n*1\r\n*1\r\n+a\r\n_\r\n%2\r\n+k\r\n*0\r\n+l\r\n~1\r\n:2\r\n>2\r\n$7\r\nmessage\r\n$1\r\nx\r\n";

    fn stream() -> Vec<RespValue> {
        let simple = |text: &str| RespValue::Simple(text.into());
        let bulk = |text: &[u8]| RespValue::Bulk(text.into());
        vec![
            simple("OK"),
            RespValue::Error(b"FENCED of site a".into()),
            RespValue::Integer(-7),
            RespValue::Null,
            RespValue::Double(b"1.5".into()),
            RespValue::Double(b"inf".into()),
            RespValue::Boolean(true),
            bulk(b""),
            bulk(b"\r\n\0\xFF"),
            RespValue::Verbatim(b"txt:a:b".into()),
            RespValue::Array(vec![]),
            RespValue::Array(vec![
                RespValue::Integer(1),
                RespValue::Array(vec![RespValue::Array(vec![simple("a")])]),
                RespValue::Null,
            ]),
            RespValue::Map(vec![
                (simple("k"), RespValue::Array(vec![])),
                (simple("l"), RespValue::Set(vec![RespValue::Integer(2)])),
            ]),
            RespValue::Push(vec![bulk(b"message"), bulk(b"x")]),
        ]
    }

    /// All values of bytes that come in these pieces, and how it ends.
    fn decoded(pieces: &[&[u8]]) -> (Vec<RespValue>, Option<RespError>) {
        let mut decoder = RespDecoder::new(LIMITS);
        let mut values = Vec::new();
        for piece in pieces {
            decoder.feed(piece);
            loop {
                match decoder.next_value() {
                    Ok(Some(value)) => values.push(value),
                    Ok(None) => break,
                    Err(error) => return (values, Some(error)),
                }
            }
        }
        (values, None)
    }

    fn error_of(bytes: &[u8]) -> RespError {
        let (_, error) = decoded(&[bytes]);
        let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decoded(&bytewise).1, error, "it is noticed byte by byte, too");
        error.expect("it is no value")
    }

    #[test]
    fn every_kind_is_read_however_the_bytes_are_cut() {
        let expected = (stream(), None);
        assert_eq!(decoded(&[STREAM]), expected);
        for first in 0..STREAM.len() {
            let (begin, rest) = STREAM.split_at(first);
            assert_eq!(decoded(&[begin, rest]), expected, "cut at {first}");
        }
        for length in [1, 2, 3, 5] {
            assert_eq!(decoded(&STREAM.chunks(length).collect::<Vec<_>>()), expected, "pieces of {length}");
        }
    }

    #[test]
    fn nothing_waits_behind_a_whole_value() {
        let mut decoder = RespDecoder::new(LIMITS);
        decoder.feed(b"*2\r\n$3\r\nabc\r\n$3\r\nab");
        assert_eq!(decoder.next_value(), Ok(None));
        assert_eq!(decoder.waiting(), 2);
        decoder.feed(b"c\r\n");
        let abc = RespValue::Bulk(b"abc".into());
        assert_eq!(decoder.next_value(), Ok(Some(RespValue::Array(vec![abc.clone(), abc]))));
        assert_eq!((decoder.next_value(), decoder.waiting()), (Ok(None), 0));
    }

    #[test]
    fn a_length_is_no_reason_to_take_memory() {
        let limits = RespLimits { bytes: usize::MAX, depth: 3 };
        for named in ["$9000000000000000000\r\nab", "*3000000000000000000\r\n", "%1500000000000000000\r\n"] {
            let mut decoder = RespDecoder::new(limits);
            decoder.feed(named.as_bytes());
            assert_eq!(decoder.next_value(), Ok(None), "{named:?}");
            let held =
                decoder.buffer.capacity() + decoder.open.iter().map(|open| open.values.capacity()).sum::<usize>();
            assert!(held <= 64, "{named:?} holds {held}");
        }
    }

    #[test]
    fn a_value_beyond_the_limits_is_refused_when_its_size_is_named() {
        let too_large = RespError::TooLarge { limit: 200 };
        assert_eq!(error_of(b"$194\r\n"), too_large, "194 bytes with 6 for the length and 2 at the end");
        assert_eq!(error_of(b"*66\r\n"), too_large, "66 values have 198 bytes at least");
        assert_eq!(error_of(b"%33\r\n"), too_large);
        assert_eq!(error_of(b"$99999999999999999999\r\n"), RespError::Malformed { kind: b'$' });
        assert_eq!(error_of(&[&b"+"[..], &[b'a'; 201]].concat()), too_large, "a line that does not end");
        let many: Vec<u8> = [&b"*65\r\n"[..], &b"+ab\r\n".repeat(65)].concat();
        assert_eq!(error_of(&many), too_large, "a value in parts");
        let (values, error) = decoded(&[&[&b"$192\r\n"[..], &[b'a'; 192], b"\r\n"].concat().repeat(3)]);
        assert_eq!((values.len(), error), (3, None), "each may have 200 bytes");
        assert_eq!(error_of(b"*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"), RespError::TooDeep { limit: 3 });
        assert_eq!(decoded(&[b"*1\r\n*1\r\n*1\r\n*0\r\n"]).0.len(), 1);
    }

    #[test]
    fn what_is_no_resp3_is_an_error_that_names_it() {
        for (bytes, error, words) in [
            (&b"HTTP/1.1 400\r\n"[..], RespError::UnknownType(b'H'), "begins with 'H'"),
            (b"\r\n", RespError::UnknownType(b'\r'), "begins with '\\r'"),
            (b"+OK\n", RespError::LineEnd, "CR LF"),
            (b"+O\rK\r\n", RespError::LineEnd, "CR LF"),
            (b"$2\r\nabc\r\n", RespError::LineEnd, "CR LF"),
            (b"$-1\r\n", RespError::Malformed { kind: b'$' }, "kind '$'"),
            (b"*+1\r\n", RespError::Malformed { kind: b'*' }, "kind '*'"),
            (b":1.5\r\n", RespError::Malformed { kind: b':' }, "kind ':'"),
            (b":9223372036854775808\r\n", RespError::Malformed { kind: b':' }, "kind ':'"),
            (b",one\r\n", RespError::Malformed { kind: b',' }, "kind ','"),
            (b"#yes\r\n", RespError::Malformed { kind: b'#' }, "kind '#'"),
            (b"_1\r\n", RespError::Malformed { kind: b'_' }, "kind '_'"),
            (b"*1\r\n>1\r\n+a\r\n", RespError::NestedPush, "inside of a reply"),
        ] {
            assert_eq!(error_of(bytes), error, "{:?}", bytes.escape_ascii().to_string());
            assert!(error.to_string().contains(words), "{error}");
        }
        assert_eq!(RespError::TooLarge { limit: 5 }.to_string(), "a reply is larger than 5 bytes");
        assert_eq!(RespError::TooDeep { limit: 5 }.to_string(), "a reply is nested deeper than 5");
    }

    #[test]
    fn after_an_error_nothing_is_read_or_kept() {
        let mut decoder = RespDecoder::new(LIMITS);
        decoder.feed(b"*2\r\n+a\r\n?");
        decoder.feed(b"\r\n");
        assert_eq!(decoder.next_value(), Err(RespError::UnknownType(b'?')));
        decoder.feed(b"+OK\r\n");
        assert_eq!((decoder.next_value(), decoder.waiting()), (Err(RespError::UnknownType(b'?')), 0));
    }
}
