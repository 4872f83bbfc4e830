//! The request as environment variables of the forked process.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use jd_http::{Framing, RequestHead};

use crate::marshal::canonical;
use crate::settings::Mode;

/// One variable.
pub type Variable = (String, OsString);

/// `Http_*` variables of one request: the watchdogs' names, first value of a repeated header.
#[must_use]
pub fn variables(head: &RequestHead<'_, '_>, mode: Mode, body_bytes: Option<u64>) -> Vec<Variable> {
    let mut found: Vec<Variable> = Vec::new();
    let mut add = |name: String, value: &[u8]| {
        if !found.iter().any(|(known, _)| *known == name) {
            found.push((name, OsString::from_vec(value.to_vec())));
        }
    };
    let (path, query) = match head.target.split_once('?') {
        Some((path, query)) => (path, query),
        None => (head.target, ""),
    };
    add("Http_Method".to_owned(), head.method_text.as_bytes());
    add("Http_Path".to_owned(), path.as_bytes());
    if !query.is_empty() {
        add("Http_Query".to_owned(), query.as_bytes());
    }
    if head.framing == Framing::Chunked {
        add("Http_Transfer_Encoding".to_owned(), b"chunked");
    }
    if let Some(bytes) = body_bytes {
        let digits = bytes.to_string();
        add("Http_Content_Length".to_owned(), digits.as_bytes());
        if mode == Mode::Classic {
            add("Http_ContentLength".to_owned(), digits.as_bytes());
        }
    }
    for (_, header) in head.forwarded() {
        // Go keeps Host apart from the headers; only the classic watchdog adds it again.
        if mode == Mode::Classic || !header.name.eq_ignore_ascii_case("host") {
            add(variable_name(header.name), header.value);
        }
    }
    found
}

/// `x-call-id` becomes `Http_X_Call_Id`.
fn variable_name(header: &str) -> String {
    format!("Http_{}", canonical(header).replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jd_http::header_space;

    fn of(request: &str, mode: Mode) -> Vec<(String, String)> {
        let mut space = header_space();
        let head = RequestHead::parse(request.as_bytes(), &mut space).expect("valid");
        let length = match head.framing {
            Framing::Length(bytes) => Some(bytes),
            _ => None,
        };
        let all = variables(&head, mode, length);
        all.into_iter()
            .map(|(name, value)| (name, value.into_string().expect("UTF-8")))
            .collect()
    }

    fn value<'a>(all: &'a [(String, String)], name: &str) -> Option<&'a str> {
        all.iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    const REQUEST: &str = "POST /a/b?x=1&y HTTP/1.1\r\nhost: gw\r\nx-call-id: 7\r\nX-CALL-ID: 8\r\nContent-Length: 3\r\n\r\n";

    #[test]
    fn names_and_values_are_the_watchdogs() {
        let all = of(REQUEST, Mode::Streaming);
        assert_eq!(value(&all, "Http_Method"), Some("POST"));
        assert_eq!(value(&all, "Http_Path"), Some("/a/b"));
        assert_eq!(value(&all, "Http_Query"), Some("x=1&y"));
        assert_eq!(value(&all, "Http_X_Call_Id"), Some("7"));
        assert_eq!(value(&all, "Http_Content_Length"), Some("3"));
        assert_eq!(value(&all, "Http_Host"), None);
        assert_eq!(value(&all, "Http_Transfer_Encoding"), None);
    }

    #[test]
    fn the_classic_watchdog_adds_its_own() {
        let all = of(REQUEST, Mode::Classic);
        assert_eq!(value(&all, "Http_ContentLength"), Some("3"));
        assert_eq!(value(&all, "Http_Host"), Some("gw"));
    }

    #[test]
    fn a_header_cannot_pass_for_the_method() {
        let all = of(
            "GET / HTTP/1.1\r\nHost: g\r\nMethod: DELETE\r\nTransfer-Encoding: chunked\r\n\r\n",
            Mode::Streaming,
        );
        assert_eq!(value(&all, "Http_Method"), Some("GET"));
        assert_eq!(value(&all, "Http_Transfer_Encoding"), Some("chunked"));
        assert_eq!(value(&all, "Http_Query"), None);
    }
}
