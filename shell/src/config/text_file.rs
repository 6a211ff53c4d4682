//! Values that are the whole text of a file.

use std::fs;

/// The bytes of a file with a secret, at most.
const SECRET_BYTES: u64 = 64 << 10;

/// Reads the file that the setting at this place names.
///
/// # Errors
/// A sentence that names the place and the file.
pub(super) fn text_in(file: &str, place: &str) -> Result<String, String> {
    if file.is_empty() {
        return Err(format!("{place} is empty; name a file, or leave {place} out"));
    }
    fs::read_to_string(file).map_err(|error| format!("{place}: cannot read {file}: {error}"))
}

/// Reads the file with a secret that the setting at this place names. It is read again at a reload, for which nobody is to wait:
/// so it must be a regular file, since others may have no writer or no end.
///
/// # Errors
/// A sentence that names the place and the file.
pub(super) fn secret_in(file: &str, place: &str) -> Result<String, String> {
    if let Ok(found) = fs::metadata(file) {
        if !found.is_file() {
            return Err(format!("{place}: {file} is no regular file, which alone can be read again at a reload"));
        }
        if found.len() > SECRET_BYTES {
            return Err(format!("{place}: {file} has {} bytes; expected at most {SECRET_BYTES}", found.len()));
        }
    }
    text_in(file, place)
}

/// The text before a final newline; None where it does not end with one. `echo` and editors end a file with a newline, and
/// no value ends with one.
pub(super) fn without_newline(text: &str) -> Option<&str> {
    text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text))
}
