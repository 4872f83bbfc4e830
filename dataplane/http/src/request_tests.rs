use super::*;
use crate::connection::LISTED_MAX;
use crate::{header_space, HEADERS_MAX};

/// Finds the head whole and byte by byte, which must agree, then reads it.
fn with<T>(text: &str, read: impl Fn(Result<RequestHead<'_, '_>, HttpError>) -> T) -> T {
    let bytes = text.as_bytes();
    let whole = HeadScan::request().advance(bytes, &Limits::default());
    let mut scan = HeadScan::request();
    let bytewise =
        (1..=bytes.len()).find_map(|n| scan.advance(&bytes[..n], &Limits::default()).transpose());
    assert_eq!(whole.transpose(), bytewise, "{text:?}");
    let mut space = header_space();
    match bytewise {
        Some(Ok(length)) => read(RequestHead::parse(&bytes[..length], &mut space)),
        Some(Err(error)) => read(Err(error)),
        None => read(Err(HttpError::Head("incomplete"))),
    }
}

fn error(text: &str) -> HttpError {
    with(text, |head| match head {
        Err(error) => error,
        Ok(head) => panic!("{text:?} was accepted: {head:?}"),
    })
}

fn names(text: &str) -> Vec<String> {
    with(text, |head| {
        head.expect("valid")
            .forwarded()
            .map(|(_, header)| header.name.to_owned())
            .collect()
    })
}

#[test]
fn a_plain_request_is_read() {
    let text = "POST /function/a?x=1%2F HTTP/1.1\r\nHost: h:80\r\nContent-Length: 3\r\nX-Call-Id: id\r\n\r\nabc";
    with(text, |head| {
        let head = head.expect("valid");
        assert_eq!(
            (head.method_text, head.target, head.method),
            ("POST", "/function/a?x=1%2F", Method::Other)
        );
        assert_eq!((head.framing, head.keep_alive), (Framing::Length(3), true));
        assert_eq!(
            (head.host, head.call_id),
            (Some(&b"h:80"[..]), Some(&b"id"[..]))
        );
    });
}

#[test]
fn persistence_follows_version_and_connection() {
    for (line, keeps) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n",
            false,
        ),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
        (
            "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
            false,
        ),
    ] {
        with(line, |head| {
            assert_eq!(head.expect("valid").keep_alive, keeps, "{line:?}")
        });
    }
}

#[test]
fn what_smuggles_requests_is_refused() {
    for text in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,6\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\rC: d\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA: b\0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA\t: b\r\n\r\n",
        "GET / HTTP/1.1\r\n A: b\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET ftp://h/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert_eq!(error(text).status(), 400, "{text:?}");
    }
    assert_eq!(
        error("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n").status(),
        501
    );
    assert_eq!(
        error("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n").status(),
        417
    );
    assert_eq!(error("GET / x HTTP/1.1\r\nHost: a\r\n\r\n").status(), 505);
    assert_eq!(error("PRI * HTTP/2.0\r\n\r\n").status(), 505);
}

#[test]
fn headers_of_this_hop_stay_behind() {
    let text = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Secret, Host\r\nKeep-Alive: 5\r\nTE: trailers\r\n\
        X-Secret: s\r\nProxy-Authorization: p\r\nUpgrade: x\r\nExpect: 100-continue\r\nAuthorization: b\r\n\r\n";
    assert_eq!(names(text), ["Host", "Authorization"]);
}

#[test]
fn a_connection_header_cannot_cost_without_bound() {
    let list: Vec<String> = (0..=LISTED_MAX).map(|n| format!("n{n}")).collect();
    let text = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: {}\r\n\r\n",
        list.join(",")
    );
    assert_eq!(error(&text).status(), 400);
}

#[test]
fn an_upgrade_needs_both_headers_and_is_never_h2c() {
    for (lines, upgrade) in [
        (
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            Some(&b"websocket"[..]),
        ),
        (
            "Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n",
            Some(b"websocket"),
        ),
        ("Upgrade: websocket\r\n", None),
        ("Connection: Upgrade\r\n", None),
        (
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n",
            None,
        ),
    ] {
        with(
            &format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"),
            |head| {
                assert_eq!(head.expect("valid").upgrade, upgrade, "{lines:?}");
            },
        );
    }
}

#[test]
fn an_absolute_target_names_the_host() {
    with(
        "GET http://real:8080/function/a?b HTTP/1.1\r\nHost: other\r\n\r\n",
        |head| {
            let head = head.expect("valid");
            assert_eq!(
                (head.target, head.host),
                ("/function/a?b", Some(&b"real:8080"[..]))
            );
        },
    );
    with("GET http://real HTTP/1.1\r\nHost: other\r\n\r\n", |head| {
        assert_eq!(head.expect("valid").target, "/")
    });
}

#[test]
fn many_headers_are_read_and_too_many_refused() {
    let head = |count: usize| {
        let lines: String = (0..count).map(|n| format!("N{n}: v\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
    };
    assert_eq!(names(&head(1000)).len(), 1001);
    assert_eq!(error(&head(HEADERS_MAX)).status(), 431);
}

#[test]
fn continue_is_expected_only_with_a_body() {
    let text = |length: u32| {
        format!(
            "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    with(&text(1), |head| {
        assert!(head.expect("valid").expect_continue)
    });
    with(&text(0), |head| {
        assert!(!head.expect("valid").expect_continue)
    });
}

#[test]
fn streams_are_recognised_by_accept() {
    for (value, streams) in [
        ("text/event-stream", true),
        ("application/json, Application/X-NDJSON;q=0.5", true),
        ("text/html", false),
    ] {
        with(
            &format!("GET / HTTP/1.1\r\nHost: a\r\nAccept: {value}\r\n\r\n"),
            |head| {
                assert_eq!(head.expect("valid").accepts_stream, streams, "{value}");
            },
        );
    }
}
