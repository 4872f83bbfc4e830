//! Why a message was refused, and with which status.

/// A message that must not be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The first line or a header is malformed.
    #[error("malformed message head: {0}")]
    Head(&'static str),
    /// The head is longer than the limit.
    #[error("the message head is too large")]
    HeadTooLarge,
    /// The request target is longer than the limit.
    #[error("the request target is too long")]
    TargetTooLong,
    /// Not HTTP/1.0 or HTTP/1.1.
    #[error("only HTTP/1.0 and HTTP/1.1 are spoken here")]
    Version,
    /// `Content-Length` is not one number, or comes with `Transfer-Encoding`.
    #[error("ambiguous or malformed message length")]
    Length,
    /// A transfer coding other than `chunked`.
    #[error("only the transfer coding chunked is supported")]
    Coding,
    /// An HTTP/1.1 request must have exactly one valid `Host`.
    #[error("exactly one valid Host header is needed")]
    Host,
    /// `Expect` with anything but `100-continue`.
    #[error("only the expectation 100-continue is supported")]
    Expectation,
    /// The chunked coding of a body is malformed.
    #[error("malformed chunked body")]
    Chunk,
    /// A trailer is malformed, too long, or names a field that may not be one.
    #[error("malformed trailer")]
    Trailer,
}

impl HttpError {
    /// The status a client gets for such a request (RFC 9110, section 15.5; RFC 6585 for 431).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Head(_) | Self::Length | Self::Host | Self::Chunk | Self::Trailer => 400,
            Self::HeadTooLarge => 431,
            Self::TargetTooLong => 414,
            Self::Version => 505,
            Self::Coding => 501,
            Self::Expectation => 417,
        }
    }
}
