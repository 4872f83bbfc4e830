//! The classic watchdog's `marshal_request`: the process reads one JSON object with headers and body instead of the
//! body alone (`{"header":{"Name":["value"]},"body":{"raw":"base64"}}`).

use std::collections::BTreeMap;

use jd_http::RequestHead;

/// Headers as Go keeps them: canonical names, every value, without `Host`.
pub type Headers = BTreeMap<String, Vec<String>>;

/// Headers of a request.
#[must_use]
pub fn headers(head: &RequestHead<'_, '_>) -> Headers {
    let mut all = Headers::new();
    for (_, header) in head
        .forwarded()
        .filter(|(_, header)| !header.name.eq_ignore_ascii_case("host"))
    {
        let value = String::from_utf8_lossy(header.value).into_owned();
        all.entry(canonical(header.name)).or_default().push(value);
    }
    all
}

/// `x-call-id` becomes `X-Call-Id` (Go, `textproto.CanonicalMIMEHeaderKey`).
#[must_use]
pub fn canonical(name: &str) -> String {
    let mut start = true;
    let letter = |character: char| {
        let upper = std::mem::replace(&mut start, character == '-');
        if upper {
            character.to_ascii_uppercase()
        } else {
            character.to_ascii_lowercase()
        }
    };
    name.chars().map(letter).collect()
}

/// The JSON object.
#[must_use]
pub fn request(headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut json = String::from("{\"header\":{");
    for (index, (name, values)) in headers.iter().enumerate() {
        json.push_str(if index == 0 { "" } else { "," });
        quote(name, &mut json);
        json.push_str(":[");
        for (index, value) in values.iter().enumerate() {
            json.push_str(if index == 0 { "" } else { "," });
            quote(value, &mut json);
        }
        json.push(']');
    }
    json.push_str("},\"body\":{\"raw\":\"");
    base64(body, &mut json);
    json.push_str("\"}}");
    json.into_bytes()
}

/// A JSON string (RFC 8259, section 7). Header values hold no control character but the tab.
fn quote(text: &str, json: &mut String) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\t' => json.push_str("\\t"),
            _ => json.push(character),
        }
    }
    json.push('"');
}

/// Base 64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8], text: &mut String) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.reserve(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |place: usize| usize::from(three.get(place).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let letter = char::from(LETTERS[bits >> (18 - 6 * place) & 63]);
            text.push(if place <= three.len() { letter } else { '=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jd_http::header_space;

    #[test]
    fn base64_of_the_rfcs_vectors() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut text = String::new();
            base64(bytes.as_bytes(), &mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_request_is_one_object() {
        let bytes =
            b"POST / HTTP/1.1\r\nhost: h\r\nx-two: 1\r\nX-TWO: \"2\"\r\nAccept: a\\b\r\n\r\n";
        let mut space = header_space();
        let head = RequestHead::parse(bytes, &mut space).expect("valid");
        let json = String::from_utf8(request(&headers(&head), b"hi")).expect("UTF-8");
        assert_eq!(
            json,
            r#"{"header":{"Accept":["a\\b"],"X-Two":["1","\"2\""]},"body":{"raw":"aGk="}}"#
        );
    }
}
