//! Values that must not be printed.

use std::fmt;

/// A secret value, such as the API key or the secret that tokens are signed with. Only [`Secret::expose`] shows it.
#[derive(Clone)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value, which is not printed from now on.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, to compare it, to verify with it or to measure it.
    #[must_use]
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl From<&str> for Secret<String> {
    fn from(value: &str) -> Self {
        Self(value.into())
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::from("to be or not to be");
        assert_eq!(format!("{:?} {secret:#?}", Some(&secret)), "Some(Secret(…)) Secret(…)");
        assert_eq!(secret.expose(), "to be or not to be");
    }
}
