//! The control and attach sockets of the real binary: what honest clients get, and what broken ones do not break.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{json, Value};

struct Jnetd {
    process: Child,
    folder: tempfile::TempDir,
}

impl Jnetd {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = |name: &str| folder.path().join(name);
        let process = Command::new(env!("CARGO_BIN_EXE_jnetd"))
            .args(["--listen", "127.0.0.1:0"])
            .args([Path::new("--control"), &path("control")])
            .args([Path::new("--attach"), &path("attach")])
            .args([Path::new("--provider"), &path("provider")])
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let started = Instant::now();
        while !path("attach").exists() || UnixStream::connect(path("control")).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "it does not listen"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { process, folder }
    }

    fn client(&self) -> Client {
        let stream = UnixStream::connect(self.folder.path().join("control")).expect("connected");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("timeout");
        Client(stream)
    }
}

impl Drop for Jnetd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Client(UnixStream);

impl Client {
    fn send(&mut self, body: &[u8]) {
        let length = u32::try_from(body.len()).expect("short");
        self.0.write_all(&length.to_le_bytes()).expect("sent");
        self.0.write_all(body).expect("sent");
    }

    fn receive(&mut self) -> Value {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).expect("an answer");
        let mut body = vec![0; u32::from_le_bytes(length) as usize];
        self.0.read_exact(&mut body).expect("an answer");
        serde_json::from_slice(&body).expect("JSON")
    }

    fn ask(&mut self, request: &Value) -> Value {
        self.send(request.to_string().as_bytes());
        self.receive()
    }
}

fn function() -> Value {
    json!({"name": "f", "namespace": "n", "settings": {}, "replicas": [{"sandbox": "s", "port": 80, "draining": false}]})
}

#[test]
fn a_client_says_hello_and_is_told_who_answers() {
    let jnetd = Jnetd::start();
    let answer = jnetd
        .client()
        .ask(&json!({"id": 1, "op": "hello", "protocol": 1, "client": "test"}));
    assert_eq!(answer["id"], 1);
    assert_eq!(answer["ok"]["protocol"], 1);
    assert_eq!(answer["ok"]["pid"], jnetd.process.id());
}

#[test]
fn another_version_is_refused_by_name() {
    let jnetd = Jnetd::start();
    let answer = jnetd
        .client()
        .ask(&json!({"id": 1, "op": "hello", "protocol": 99, "client": "test"}));
    assert_eq!(answer["error"]["code"], "version");
}

#[test]
fn a_spin_is_bounded_and_for_attached_sandboxes_only() {
    let jnetd = Jnetd::start();
    let mut client = jnetd.client();
    for (spin_us, code) in [(50, "unknown_sandbox"), (51, "bad_request")] {
        let put = json!({"id": 1, "op": "put_wake_policy", "sandbox": "s", "spin_us": spin_us});
        assert_eq!(client.ask(&put)["error"]["code"], code);
    }
}

#[test]
fn workers_tell_where_they_sit_and_what_they_did() {
    let jnetd = Jnetd::start();
    let answer = jnetd.client().ask(&json!({"id": 1, "op": "stats"}));
    let worker = &answer["ok"]["workers"][0];
    assert!(worker["thread"].as_i64().expect("a number") > 0);
    assert!(!worker["cores"].as_array().expect("a list").is_empty());
    assert!(worker["run_ns"].is_u64() && worker["wait_ns"].is_u64() && worker["park_ns"].is_u64());
}

#[test]
fn functions_are_put_listed_and_deleted() {
    let jnetd = Jnetd::start();
    let mut client = jnetd.client();
    let mut put = function();
    put["id"] = json!(1);
    put["op"] = json!("put_function");
    assert_eq!(client.ask(&put)["ok"], json!({}));
    let listed = client.ask(&json!({"id": 2, "op": "list_functions"}));
    assert_eq!(listed["ok"]["functions"][0]["name"], "f");
    assert_eq!(
        listed["ok"]["functions"][0]["replicas"],
        function()["replicas"]
    );
    let delete = json!({"id": 3, "op": "delete_function", "name": "f", "namespace": "n"});
    assert_eq!(client.ask(&delete)["ok"], json!({}));
    assert_eq!(client.ask(&delete)["error"]["code"], "unknown_function");
}

#[test]
fn nonsense_is_answered_and_the_connection_goes_on() {
    let jnetd = Jnetd::start();
    let mut client = jnetd.client();
    client.send(b"{");
    assert_eq!(client.receive()["error"]["code"], "bad_request");
    let unknown = client.ask(&json!({"id": 4, "op": "explode"}));
    assert_eq!(
        (&unknown["id"], &unknown["error"]["code"]),
        (&json!(4), &json!("unknown_op"))
    );
    let missing =
        client.ask(&json!({"id": 5, "op": "probe", "sandbox": "x", "port": 1, "timeout_ms": 1}));
    assert_eq!(missing["error"]["code"], "unknown_sandbox");
    assert!(client.ask(&json!({"id": 6, "op": "stats"}))["ok"]["workers"].is_array());
}

#[test]
fn a_frame_too_long_costs_only_its_sender_the_connection() {
    let jnetd = Jnetd::start();
    let mut broken = jnetd.client();
    broken.0.write_all(&u32::MAX.to_le_bytes()).expect("sent");
    assert_eq!(broken.0.read(&mut [0; 16]).expect("end of file"), 0);
    assert!(jnetd
        .client()
        .ask(&json!({"id": 1, "op": "list_sandboxes"}))["ok"]["sandboxes"]
        .is_array());
}

#[test]
fn the_sockets_are_for_root_alone() {
    use std::os::unix::fs::PermissionsExt;
    let jnetd = Jnetd::start();
    for name in ["control", "attach"] {
        let mode = std::fs::metadata(jnetd.folder.path().join(name))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
