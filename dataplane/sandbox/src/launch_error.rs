//! Why a program was never executed.

use std::io;

use thiserror::Error;

/// A step of building a sandbox that failed.
#[derive(Debug, Error)]
#[error("{step}: {problem}")]
pub struct LaunchError {
    /// What was tried, with the path or name concerned.
    pub step: String,
    /// What came of it, with the mend where one is known.
    pub problem: String,
}

impl LaunchError {
    /// An error that is not the kernel's.
    #[must_use]
    pub fn new(step: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            step: step.into(),
            problem: problem.into(),
        }
    }
}

/// Names the step in which an operating system call failed.
pub trait Step<Value> {
    /// Wraps the error; `step` is only evaluated when there is one.
    ///
    /// # Errors
    /// The wrapped one.
    fn step<Text: Into<String>>(self, step: impl FnOnce() -> Text) -> Result<Value, LaunchError>;
}

impl<Value, Error: Into<io::Error>> Step<Value> for Result<Value, Error> {
    fn step<Text: Into<String>>(self, step: impl FnOnce() -> Text) -> Result<Value, LaunchError> {
        self.map_err(|error| LaunchError::new(step(), error.into().to_string()))
    }
}
