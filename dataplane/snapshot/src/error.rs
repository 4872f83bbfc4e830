//! Why there is no snapshot, or no way back from one.

use std::fmt::Display;
use std::io;

use thiserror::Error;

/// A program that cannot be captured, in words for the operator.
#[derive(Debug, Error)]
pub enum Refusal {
    /// It does something that a snapshot would lose. Trying again later does not help.
    #[error("{0}")]
    Unfit(String),
    /// Not now: it is not at rest.
    #[error("not at rest: {0}")]
    Restless(String),
    /// The host could not do its part.
    #[error("{what}: {error}")]
    Host {
        /// Which part.
        what: String,
        /// The kernel's word.
        error: io::Error,
    },
}

/// Adds what was tried to the kernel's error.
pub trait Part<T> {
    /// Turns an error into a [`Refusal::Host`] about `what`.
    ///
    /// # Errors
    /// The same error, named.
    fn part<Words: Display>(self, what: impl FnOnce() -> Words) -> Result<T, Refusal>;
}

impl<T, Error: Into<io::Error>> Part<T> for Result<T, Error> {
    fn part<Words: Display>(self, what: impl FnOnce() -> Words) -> Result<T, Refusal> {
        self.map_err(|error| Refusal::Host {
            what: what().to_string(),
            error: error.into(),
        })
    }
}

/// Shorthand for [`Refusal::Unfit`].
pub fn unfit<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Unfit(text.into()))
}
