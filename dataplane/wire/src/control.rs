//! Messages of the control socket between junctiond and jnetd (`docs/protocols.md`, sections 3 and 4).
//!
//! The types are the whole contract: anything that does not parse into them is answered with
//! `bad_request` and changes nothing.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Version of this protocol; `hello` with another one is refused.
pub const PROTOCOL: u32 = 1;

/// Longest frame body accepted from a peer, in bytes.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// Longest spin that may be granted, in microseconds: polling for longer costs more than a wake-up ever saves.
pub const SPIN_US_MAX: u32 = 50;

/// A request with the number that its reply carries.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// Chosen by the client, echoed in the reply.
    pub id: u64,
    /// What is asked.
    #[serde(flatten)]
    pub op: Op,
}

impl Request {
    /// Whether its sender wants events from now on.
    #[must_use]
    pub fn subscribes(&self) -> bool {
        matches!(
            self.op,
            Op::Hello {
                protocol: PROTOCOL,
                ..
            }
        )
    }
}

/// Everything that junctiond may ask of jnetd.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// First message of a client; subscribes it to events.
    Hello {
        /// Must equal [`PROTOCOL`].
        protocol: u32,
        /// Name of the client, for the log.
        client: String,
    },
    /// Replaces the facts about the host that sandboxes see.
    SetPlatform(Platform),
    /// Replaces the whole state of one function.
    PutFunction(Function),
    /// Forgets a function; its requests in the queue are answered 404.
    DeleteFunction {
        /// Function name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
    /// Lists the functions as they were put.
    ListFunctions,
    /// Waits until a replica accepts a connection, and answers 2xx where a path is given.
    Probe {
        /// Sandbox to look at.
        sandbox: String,
        /// Port of its listener.
        port: u16,
        /// Path for a GET request; none: a connection is enough.
        #[serde(default)]
        path: Option<String>,
        /// How long to try, in milliseconds.
        timeout_ms: u64,
    },
    /// Waits until a sandbox has no invocation in flight.
    Drain {
        /// Sandbox to look at.
        sandbox: String,
        /// How long to wait, in milliseconds.
        timeout_ms: u64,
    },
    /// Lists the attached sandboxes.
    ListSandboxes,
    /// Says how long a guest may poll its rings before it parks.
    PutWakePolicy {
        /// Which sandbox.
        sandbox: String,
        /// At most [`SPIN_US_MAX`], in microseconds; 0: park at once.
        spin_us: u32,
    },
    /// Reads all counters.
    Stats,
}

/// What sandboxes see of the host, and what they may reach.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// Address of the gateway as seen inside functions.
    pub gateway: Ipv4Addr,
    /// Port of the gateway as seen inside functions.
    pub gateway_port: u16,
    /// Resolvers that answer names the platform does not know.
    #[serde(default)]
    pub dns_upstreams: Vec<SocketAddr>,
    /// Further names of the platform.
    #[serde(default)]
    pub hosts: BTreeMap<String, Ipv4Addr>,
    /// What leaves the host.
    pub egress: Egress,
}

/// Egress policy of all sandboxes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// False: nothing leaves the host.
    pub allow: bool,
    /// Networks that stay out of reach, in CIDR notation.
    #[serde(default)]
    pub deny: Vec<String>,
}

/// One function with its replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Function name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Limits and watchdog semantics.
    pub settings: FunctionSettings,
    /// Where its invocations may go.
    pub replicas: Vec<Replica>,
}

/// Limits and watchdog semantics of one function. Zero means "no limit" where a field says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FunctionSettings {
    /// Invocations that one replica serves at a time; 0: no limit.
    pub replica_inflight_max: u32,
    /// Invocations that wait for a replica; more are answered 429.
    pub queue_max: u32,
    /// Longest wait for a replica, in milliseconds; then 503.
    pub queue_timeout_ms: u64,
    /// Longest run of an invocation, in milliseconds; then 504. 0: no limit.
    pub exec_timeout_ms: u64,
    /// Longest request body, in bytes; longer ones are answered 413. 0: no limit.
    pub body_bytes_max: u64,
    /// Answer the watchdog's own paths (`/_/health`, `/_/ready`).
    pub watchdog: bool,
    /// Path that `/_/ready` is asked of the function; none: listening is ready.
    pub ready_path: Option<String>,
    /// Whether a request may start the first replica.
    pub scale_from_zero: bool,
}

impl Default for FunctionSettings {
    fn default() -> Self {
        Self {
            replica_inflight_max: 0,
            queue_max: 1024,
            queue_timeout_ms: 60_000,
            exec_timeout_ms: 0,
            body_bytes_max: 0,
            watchdog: false,
            ready_path: None,
            scale_from_zero: true,
        }
    }
}

/// One routable replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replica {
    /// Sandbox that serves it.
    pub sandbox: String,
    /// Port of its listener inside the sandbox.
    pub port: u16,
    /// Finishes what it has and gets nothing new.
    #[serde(default)]
    pub draining: bool,
}

/// Why a request was refused.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// One of the codes of `docs/protocols.md`, section 3.
    pub code: &'static str,
    /// One sentence for a person.
    pub message: String,
}

/// Answer to one request.
#[derive(Debug, Serialize)]
pub struct Reply {
    /// Number of the request.
    pub id: u64,
    /// Its outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Outcome of one request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done; the value is what the operation returns.
    Ok(serde_json::Value),
    /// Refused; nothing changed.
    Error(Failure),
}

/// Something that happened without being asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A keeper handed over its sandbox.
    Attached {
        /// Which sandbox.
        sandbox: String,
    },
    /// A guest listens on a port: the exact moment of readiness.
    Listening {
        /// Which sandbox.
        sandbox: String,
        /// Which port.
        port: u16,
    },
    /// A sandbox is gone or was cut off.
    Detached {
        /// Which sandbox.
        sandbox: String,
        /// Why, in a few words.
        reason: String,
    },
    /// A request waits and the function has no replica.
    Wanted {
        /// Function name.
        name: String,
        /// Its namespace.
        namespace: String,
    },
    /// A guest did something that no honest program does.
    Violation {
        /// Which sandbox.
        sandbox: String,
        /// What it was, in a few words.
        kind: String,
    },
}

/// Takes one whole frame off the front of `buffer`.
///
/// # Errors
/// A frame that announces more than [`FRAME_BYTES_MAX`] bytes; the connection cannot be used any further.
pub fn take_frame(buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>, FrameTooLong> {
    let Some(head) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*head) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(FrameTooLong { length });
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    let frame = buffer[4..4 + length].to_vec();
    buffer.drain(..4 + length);
    Ok(Some(frame))
}

/// Appends one frame with `body` to `buffer`.
pub fn push_frame(buffer: &mut Vec<u8>, body: &[u8]) {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(body);
}

/// A peer announced a frame longer than [`FRAME_BYTES_MAX`].
#[derive(Debug, thiserror::Error)]
#[error("a frame of {length} bytes, at most {FRAME_BYTES_MAX} are allowed")]
pub struct FrameTooLong {
    /// The announced length, in bytes.
    pub length: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_parses_into_its_operation() {
        let text = r#"{"id":7,"op":"probe","sandbox":"a","port":8080,"timeout_ms":100}"#;
        let request: Request = serde_json::from_str(text).expect("valid");
        assert_eq!(request.id, 7);
        assert!(matches!(
            request.op,
            Op::Probe {
                port: 8080,
                path: None,
                ..
            }
        ));
    }

    #[test]
    fn settings_left_out_take_their_defaults() {
        let text = r#"{"id":1,"op":"put_function","name":"f","namespace":"n","settings":{},"replicas":[{"sandbox":"s","port":80}]}"#;
        let request: Request = serde_json::from_str(text).expect("valid");
        let Op::PutFunction(function) = request.op else {
            panic!("another operation")
        };
        assert_eq!(function.settings, FunctionSettings::default());
        assert!(!function.replicas[0].draining);
    }

    #[test]
    fn unknown_settings_are_refused() {
        let text = r#"{"id":1,"op":"put_function","name":"f","namespace":"n","settings":{"queue":1},"replicas":[]}"#;
        assert!(serde_json::from_str::<Request>(text).is_err());
    }

    #[test]
    fn replies_and_events_have_the_documented_shape() {
        let reply = Reply {
            id: 3,
            outcome: Outcome::Ok(serde_json::json!({})),
        };
        assert_eq!(
            serde_json::to_string(&reply).expect("json"),
            r#"{"id":3,"ok":{}}"#
        );
        let event = Event::Listening {
            sandbox: "s".into(),
            port: 8080,
        };
        assert_eq!(
            serde_json::to_string(&event).expect("json"),
            r#"{"event":"listening","sandbox":"s","port":8080}"#
        );
    }

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let mut sent = Vec::new();
        push_frame(&mut sent, b"first");
        push_frame(&mut sent, b"");
        let mut received = Vec::new();
        let mut frames = Vec::new();
        for byte in sent {
            received.push(byte);
            while let Some(frame) = take_frame(&mut received).expect("short") {
                frames.push(frame);
            }
        }
        assert_eq!(frames, [b"first".to_vec(), Vec::new()]);
    }

    #[test]
    fn an_oversized_frame_is_refused_before_it_is_read() {
        let mut buffer = u32::MAX.to_le_bytes().to_vec();
        assert!(take_frame(&mut buffer).is_err());
    }
}
