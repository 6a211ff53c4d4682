//! The little of Python that a manager needs: exceptions, and loops over what may change under them.

use std::collections::VecDeque;
use std::fmt;

/// An exception that can end a coroutine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exception {
    /// With these words.
    RuntimeError(&'static str),
    /// With this key.
    KeyError(String),
    /// `json.loads` was given something else.
    JsonDecodeError,
    /// The framework's way to say that the client has gone.
    WebSocketDisconnect,
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RuntimeError(words) => write!(f, "RuntimeError: {words}"),
            Self::KeyError(key) => write!(f, "KeyError: '{key}'"),
            Self::JsonDecodeError => f.write_str("JSONDecodeError"),
            Self::WebSocketDisconnect => f.write_str("WebSocketDisconnect"),
        }
    }
}

/// A `for` loop between two of its rounds. Python goes through a set in the order of its hashes and through a dict in
/// the order of insertion; here both go by name, and nothing depends on it.
#[derive(Clone, Debug)]
pub struct Iteration<T> {
    rest: VecDeque<T>,
    /// How many there were when the loop began.
    count: usize,
    /// Python's message when the loop is over the container itself and that has another size now.
    complaint: Option<&'static str>,
}

impl<T> Iteration<T> {
    /// `for item in items`, where `items` is a set.
    pub fn over_set(items: impl IntoIterator<Item = T>) -> Self {
        Self { complaint: Some("Set changed size during iteration"), ..Self::over_copy(items) }
    }

    /// `for key in items`, where `items` is a dict.
    pub fn over_dict(items: impl IntoIterator<Item = T>) -> Self {
        Self { complaint: Some("dictionary changed size during iteration"), ..Self::over_copy(items) }
    }

    /// `for item in list(items)`.
    pub fn over_copy(items: impl IntoIterator<Item = T>) -> Self {
        let rest: VecDeque<T> = items.into_iter().collect();
        Self { count: rest.len(), rest, complaint: None }
    }

    /// The next round, of a container that has this size now. Python looks at the size first, even behind the last item.
    ///
    /// # Errors
    /// The container is no longer what it was when the loop began.
    pub fn next(&mut self, size: usize) -> Result<Option<T>, Exception> {
        match self.complaint {
            Some(words) if size != self.count => Err(Exception::RuntimeError(words)),
            _ => Ok(self.rest.pop_front()),
        }
    }

    /// The items that it has not come to yet.
    pub fn rest(&self) -> impl Iterator<Item = &T> {
        self.rest.iter()
    }
}

/// In which round of how many it is.
impl<T> fmt::Display for Iteration<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.count - self.rest.len(), self.count)
    }
}
