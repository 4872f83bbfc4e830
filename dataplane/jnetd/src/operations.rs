//! What each request of the control protocol does.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jd_wire::control::{Failure, Function, Op, Outcome, Reply, Request, PROTOCOL, SPIN_US_MAX};
use serde_json::{json, Value};

use crate::inbox::Inbox;
use crate::keeper::Handover;
use crate::plane::Plane;
use crate::serve::Message;

/// Longest probe or drain a client may ask for.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Executes requests on the data plane.
pub struct Operations {
    plane: Plane,
    inbox: Inbox<Message>,
    started_at_ns: u64,
}

type Result<T> = std::result::Result<T, Failure>;

fn failure(code: &'static str, message: impl Into<String>) -> Failure {
    Failure {
        code,
        message: message.into(),
    }
}

/// The reply to a frame that is no request; its number is echoed where there is one.
pub fn unreadable(frame: &[u8], error: &serde_json::Error) -> Reply {
    let value: Option<Value> = serde_json::from_slice(frame).ok();
    let id = value
        .as_ref()
        .and_then(|value| value.get("id"))
        .and_then(Value::as_u64)
        .unwrap_or(0);
    let text = error.to_string();
    let code = if text.starts_with("unknown variant") {
        "unknown_op"
    } else {
        "bad_request"
    };
    Reply {
        id,
        outcome: Outcome::Error(failure(code, text)),
    }
}

impl Operations {
    /// Operations on `plane`; late answers go through `inbox`.
    pub fn new(plane: Plane, inbox: Inbox<Message>) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let started_at_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        Self {
            plane,
            inbox,
            started_at_ns,
        }
    }

    /// Serves the sandbox that a keeper handed over.
    ///
    /// # Errors
    /// A sandbox of that name is attached already, or a descriptor is not what it should be.
    pub fn attach(&self, handover: Handover) -> std::io::Result<()> {
        let Handover {
            hello,
            notify,
            socket_netns,
            pidfd,
            journal,
        } = handover;
        self.plane.ports.attach(jd_port::Attachment {
            sandbox: hello.sandbox,
            address: hello.address,
            gateway: hello.gateway,
            nameserver: hello.nameserver,
            init_pid: hello.init_pid,
            notify,
            socket_netns,
            pidfd,
            journal,
        })
    }

    /// Forgets a sandbox; the supervisor tells the clients why, as it does of one that ended by itself. False: it
    /// has done so already.
    pub fn detach(&self, sandbox: &str, reason: &str) -> bool {
        self.plane.ports.detach(sandbox, reason)
    }

    /// Executes one request; `None`: the answer comes later through the inbox.
    pub fn execute(&self, client: u64, request: Request) -> Option<Reply> {
        let id = request.id;
        let done = match request.op {
            Op::Probe {
                sandbox,
                port,
                path,
                timeout_ms,
            } => self.probe(client, id, &sandbox, port, path, timeout_ms),
            Op::Drain {
                sandbox,
                timeout_ms,
            } => self.drain(client, id, &sandbox, timeout_ms),
            Op::Hello { protocol, client } => self.hello(protocol, &client).map(Some),
            Op::SetPlatform(platform) => self.set_platform(platform).map(Some),
            Op::PutFunction(function) => self.put_function(function).map(Some),
            Op::DeleteFunction { name, namespace } => {
                self.delete_function(&name, &namespace).map(Some)
            }
            Op::PutWakePolicy { sandbox, spin_us } => {
                self.put_wake_policy(&sandbox, spin_us).map(Some)
            }
            Op::ListFunctions => Ok(Some(json!({ "functions": self.plane.front.functions() }))),
            Op::ListSandboxes => Ok(Some(json!({ "sandboxes": self.sandboxes() }))),
            Op::Stats => self.stats().map(Some),
        };
        let outcome = match done {
            Ok(None) => return None,
            Ok(Some(value)) => Outcome::Ok(value),
            Err(refusal) => Outcome::Error(refusal),
        };
        Some(Reply { id, outcome })
    }

    fn delete_function(&self, name: &str, namespace: &str) -> Result<Value> {
        if self.plane.front.delete_function(name, namespace) {
            return Ok(json!({}));
        }
        let text = format!("{name}.{namespace} is not known here");
        Err(failure("unknown_function", text))
    }

    fn stats(&self) -> Result<Value> {
        let mut stats = to_value(&self.plane.front.stats())?;
        stats["sandboxes"] = self.sandboxes();
        Ok(stats)
    }

    fn hello(&self, protocol: u32, client: &str) -> Result<Value> {
        if protocol != PROTOCOL {
            let text = format!("protocol {protocol} is not spoken here, {PROTOCOL} is");
            return Err(failure("version", text));
        }
        log::info!("control client {client:?} said hello");
        Ok(json!({
            "protocol": PROTOCOL,
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "started_at_ns": self.started_at_ns,
        }))
    }

    fn set_platform(&self, platform: jd_wire::control::Platform) -> Result<Value> {
        let platform = jd_port::Platform::try_from(platform)
            .map_err(|error| failure("bad_request", error.to_string()))?;
        self.plane.platform.store(Arc::new(platform));
        Ok(json!({}))
    }

    fn put_function(&self, function: Function) -> Result<Value> {
        self.plane
            .front
            .put_function(function)
            .map_err(|error| failure("bad_request", error.to_string()))?;
        Ok(json!({}))
    }

    fn sandboxes(&self) -> Value {
        let rows = self.plane.ports.sandboxes().into_iter().map(|sandbox| {
            let mut row = serde_json::to_value(sandbox.counters).unwrap_or_else(|_| json!({}));
            row["sandbox"] = json!(sandbox.sandbox);
            row["address"] = json!(sandbox.address);
            row["listening"] = json!(sandbox.listening);
            row["spin_ns"] = json!(sandbox.spin_ns);
            let rings = sandbox.rings.map(serde_json::to_value);
            if let (Value::Object(row), Some(Ok(Value::Object(mut rings)))) = (&mut row, rings) {
                row.append(&mut rings);
            }
            row
        });
        Value::Array(rows.collect())
    }

    fn put_wake_policy(&self, sandbox: &str, spin_us: u32) -> Result<Value> {
        if spin_us > SPIN_US_MAX {
            let text = format!("spin_us must be at most {SPIN_US_MAX}, not {spin_us}");
            return Err(failure("bad_request", text));
        }
        if self.plane.ports.set_spin_ns(sandbox, spin_us * 1000) {
            return Ok(json!({}));
        }
        Err(failure(
            "unknown_sandbox",
            format!("{sandbox} is not attached"),
        ))
    }

    fn known(&self, sandbox: &str) -> Result<()> {
        if self.plane.ports.knows(sandbox) {
            return Ok(());
        }
        Err(failure(
            "unknown_sandbox",
            format!("{sandbox} is not attached"),
        ))
    }

    fn probe(
        &self,
        client: u64,
        id: u64,
        sandbox: &str,
        port: u16,
        path: Option<String>,
        timeout_ms: u64,
    ) -> Result<Option<Value>> {
        self.known(sandbox)?;
        let inbox = self.inbox.clone();
        let name = format!("{sandbox}:{port}");
        let answer = move |status: Option<Option<u16>>| {
            let outcome = match status {
                Some(status) => Outcome::Ok(json!({ "status": status })),
                None => Outcome::Error(failure("not_ready", format!("{name} does not answer yet"))),
            };
            inbox.send(Message::Reply {
                client,
                reply: Reply { id, outcome },
            });
        };
        self.plane
            .front
            .probe(sandbox, port, path, wait(timeout_ms), Box::new(answer));
        Ok(None)
    }

    fn drain(&self, client: u64, id: u64, sandbox: &str, timeout_ms: u64) -> Result<Option<Value>> {
        let inbox = self.inbox.clone();
        let answer = move |in_flight: u64| {
            let outcome = Outcome::Ok(json!({ "in_flight": in_flight }));
            inbox.send(Message::Reply {
                client,
                reply: Reply { id, outcome },
            });
        };
        self.plane
            .front
            .drain(sandbox, wait(timeout_ms), Box::new(answer));
        Ok(None)
    }
}

fn wait(timeout_ms: u64) -> Duration {
    Duration::from_millis(timeout_ms).min(WAIT_MAX)
}

fn to_value(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| failure("bad_request", error.to_string()))
}
