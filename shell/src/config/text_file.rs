//! Values that are the whole text of a file.

/// Reads the file that the setting at this place names.
///
/// # Errors
/// A sentence that names the place and the file.
pub(super) fn text_in(file: &str, place: &str) -> Result<String, String> {
    if file.is_empty() {
        return Err(format!("{place} is empty; name a file, or leave {place} out"));
    }
    std::fs::read_to_string(file).map_err(|error| format!("{place}: cannot read {file}: {error}"))
}

/// The text before a final newline; None where it does not end with one. `echo` and editors end a file with a newline, and
/// no value ends with one.
pub(super) fn without_newline(text: &str) -> Option<&str> {
    text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text))
}
