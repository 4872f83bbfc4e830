//! Where a body ends in a stream of bytes, whatever its framing.

use crate::chunked::{Chunked, Part};
use crate::error::HttpError;
use crate::framing::Framing;

#[derive(Clone, Debug)]
enum State {
    Done,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// Follows one body through the bytes of its connection.
#[derive(Clone, Debug)]
pub struct BodyDecoder(State);

/// What the front of the input is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bytes that belong to the message, framing included.
    pub raw: usize,
    /// Bytes of the body among them.
    pub data: usize,
}

impl BodyDecoder {
    /// At the first byte of a body.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::new()),
            Framing::UntilClose => State::UntilClose,
        })
    }

    /// Whether the body is over; what follows belongs to the next message.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        match &self.0 {
            State::Done => true,
            State::Chunked(chunked) => chunked.is_done(),
            State::Length(_) | State::UntilClose => false,
        }
    }

    /// Bytes still to come, where that is known.
    #[must_use]
    pub const fn remaining(&self) -> Option<u64> {
        match self.0 {
            State::Done => Some(0),
            State::Length(left) => Some(left),
            State::Chunked(_) | State::UntilClose => None,
        }
    }

    /// The connection was closed by the sender.
    ///
    /// # Errors
    /// The body is not over: it must not be passed on as if it were.
    pub fn end_of_input(&mut self) -> Result<(), HttpError> {
        match self.0 {
            State::UntilClose => {
                self.0 = State::Done;
                Ok(())
            }
            _ if self.is_done() => Ok(()),
            _ => Err(HttpError::Length),
        }
    }

    /// Takes from the front of `input` all that belongs to the body, without a copy: for passing framing through.
    ///
    /// # Errors
    /// Malformed chunks or trailers.
    pub fn take(&mut self, input: &[u8]) -> Result<Taken, HttpError> {
        let mut taken = Taken::default();
        self.take_parts(input, |data| taken.data += data.len())
            .map(|raw| Taken { raw, ..taken })
    }

    /// As [`Self::take`], but hands the pieces of the body itself to `sink`: for changing the framing.
    ///
    /// # Errors
    /// Malformed chunks or trailers.
    pub fn take_data(
        &mut self,
        input: &[u8],
        mut sink: impl FnMut(&[u8]),
    ) -> Result<Taken, HttpError> {
        let mut taken = Taken::default();
        self.take_parts(input, |data| {
            taken.data += data.len();
            sink(data);
        })
        .map(|raw| Taken { raw, ..taken })
    }

    fn take_parts(
        &mut self,
        input: &[u8],
        mut on_data: impl FnMut(&[u8]),
    ) -> Result<usize, HttpError> {
        match &mut self.0 {
            State::Done => Ok(0),
            State::UntilClose => {
                on_data(input);
                Ok(input.len())
            }
            State::Length(left) => {
                let length = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(input.len());
                on_data(&input[..length]);
                *left -= length as u64;
                if *left == 0 {
                    self.0 = State::Done;
                }
                Ok(length)
            }
            State::Chunked(chunked) => {
                let mut raw = 0;
                while raw < input.len() && !chunked.is_done() {
                    raw += match chunked.take(&input[raw..])? {
                        Part::Data(length) => {
                            on_data(&input[raw..raw + length]);
                            length
                        }
                        Part::Coding(length) => length,
                    };
                }
                Ok(raw)
            }
        }
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
