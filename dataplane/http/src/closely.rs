//! Heads that are not of the usual form, read by `httparse`: it decides what else is allowed.

use httparse::{Error, Header, Status};

use crate::error::HttpError;
use crate::field::Field;
use crate::first_line::{RequestLine, StatusLine};
use crate::lines::Place;
use crate::request::Version;
use crate::{HEADERS_INLINE, HEADERS_MAX};

const INCOMPLETE: HttpError = HttpError::Head("the head is not complete");

/// Reads a complete request head.
pub(crate) fn request<'b>(
    bytes: &'b [u8],
    places: &mut Vec<Place>,
) -> Result<RequestLine<'b>, HttpError> {
    with_room(|headers| {
        let mut request = httparse::Request::new(headers);
        if request.parse(bytes)?.is_partial() {
            return Ok(Err(INCOMPLETE));
        }
        note(bytes, request.headers, places);
        let (Some(method), Some(target)) = (request.method, request.path) else {
            return Ok(Err(INCOMPLETE));
        };
        Ok(Ok(RequestLine {
            method,
            target,
            version: version(request.version),
        }))
    })
}

/// Reads a complete response head.
pub(crate) fn response<'b>(
    bytes: &'b [u8],
    places: &mut Vec<Place>,
) -> Result<StatusLine<'b>, HttpError> {
    with_room(|headers| {
        let mut response = httparse::Response::new(headers);
        if let Status::Partial = response.parse(bytes)? {
            return Ok(Err(INCOMPLETE));
        }
        note(bytes, response.headers, places);
        let Some(status) = response.code else {
            return Ok(Err(INCOMPLETE));
        };
        Ok(Ok(StatusLine {
            version: version(response.version),
            status,
            reason: response.reason.unwrap_or("").as_bytes(),
            plain: false,
        }))
    })
}

/// Tries with a little room for headers, then with all that there may be.
fn with_room<'b, T>(
    mut read: impl FnMut(&mut [Header<'b>]) -> Result<Result<T, HttpError>, Error>,
) -> Result<T, HttpError> {
    match read(&mut [httparse::EMPTY_HEADER; HEADERS_INLINE]) {
        Err(Error::TooManyHeaders) => {
            read(&mut vec![httparse::EMPTY_HEADER; HEADERS_MAX]).map_err(refusal)?
        }
        result => result.map_err(refusal)?,
    }
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) {
        Version::Http10
    } else {
        Version::Http11
    }
}

/// Notes where the headers are, which are slices of `bytes`.
fn note(bytes: &[u8], headers: &[Header<'_>], places: &mut Vec<Place>) {
    places.clear();
    places.extend(headers.iter().map(|header| {
        let place = |slice: &[u8]| slice.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
        let start = place(header.name.as_bytes());
        let colon = start + header.name.len();
        let value = if header.value.is_empty() {
            colon + 1
        } else {
            place(header.value)
        };
        Place {
            field: Field::of(header.name.as_bytes()),
            plain: false,
            start,
            colon,
            value,
            end: value + header.value.len(),
        }
    }));
}

fn refusal(error: Error) -> HttpError {
    match error {
        Error::TooManyHeaders => HttpError::HeadTooLarge,
        Error::Version => HttpError::Version,
        Error::HeaderName => HttpError::Head("a header name"),
        Error::HeaderValue => HttpError::Head("a header value"),
        Error::NewLine => HttpError::Head("a line end"),
        Error::Status => HttpError::Head("the status"),
        Error::Token => HttpError::Head("the first line"),
    }
}
