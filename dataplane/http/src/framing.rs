//! How long a body is (RFC 9112, section 6.3), read so that nobody can read it differently.

use crate::error::HttpError;
use crate::field::elements;

/// Where the body of a message ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// After the last chunk and its trailers.
    Chunked,
    /// When the connection closes (responses only).
    UntilClose,
}

/// The length headers of one head, gathered one by one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LengthFields {
    length: Option<u64>,
    chunked: bool,
}

impl LengthFields {
    /// Takes one `Content-Length`. Repeated equal values are one value (RFC 9112, section 6.3, rule 5).
    pub fn content_length(&mut self, value: &[u8]) -> Result<(), HttpError> {
        if let (None, Some(length)) = (self.length, parse_length(value)) {
            self.length = Some(length);
            return Ok(());
        }
        let mut found = false;
        for element in value.split(|&byte| byte == b',') {
            let length = parse_length(element.trim_ascii()).ok_or(HttpError::Length)?;
            if self.length.is_some_and(|known| known != length) {
                return Err(HttpError::Length);
            }
            self.length = Some(length);
            found = true;
        }
        if found {
            Ok(())
        } else {
            Err(HttpError::Length)
        }
    }

    /// Takes one `Transfer-Encoding`.
    pub fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), HttpError> {
        let mut codings = elements(value);
        match (codings.next(), codings.next()) {
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") && !self.chunked => {
                self.chunked = true;
                Ok(())
            }
            (Some(first), _) if first.eq_ignore_ascii_case(b"chunked") => Err(HttpError::Length),
            _ => Err(HttpError::Coding),
        }
    }

    /// `None`: no length header at all.
    pub fn framing(self) -> Result<Option<Framing>, HttpError> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(HttpError::Length),
            (None, true) => Ok(Some(Framing::Chunked)),
            (Some(length), false) => Ok(Some(Framing::Length(length))),
            (None, false) => Ok(None),
        }
    }
}

/// Digits only: no sign, no space, no overflow.
fn parse_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &digit| {
        digit
            .is_ascii_digit()
            .then(|| value * 10 + u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(values: &[&[u8]]) -> Result<Option<Framing>, HttpError> {
        let mut fields = LengthFields::default();
        for value in values {
            fields.content_length(value)?;
        }
        fields.framing()
    }

    #[test]
    fn equal_lengths_are_one_length() {
        assert_eq!(lengths(&[b"5", b"5"]), Ok(Some(Framing::Length(5))));
        assert_eq!(lengths(&[b"5, 5"]), Ok(Some(Framing::Length(5))));
        assert_eq!(lengths(&[]), Ok(None));
    }

    #[test]
    fn anything_but_one_number_is_refused() {
        for values in [
            &[&b"5"[..], b"6"][..],
            &[b"5,6"],
            &[b""],
            &[b"+5"],
            &[b"-1"],
            &[b"5 5"],
            &[b"0x5"],
            &[b"5,"],
            &[b"99999999999999999999"],
        ] {
            assert_eq!(lengths(values), Err(HttpError::Length), "{values:?}");
        }
    }

    #[test]
    fn chunked_must_stand_alone() {
        for (values, outcome) in [
            (&[&b"chunked"[..]][..], Ok(())),
            (&[b"Chunked"], Ok(())),
            (&[b"gzip, chunked"], Err(HttpError::Coding)),
            (&[b"chunked, gzip"], Err(HttpError::Length)),
            (&[b"chunked", b"chunked"], Err(HttpError::Length)),
            (&[b"xchunked"], Err(HttpError::Coding)),
            (&[b"chunked\x0b"], Err(HttpError::Coding)),
            (&[b""], Err(HttpError::Coding)),
            (&[b"identity"], Err(HttpError::Coding)),
        ] {
            let mut fields = LengthFields::default();
            let got = values
                .iter()
                .try_for_each(|value| fields.transfer_encoding(value));
            assert_eq!(got, outcome, "{values:?}");
        }
    }

    #[test]
    fn a_length_beside_chunked_is_refused() {
        let mut fields = LengthFields::default();
        fields.transfer_encoding(b"chunked").expect("valid");
        fields.content_length(b"5").expect("valid");
        assert_eq!(fields.framing(), Err(HttpError::Length));
    }
}
