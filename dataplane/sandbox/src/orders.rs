//! What daemon and launcher say to each other (`docs/protocols.md`, section 8).

use std::io;

use jd_wire::control::push_frame;
use rustix::net::{send, SendFlags};
use rustix::stdio::stdin;
use serde::{Deserialize, Serialize};

use crate::spec::SPEC_BYTES_MAX;
use crate::state::State;

/// What the daemon asks.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Start a sandbox; answered by `ended`, some day.
    Launch { spec: serde_json::Value },
    /// SIGTERM, and SIGKILL after its grace.
    Stop { sandbox: String },
    /// SIGKILL.
    Kill { sandbox: String },
}

/// What the daemon is told.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    /// A sandbox is gone with all its processes. `clean`: nothing of it is left, not even its run folder.
    Ended {
        sandbox: &'a str,
        state: Option<&'a State>,
        clean: bool,
    },
}

/// Takes one whole frame off the front: a u32, little-endian, and that many bytes. They may be more than the other
/// protocols' frames hold, since a specification carries the function's whole environment.
pub(crate) fn take_frame(input: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    let Some(head) = input.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*head);
    if u64::from(length) > SPEC_BYTES_MAX {
        let text = format!("a frame of {length} bytes, at most {SPEC_BYTES_MAX} are allowed");
        return Err(io::Error::other(text));
    }
    let end = 4 + length as usize;
    if input.len() < end {
        return Ok(None);
    }
    let frame = input[4..end].to_vec();
    input.drain(..end);
    Ok(Some(frame))
}

pub(crate) fn tell(event: &Event<'_>) -> io::Result<()> {
    let mut frame = Vec::new();
    push_frame(&mut frame, &serde_json::to_vec(event)?);
    let mut left = frame.as_slice();
    while !left.is_empty() {
        match send(stdin(), left, SendFlags::NOSIGNAL) {
            Ok(bytes) => left = &left[bytes..],
            Err(rustix::io::Errno::INTR) => {}
            // The daemon is gone; the next read says so too.
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_whole_and_bounded() {
        let mut input = Vec::new();
        push_frame(&mut input, b"one");
        push_frame(&mut input, b"");
        let rest = input.split_off(5);
        assert!(take_frame(&mut input).expect("short").is_none());
        input.extend(rest);
        assert_eq!(
            take_frame(&mut input).expect("whole"),
            Some(b"one".to_vec())
        );
        assert_eq!(take_frame(&mut input).expect("whole"), Some(Vec::new()));
        assert!(take_frame(&mut input).expect("empty").is_none());
        input.extend(u32::MAX.to_le_bytes());
        assert!(take_frame(&mut input).is_err());
    }

    #[test]
    fn unknown_requests_are_refused() {
        assert!(serde_json::from_str::<Request>(r#"{"op":"stop","sandbox":"a"}"#).is_ok());
        assert!(serde_json::from_str::<Request>(r#"{"op":"stop","sandbox":"a","x":1}"#).is_err());
        assert!(serde_json::from_str::<Request>(r#"{"op":"exec","sandbox":"a"}"#).is_err());
    }
}
