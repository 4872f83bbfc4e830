//! One entry for fuzzers: any bytes, checked against what must always hold.

use crate::attach::Hello;
use crate::control::{push_frame, take_frame, Request};
use crate::dns::{self, BadQuery, Code, Query};
use crate::names::Name;
use crate::sockaddr::{self, Given};

/// Reads `input` as frames of the control socket, as a request, an attach message, a DNS query, the name
/// of a socket and a socket address.
///
/// # Panics
/// When an invariant does not hold: frames depend on how they arrive, or what was read cannot be written
/// and read again.
pub fn fuzz_one(input: &[u8]) {
    let whole = frames(input, input.len().max(1));
    assert_eq!(whole, frames(input, 1), "frames depend on how they arrive");
    let mut again = Vec::new();
    for frame in &whole.0 {
        message(frame);
        push_frame(&mut again, frame);
    }
    assert!(input.starts_with(&again));
    message(input);
    query(input);
    if let Some(name) = Name::parse(input) {
        assert_eq!(name.to_bytes(), input, "one spelling per name");
    }
    address(input);
}

/// All whole frames, read in steps of so many bytes, and whether the connection ended by one too long.
fn frames(input: &[u8], step: usize) -> (Vec<Vec<u8>>, bool) {
    let (mut buffer, mut frames) = (Vec::new(), Vec::new());
    for bytes in input.chunks(step) {
        buffer.extend_from_slice(bytes);
        loop {
            match take_frame(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
    }
    (frames, false)
}

fn message(bytes: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<Request>(bytes) {
        let _ = request.subscribes();
    }
    if let Ok(hello) = serde_json::from_slice::<Hello>(bytes) {
        let text = serde_json::to_vec(&hello).expect("a message that was read can be written");
        assert_eq!(serde_json::from_slice::<Hello>(&text).ok(), Some(hello));
    }
}

fn query(bytes: &[u8]) {
    match Query::parse(bytes) {
        Ok(query) => {
            let answer = query.answer(Code::NoError, &[], 1);
            assert!(query.is_answered_by(query.id, &answer));
            let _ = dns::reversed_ipv4(&query.name);
        }
        Err(BadQuery::Unserved(id, code)) => {
            assert_eq!(dns::refusal(id, code).len(), dns::HEADER_BYTES);
        }
        Err(BadQuery::Garbage) => {}
    }
}

fn address(bytes: &[u8]) {
    if let Ok(Given::Inet(address)) = sockaddr::parse(bytes) {
        let again = sockaddr::parse(&sockaddr::encode(address, address.is_ipv6()));
        assert_eq!(again, Ok(Given::Inet(address)));
    }
}
