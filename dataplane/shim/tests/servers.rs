//! Servers as people run them: bare, with the library, and on rings their answers are the same, byte for byte.
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::guest::{Guest, Mode, MODES};
use support::peer::Peer;
use support::player::Player;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/guests")
        .join(name)
}

fn body(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at * 7 + at / 251).to_le_bytes()[0])
        .collect()
}

fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// One answer: its head and its body.
fn answer(peer: &Peer) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(peer.take(1));
    }
    let text = String::from_utf8_lossy(&head).to_lowercase();
    let length = text
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next());
    let length: usize = length.expect("a length").parse().expect("a number");
    // The one line that differs from second to second.
    let mut said: Vec<u8> = text
        .lines()
        .filter(|line| !line.starts_with("date:"))
        .flat_map(|line| format!("{line}\n").into_bytes())
        .collect();
    said.extend(peer.take(length));
    said
}

/// Requests of many sizes, pieces and connections; everything that was answered, in order.
fn talk(player: &Player, port: u16, connections: usize) -> Vec<u8> {
    let mut said = Vec::new();
    let peers: Vec<Peer> = (0..connections)
        .map(|_| Peer::new(player.connect(port)))
        .collect();
    for peer in &peers {
        for len in [0, 1, 600, 600, 9_000, 70_000, 300_000, 5] {
            peer.send(&post("/", &body(len)));
            said.extend(answer(peer));
        }
        // In pieces.
        let request = post("/sleep", &body(3_000));
        for piece in request.chunks(1_100) {
            peer.send(piece);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        said.extend(answer(peer));
    }
    for round in 0..30 {
        for (at, peer) in peers.iter().enumerate() {
            peer.send(&post("/", &body(round * 97 + at)));
        }
        for peer in &peers {
            said.extend(answer(peer));
        }
    }
    peers[0].send(&post("/child", b"a "));
    said.extend(answer(&peers[0]));
    for peer in &peers {
        peer.send(&post("/", b"after"));
        said.extend(answer(peer));
    }
    for peer in &peers {
        peer.line().end_sending();
    }
    said
}

/// Requests for files of many sizes.
fn fetch(player: &Player, port: u16, connections: usize) -> Vec<u8> {
    let mut said = Vec::new();
    let peers: Vec<Peer> = (0..connections)
        .map(|_| Peer::new(player.connect(port)))
        .collect();
    for round in 0..10 {
        for size in FILE_SIZES {
            let request = format!("GET /{size} HTTP/1.1\r\nHost: test\r\nX-Round: {round}\r\n\r\n");
            peers.iter().for_each(|peer| peer.send(request.as_bytes()));
            peers.iter().for_each(|peer| said.extend(answer(peer)));
        }
    }
    said
}

const FILE_SIZES: [usize; 6] = [0, 1, 600, 9_000, 70_000, 500_000];

/// Compares what a server answers in each mode to what `ask` asks on so many connections.
fn twins(connections: usize, command: impl Fn() -> Command) {
    twins_by(talk, connections, command);
}

fn twins_by(
    ask: fn(&Player, u16, usize) -> Vec<u8>,
    connections: usize,
    command: impl Fn() -> Command,
) {
    let mut first: Option<Vec<u8>> = None;
    for mode in MODES {
        eprintln!("{mode:?}");
        let player = Player::start(mode == Mode::Rings);
        let mut command = command();
        command.stdin(Stdio::null());
        let guest = Guest::spawn(command, mode, &player);
        let said = ask(&player, guest.port, connections);
        let upgrades = player.upgrades() as usize;
        assert_eq!(
            upgrades,
            if mode == Mode::Rings { connections } else { 0 },
            "{mode:?}"
        );
        match &first {
            None => first = Some(said),
            Some(first) => assert!(&said == first, "{mode:?}: other answers than bare"),
        }
    }
}

fn python() -> &'static str {
    // The project's own environment has uvloop and gunicorn; any Python has the rest.
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.venv/bin/python");
    if Path::new(own).exists() {
        own
    } else {
        "python3"
    }
}

fn run(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

#[test]
fn python_with_a_thread_for_each_connection() {
    let script = script("threaded.py");
    twins(5, || run(python(), &[script.to_str().expect("text")]));
}

#[test]
fn python_with_timeouts() {
    // With a timeout Python polls before every read, on a non-blocking socket.
    let script = script("threaded.py");
    twins(3, || run(python(), &[script.to_str().expect("text"), "30"]));
}

#[test]
fn asyncio() {
    let script = script("loop.py");
    twins(8, || run(python(), &[script.to_str().expect("text")]));
}

/// Whether the Python of these tests has a module.
fn has(module: &str) -> bool {
    run(python(), &["-c", &format!("import {module}")])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[test]
fn uvloop() {
    if has("uvloop") {
        let script = script("loop.py");
        twins(8, || {
            run(python(), &[script.to_str().expect("text"), "uvloop"])
        });
    }
}

#[test]
fn workers_forked_before_they_accept() {
    let script = script("forking.py");
    // One connection a worker at a time.
    twins(2, || run(python(), &[script.to_str().expect("text")]));
}

#[test]
fn gunicorn() {
    if has("gunicorn") {
        let script = script("wsgi.py");
        twins(6, || run(python(), &[script.to_str().expect("text")]));
    }
}

#[test]
fn node() {
    if Command::new("node")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok()
    {
        let script = script("server.js");
        twins(8, || run("node", &[script.to_str().expect("text")]));
    }
}

#[test]
fn jvm() {
    if Command::new("javac")
        .arg("-version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
    {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().to_str().expect("text");
        let source = script("Server.java");
        let built = run("javac", &["-d", out, source.to_str().expect("text")]).status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "building the server"
        );
        twins(6, || {
            run(
                "java",
                &[
                    "-Xshare:auto",
                    "-XX:TieredStopAtLevel=1",
                    "-cp",
                    out,
                    "Server",
                ],
            )
        });
    }
}

const NGINX: &str = "
env JSHIM_TEST_HOST; daemon off; worker_processes 1; pid FOLDER/pid; error_log FOLDER/error.log;
events { worker_connections 256; }
http {
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;
    client_body_temp_path FOLDER/a; proxy_temp_path FOLDER/b; fastcgi_temp_path FOLDER/c;
    uwsgi_temp_path FOLDER/d; scgi_temp_path FOLDER/e;
    server { listen 127.0.0.1:PORT; root FOLDER/files; }
}
";

#[test]
fn nginx_sends_files() {
    if Command::new("nginx")
        .arg("-v")
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().to_str().expect("text").to_owned();
    std::fs::create_dir(folder.path().join("files")).expect("a folder");
    // Its worker may be another user.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), readable).expect("permissions");
    for size in FILE_SIZES {
        std::fs::write(folder.path().join(format!("files/{size}")), body(size)).expect("a file");
    }
    twins_by(fetch, 6, || {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let text = NGINX
            .replace("FOLDER", &out)
            .replace("PORT", &port.to_string());
        std::fs::write(format!("{out}/nginx.conf"), text).expect("a file");
        run(
            "sh",
            &[
                "-c",
                &format!("echo {port}; exec nginx -c {out}/nginx.conf"),
            ],
        )
    });
}

#[test]
fn a_new_host_finds_the_program_as_it_was() {
    for name in ["loop.py", "threaded.py"] {
        let script = script(name);
        let player = Player::start(true);
        let mut command = run(python(), &[script.to_str().expect("text")]);
        command.stdin(Stdio::null());
        let guest = Guest::spawn(command, Mode::Rings, &player);
        let first = talk(&player, guest.port, 4);
        for round in 2..4 {
            player.restart();
            let again = talk(&player, guest.port, 4);
            assert!(first == again, "{name}: other answers after the host's end");
            // A connection may meet a place that its predecessor has not left yet; then it stays on its descriptor.
            assert!(
                player.upgrades() > 4 * (round - 1),
                "{name}: no rings after the host's end"
            );
        }
    }
}
