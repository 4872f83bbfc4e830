//! Heads as they go on: written straight into the buffer that is sent.

use jd_http::{push_field, push_number, Field, Framing, RequestHead, ResponseHead, Version};

use crate::down::{Exchange, Recode};
use crate::stamp::Stamp;

/// What the head of a request to a function or the provider needs beside the client's own.
pub struct Onward<'a> {
    /// Path and query for the next hop begin here; a missing `/` is put before it.
    pub target: &'a str,
    /// Whether it goes to a function.
    pub function: bool,
    /// Of an invocation.
    pub stamp: &'a Stamp,
    /// `ip:port` of the client.
    pub peer: &'a str,
}

/// Appends the head of a request for the next hop.
pub fn push_request(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, onward: &Onward<'_>) {
    out.extend_from_slice(head.method_text.as_bytes());
    out.push(b' ');
    if !onward.target.starts_with('/') && onward.target != "*" {
        out.push(b'/');
    }
    out.extend_from_slice(onward.target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    push_field(out, "Host", head.host.unwrap_or(b"localhost"));
    // Only the platform says when a request came in.
    head.copy_fields(out, |field| {
        !(field == Field::Host || (onward.function && field == Field::StartTime))
    });
    if !head.forwarded_for {
        push_field(out, "X-Forwarded-For", onward.peer.as_bytes());
    }
    if let (false, Some(host)) = (head.forwarded_host, head.host) {
        push_field(out, "X-Forwarded-Host", host);
    }
    if onward.function {
        out.extend_from_slice(onward.stamp.lines(head.call_id.is_none(), true));
    }
    push_request_framing(out, head);
    out.extend_from_slice(b"\r\n");
}

fn push_request_framing(out: &mut Vec<u8>, head: &RequestHead<'_, '_>) {
    match head.framing {
        Framing::Length(length) => push_number(out, "Content-Length: ", length),
        Framing::Chunked => push_field(out, "Transfer-Encoding", b"chunked"),
        // Servers ask for a length with these (RFC 9110, section 8.6).
        _ if matches!(head.method_text, "POST" | "PUT" | "PATCH") => {
            push_number(out, "Content-Length: ", 0)
        }
        _ => {}
    }
    if let Some(protocol) = head.upgrade {
        push_field(out, "Connection", b"Upgrade");
        push_field(out, "Upgrade", protocol);
    }
}

/// Appends seconds with six decimals.
pub fn push_seconds(out: &mut Vec<u8>, duration_ns: u64) {
    jd_http::push_millionths(out, duration_ns / 1000);
}

/// What a response head needs beside the function's own.
pub struct Backward<'a> {
    pub exchange: &'a Exchange,
    /// `junctiond/VERSION`
    pub served_by: &'a str,
    pub now_ns: u64,
}

/// Appends the platform's headers, but those that the function set itself.
fn push_platform(out: &mut Vec<u8>, backward: &Backward<'_>, head: Option<&ResponseHead<'_, '_>>) {
    let exchange = backward.exchange;
    if !exchange.for_function {
        return;
    }
    let call_id = head.is_none_or(|head| !head.call_id);
    let start_time = head.is_none_or(|head| !head.start_time);
    out.extend_from_slice(exchange.stamp.lines(call_id, start_time));
    if head.is_none_or(|head| !head.duration) {
        out.extend_from_slice(b"X-Duration-Seconds: ");
        push_seconds(out, backward.now_ns.saturating_sub(exchange.started_ns));
        out.extend_from_slice(b"\r\n");
    }
    if head.is_none_or(|head| !head.served_by) {
        push_field(out, "X-Served-By", backward.served_by.as_bytes());
    }
}

/// Appends an interim response (103 and the like) as it is.
pub fn push_interim(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>) {
    head.copy_onward(out);
    out.extend_from_slice(b"\r\n");
}

/// Appends the head that tells the client that the protocol changes now.
pub fn push_upgraded(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>, backward: &Backward<'_>) {
    head.copy_onward(out);
    push_field(out, "Connection", b"Upgrade");
    if let Some(protocol) = head.upgrade {
        push_field(out, "Upgrade", protocol);
    }
    push_platform(out, backward, Some(head));
    out.extend_from_slice(b"\r\n");
}

/// Appends a final response head.
pub fn push_response(
    out: &mut Vec<u8>,
    head: &ResponseHead<'_, '_>,
    recode: Recode,
    backward: &Backward<'_>,
) {
    head.copy_onward(out);
    push_platform(out, backward, Some(head));
    match (head.framing, recode) {
        (_, Recode::ToChunks) | (Framing::Chunked, Recode::Raw) => {
            push_field(out, "Transfer-Encoding", b"chunked");
        }
        (Framing::Length(length), _) => push_number(out, "Content-Length: ", length),
        // A HEAD's or 304's length is about the body that was not sent; a 204 may not have one.
        (Framing::None, _) if head.status >= 200 && head.status != 204 => {
            if let Some(length) = head.content_length {
                push_number(out, "Content-Length: ", length);
            }
        }
        _ => {}
    }
    push_persistence(out, backward.exchange);
    out.extend_from_slice(b"\r\n");
}

fn push_persistence(out: &mut Vec<u8>, exchange: &Exchange) {
    if !exchange.keep_alive {
        push_field(out, "Connection", b"close");
    } else if exchange.version == Version::Http10 {
        push_field(out, "Connection", b"keep-alive");
    }
}

/// A response of the front door itself.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub reason: &'static str,
    /// Value of `X-OpenFaaS-Internal`: the platform failed, not the function.
    pub internal: Option<&'static str>,
    /// Whether browsers are told not to guess the type, as Go's error answers do.
    pub nosniff: bool,
    /// Further header.
    pub extra: Option<(&'static str, &'static str)>,
    pub body: String,
}

/// Appends a response of the front door itself.
pub fn push_reply(out: &mut Vec<u8>, reply: &Reply, backward: &Backward<'_>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    jd_http::push_decimal(out, u64::from(reply.status));
    out.push(b' ');
    out.extend_from_slice(reply.reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    if !reply.body.is_empty() {
        push_field(out, "Content-Type", b"text/plain; charset=utf-8");
    }
    if reply.nosniff && !reply.body.is_empty() {
        push_field(out, "X-Content-Type-Options", b"nosniff");
    }
    let date = crate::date::http_date(crate::clock::unix_ns() / 1_000_000_000);
    push_field(out, "Date", date.as_bytes());
    push_number(out, "Content-Length: ", reply.body.len() as u64);
    if let Some(internal) = reply.internal {
        push_field(out, "X-OpenFaaS-Internal", internal.as_bytes());
    }
    if let Some((name, value)) = reply.extra {
        push_field(out, name, value.as_bytes());
    }
    push_platform(out, backward, None);
    push_persistence(out, backward.exchange);
    out.extend_from_slice(b"\r\n");
    if !backward.exchange.method_is_head() {
        out.extend_from_slice(reply.body.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jd_http::header_space;

    fn rewritten(text: &str, target: &str, function: bool) -> String {
        let mut space = header_space();
        let head = RequestHead::parse(text.as_bytes(), &mut space).expect("valid");
        let mut stamp = Stamp::default();
        stamp.write(|out| out.extend_from_slice(b"id"), 42);
        let onward = Onward {
            target,
            function,
            stamp: &stamp,
            peer: "1.2.3.4:5",
        };
        let mut out = Vec::new();
        push_request(&mut out, &head, &onward);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_request_to_a_function_gets_the_platforms_headers() {
        let text = "POST /function/f?q HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 3\r\nA: b\r\n\r\n";
        assert_eq!(
            rewritten(text, "?q", true),
            "POST /?q HTTP/1.1\r\nHost: h\r\nA: b\r\nX-Forwarded-For: 1.2.3.4:5\r\nX-Forwarded-Host: h\r\n\
             X-Call-Id: id\r\nX-Start-Time: 42\r\nContent-Length: 3\r\n\r\n"
        );
    }

    #[test]
    fn what_the_client_set_is_kept() {
        let text = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: a\r\nX-Forwarded-Host: b\r\nX-Call-Id: c\r\n\r\n";
        assert_eq!(
            rewritten(text, "/", true),
            "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: a\r\nX-Forwarded-Host: b\r\nX-Call-Id: c\r\nX-Start-Time: 42\r\n\r\n"
        );
    }

    #[test]
    fn a_client_sets_no_start_time_and_hides_no_address() {
        let text = "GET / HTTP/1.1\r\nHost: h\r\nConnection: x-forwarded-for, x-call-id, X-Forwarded-Host, a\r\n\
                    X-Start-Time: 1\r\nX-Forwarded-For: a\r\nX-Forwarded-Host: b\r\nX-Call-Id: c\r\nA: d\r\n\r\n";
        assert_eq!(
            rewritten(text, "/", true),
            "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: a\r\nX-Forwarded-Host: b\r\nX-Call-Id: c\r\nX-Start-Time: 42\r\n\r\n"
        );
    }

    #[test]
    fn the_provider_gets_no_call_headers() {
        let out = rewritten("POST /system/x HTTP/1.0\r\n\r\n", "/system/x", false);
        assert_eq!(
            out,
            "POST /system/x HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 1.2.3.4:5\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn seconds_have_six_decimals() {
        for (ns, text) in [
            (1_165_000, "0.001165"),
            (12_000_000_999, "12.000000"),
            (0, "0.000000"),
        ] {
            let mut out = Vec::new();
            push_seconds(&mut out, ns);
            assert_eq!(out, text.as_bytes());
        }
    }
}
