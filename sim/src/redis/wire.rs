//! RESP3 in the server's role: replies and pushes as bytes.

use parlor_core::redis::RespValue;

/// Appends a value as a server sends it. It shares nothing with the decoder that reads it but the type.
pub fn encode(value: &RespValue, out: &mut Vec<u8>) {
    match value {
        RespValue::Null => out.extend(b"_\r\n"),
        RespValue::Simple(text) => line('+', text, out),
        RespValue::Error(text) => line('-', text, out),
        RespValue::Integer(number) => line(':', number.to_string().as_bytes(), out),
        RespValue::Double(text) => line(',', text, out),
        RespValue::Boolean(value) => line('#', if *value { b"t" } else { b"f" }, out),
        RespValue::Bulk(bytes) => counted('$', bytes, out),
        RespValue::Verbatim(bytes) => counted('=', bytes, out),
        RespValue::Array(values) => list('*', values, out),
        RespValue::Set(values) => list('~', values, out),
        RespValue::Push(values) => list('>', values, out),
        RespValue::Map(pairs) => {
            line('%', pairs.len().to_string().as_bytes(), out);
            for (key, value) in pairs {
                encode(key, out);
                encode(value, out);
            }
        }
    }
}

fn line(kind: char, text: &[u8], out: &mut Vec<u8>) {
    out.push(u8::try_from(kind).expect("ASCII"));
    out.extend(text);
    out.extend(b"\r\n");
}

fn counted(kind: char, bytes: &[u8], out: &mut Vec<u8>) {
    line(kind, bytes.len().to_string().as_bytes(), out);
    out.extend(bytes);
    out.extend(b"\r\n");
}

fn list(kind: char, values: &[RespValue], out: &mut Vec<u8>) {
    line(kind, values.len().to_string().as_bytes(), out);
    values.iter().for_each(|value| encode(value, out));
}
