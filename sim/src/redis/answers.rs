//! How answers are written, and arguments read.

use parlor_core::redis::RespValue;

/// The answer to a command, or the text of an error.
pub type Answer = Result<RespValue, String>;

/// The error for words that a command does not know.
pub const SYNTAX: &str = "ERR syntax error";
/// The error for a number that is none.
pub const NO_INTEGER: &str = "ERR value is not an integer or out of range";

/// Returns the error for a command with too many words, or too few.
#[must_use]
pub fn wrong_number(name: &str) -> String {
    format!("ERR wrong number of arguments for '{}' command", name.to_ascii_lowercase())
}

/// Bytes.
#[must_use]
pub fn bulk(bytes: impl AsRef<[u8]>) -> RespValue {
    RespValue::Bulk(bytes.as_ref().to_vec())
}

/// Bytes, or null.
#[must_use]
pub fn bulk_or_null(bytes: Option<&[u8]>) -> RespValue {
    bytes.map_or(RespValue::Null, bulk)
}

/// A number of things.
#[must_use]
pub fn count(number: usize) -> RespValue {
    RespValue::Integer(i64::try_from(number).expect("a number of things"))
}

/// An acknowledgement.
#[must_use]
pub fn simple(text: &str) -> RespValue {
    RespValue::Simple(text.into())
}

/// A whole number, as Redis reads one: without a plus, without zeros before it.
///
/// # Errors
/// If it is none.
pub fn integer(bytes: &[u8]) -> Result<i64, String> {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<i64>().ok());
    number.filter(|number| number.to_string().as_bytes() == bytes).ok_or_else(|| NO_INTEGER.into())
}

/// A number with a fraction as C writes it with `%.17g`.
#[must_use]
pub fn seventeen_digits(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "inf".into() } else { "-inf".into() };
    }
    if number.is_nan() {
        return "nan".into();
    }
    let scientific = format!("{number:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("it has an exponent");
    let exponent: i32 = exponent.parse().expect("a number");
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..17).contains(&exponent) {
        let decimals = usize::try_from(16 - exponent).expect("at most 20");
        trimmed(&format!("{number:.decimals$}"))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_redis_reads_them() {
        assert_eq!(integer(b"-7"), Ok(-7));
        for wrong in ["", "+7", "07", " 7", "7.0", "9223372036854775808"] {
            assert_eq!(integer(wrong.as_bytes()), Err(NO_INTEGER.into()), "{wrong:?}");
        }
    }

    #[test]
    fn numbers_are_written_as_c_writes_them() {
        for (number, text) in [
            (0.0, "0"),
            (0.1, "0.10000000000000001"),
            (-2.5, "-2.5"),
            (1_795_914_245_141.0, "1795914245141"),
            (1e17, "1e+17"),
            (1e16, "10000000000000000"),
            (0.000_012_5, "1.2500000000000001e-05"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(seventeen_digits(number), text);
        }
    }
}
