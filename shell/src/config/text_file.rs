//! Files that settings name, whose whole text is a value.

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
