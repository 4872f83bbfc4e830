//! Field names that change how a message is handled, and the lists inside their values.

/// A header name, as far as a proxy cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `Accept`
    Accept,
    /// `Connection`
    Connection,
    /// `Content-Length`
    ContentLength,
    /// `Expect`
    Expect,
    /// `Host`
    Host,
    /// `Keep-Alive`, `Proxy-Connection`, `TE`, `Proxy-Authenticate`, `Proxy-Authorization`, `HTTP2-Settings`:
    /// for the next hop only (RFC 9110, section 7.6.1).
    HopByHop,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Upgrade`
    Upgrade,
    /// `X-Call-Id`
    CallId,
    /// `X-Duration-Seconds`
    Duration,
    /// `X-Forwarded-For`
    ForwardedFor,
    /// `X-Forwarded-Host`
    ForwardedHost,
    /// `X-Served-By`
    ServedBy,
    /// `X-Start-Time`
    StartTime,
    /// `X-Timeout`
    Timeout,
    /// Any other name.
    Other,
}

impl Field {
    /// Names are told apart by length first: one comparison for most headers, none for the rest.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let is = |wanted: &str| is_name(name, wanted.as_bytes());
        match name.len() {
            2 if is("te") => Self::HopByHop,
            4 if is("host") => Self::Host,
            6 if is("accept") => Self::Accept,
            6 if is("expect") => Self::Expect,
            7 if is("upgrade") => Self::Upgrade,
            9 if is("x-call-id") => Self::CallId,
            9 if is("x-timeout") => Self::Timeout,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::HopByHop,
            11 if is("x-served-by") => Self::ServedBy,
            12 if is("x-start-time") => Self::StartTime,
            14 if is("content-length") => Self::ContentLength,
            14 if is("http2-settings") => Self::HopByHop,
            15 if is("x-forwarded-for") => Self::ForwardedFor,
            16 if is("x-forwarded-host") => Self::ForwardedHost,
            16 if is("proxy-connection") => Self::HopByHop,
            17 if is("transfer-encoding") => Self::TransferEncoding,
            18 if is("proxy-authenticate") => Self::HopByHop,
            18 if is("x-duration-seconds") => Self::Duration,
            19 if is("proxy-authorization") => Self::HopByHop,
            _ => Self::Other,
        }
    }
}

/// Whether a field name is `wanted`, which is in lower case, letters, digits and hyphens only, and as long.
/// All bytes are compared at once: no byte of a name but the capital letter becomes one of those by this bit.
#[inline]
fn is_name(name: &[u8], wanted: &[u8]) -> bool {
    let differing = name
        .iter()
        .zip(wanted)
        .fold(0, |differing, (byte, wanted)| {
            differing | ((byte | 0x20) ^ wanted)
        });
    differing == 0 && name.len() == wanted.len()
}

/// Elements of a comma-separated list, trimmed; empty ones are left out (RFC 9110, section 5.6.1).
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// Whether a comma-separated list has an element, letter case aside.
#[must_use]
pub fn has_token(value: &[u8], token: &[u8]) -> bool {
    elements(value).any(|element| element.eq_ignore_ascii_case(token))
}

/// Whether a byte may be in a field name (`tchar`, RFC 9110, section 5.6.2).
#[inline]
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[byte as usize]
}

const TOKEN_BYTES: [bool; 256] = byte_set(b"!#$%&'*+-.^_`|~");

/// A table of the letters, the digits and `others`.
pub(crate) const fn byte_set(others: &[u8]) -> [bool; 256] {
    let mut set = [false; 256];
    let mut byte = 0;
    while byte < 128u8 {
        set[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut place = 0;
    while place < others.len() {
        set[others[place] as usize] = true;
        place += 1;
    }
    set
}

/// Whether a byte may be in a field value (RFC 9110, section 5.5).
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_letter_case() {
        assert_eq!(Field::of(b"TRANSFER-encoding"), Field::TransferEncoding);
        assert_eq!(Field::of(b"x-call-id"), Field::CallId);
        assert_eq!(Field::of(b"X-Call-Ix"), Field::Other);
        assert_eq!(Field::of(b"te"), Field::HopByHop);
    }

    #[test]
    fn every_byte_of_a_name_counts() {
        let token = |byte: &u8| is_token_byte(*byte);
        for byte in (0..=255).filter(token) {
            for wanted in *b"az09-" {
                assert_eq!(
                    is_name(&[b'x', byte], &[b'x', wanted]),
                    byte.eq_ignore_ascii_case(&wanted),
                    "{byte}"
                );
            }
        }
    }

    #[test]
    fn lists_are_split_at_commas() {
        assert!(has_token(b"keep-alive, Upgrade", b"upgrade"));
        assert!(!has_token(b"upgraded", b"upgrade"));
        assert_eq!(elements(b" , a ,,b").collect::<Vec<_>>(), [b"a", b"b"]);
    }
}
