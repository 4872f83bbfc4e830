//! Real, unmodified servers behind the supervisor.

mod support;

use std::process::Command;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use jd_port::{Egress, Platform};
use support::{exchange, get, go_guest, guests, has, python, World};

#[test]
fn a_grant_to_poll_is_kept_and_told() {
    let world = World::new();
    let mut guest = world.launch(&mut python("import time; time.sleep(1000)"));
    let spin_ns = || world.supervisor.stats("one").map(|stats| stats.spin_ns);
    assert_eq!(spin_ns(), Some(0));
    assert!(world.supervisor.set_spin_ns("one", 20_000));
    assert_eq!(spin_ns(), Some(20_000));
    assert!(world.supervisor.set_spin_ns("one", 0));
    assert_eq!(spin_ns(), Some(0));
    assert!(!world.supervisor.set_spin_ns("another", 20_000));
    let _ = guest.child.kill();
}

#[test]
fn a_static_go_server_answers() {
    if !has("go") {
        return;
    }
    let world = World::new();
    let guest = world.launch(Command::new(go_guest("echo")).arg(":8080"));
    world.recorder.listening(8080);
    let mut stream = world.dial(8080);
    let answer = exchange(
        &mut stream,
        "POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert!(answer.contains("remote=10.62.0.1:"), "{answer}");
    assert!(answer.contains("local=10.62.0.5:8080 body=5"), "{answer}");
    assert_eq!(world.supervisor.listening("one"), [8080]);

    // Kept alive, requests notify nothing at all. The server still looks for further connections.
    std::thread::sleep(Duration::from_millis(50));
    let before = world
        .supervisor
        .stats("one")
        .unwrap()
        .counters
        .notifications;
    for _ in 0..20 {
        get(&mut stream, "/");
    }
    let after = world
        .supervisor
        .stats("one")
        .unwrap()
        .counters
        .notifications;
    assert_eq!(after, before);

    // A further connection costs accept4 twice (the second finds nothing) and getsockname.
    let mut streams: Vec<_> = (0..10).map(|_| world.dial(8080)).collect();
    for stream in &mut streams {
        get(stream, "/");
    }
    let connections = world
        .supervisor
        .stats("one")
        .unwrap()
        .counters
        .notifications
        - after;
    assert!(
        connections <= 30,
        "{connections} notifications for 10 connections"
    );
    drop(guest);
}

#[test]
fn pythons_threading_server_answers() {
    let world = World::new();
    let mut command = Command::new("/usr/bin/python3");
    let _guest = world.launch(
        command
            .args(["-m", "http.server", "8080", "--protocol", "HTTP/1.1"])
            .current_dir("/sys/kernel"),
    );
    world.recorder.listening(8080);
    for _ in 0..3 {
        let answer = get(&mut world.dial(8080), "/");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("Directory listing"), "{answer}");
    }
}

/// Notifications that `connections` further connections with one request each cost.
fn cost(world: &World, connections: u32) -> f64 {
    get(&mut world.dial(8080), "/");
    std::thread::sleep(Duration::from_millis(50));
    let notified = || {
        world
            .supervisor
            .stats("one")
            .unwrap()
            .counters
            .notifications
    };
    let before = notified();
    for _ in 0..connections {
        get(&mut world.dial(8080), "/");
    }
    std::thread::sleep(Duration::from_millis(50));
    (notified() - before) as f64 / f64::from(connections)
}

#[test]
fn asyncio_answers_and_a_connection_costs_four() {
    let world = World::new();
    let script = r#"
import asyncio
async def serve(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    await writer.drain(); writer.close()
async def main():
    async with await asyncio.start_server(serve, "0.0.0.0", 8080) as server: await server.serve_forever()
asyncio.run(main())
"#;
    let _guest = world.launch(&mut python(script));
    world.recorder.listening(8080);
    assert!(get(&mut world.dial(8080), "/").ends_with("hi"));
    let cost = cost(&world, 20);
    assert!(cost <= 4.0, "{cost}");
}

#[test]
fn node_answers_and_a_connection_costs_nothing() {
    if !has("node") {
        return;
    }
    let world = World::new();
    let script = "require('http').createServer((q, r) => r.end('node')).listen(8080)";
    let _guest = world.launch(Command::new("node").args(["-e", script]));
    world.recorder.listening(8080);
    assert!(exchange(
        &mut world.dial(8080),
        "GET / HTTP/1.1\r\nHost: f\r\nConnection: close\r\n\r\n"
    )
    .contains("node"));
    let notified = || {
        world
            .supervisor
            .stats("one")
            .unwrap()
            .counters
            .notifications
    };
    let before = notified();
    for _ in 0..10 {
        exchange(
            &mut world.dial(8080),
            "GET / HTTP/1.1\r\nHost: f\r\nConnection: close\r\n\r\n",
        );
    }
    assert_eq!(notified(), before);
}

#[test]
fn java_serves_and_calls_itself() {
    if !has("java") {
        return;
    }
    let world = World::new();
    let mut guest = world.launch(
        Command::new("java")
            .arg("-Xshare:auto")
            .arg(guests().join("Server.java")),
    );
    world.recorder.listening(8090);
    let answer = get(&mut world.dial(8080), "/");
    assert!(answer.ends_with("peer 10.62.0.1"), "{answer}");
    let want = "peer 127.0.0.1\npeer 127.0.0.1\ntrue\ntrue\nready\n";
    let end = std::time::Instant::now() + support::PATIENCE;
    while !guest.printed().ends_with("ready\n") && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    // Its own calls are over.
    let cost = cost(&world, 20);
    assert!(cost <= 3.0, "{cost}");
    assert_eq!(guest.printed(), want);
}

#[test]
fn forked_clients_fetch_from_an_inherited_listener() {
    let world = World::new();
    let script = r#"
import os, socket, subprocess, sys
s = socket.socket(); s.bind(("127.0.0.1", 8000)); s.listen()
server = subprocess.Popen([sys.executable, "-c", """
import socket, sys
s = socket.socket(fileno=int(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    c, a = s.accept(); c.recv(999); c.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nchild"); c.close()
""", str(s.fileno()), str(len(sys.argv) - 1)], pass_fds=[s.fileno()])
s.close()
for client in sys.argv[1:]:
    print(subprocess.run(client.split() + ["http://127.0.0.1:8000/"], capture_output=True, text=True).stdout)
server.wait()
t = socket.socket(); t.bind(("127.0.0.1", 8000)); print("free")
"#;
    let clients = [
        ("curl", "curl -s"),
        ("wget", "wget -qO-"),
        ("busybox", "busybox wget -qO-"),
    ];
    let clients: Vec<_> = clients
        .iter()
        .filter(|(program, _)| has(program))
        .map(|(_, line)| *line)
        .collect();
    let printed = world.output(python(script).args(&clients));
    assert_eq!(printed, "child\n".repeat(clients.len()) + "free\n");
}

#[test]
fn a_go_client_calls_itself_the_gateway_and_names() {
    if !has("go") {
        return;
    }
    let outside = Ipv4Addr::new(192, 0, 2, 1);
    support::sys::own_network(outside);
    let egress = Egress {
        allow: true,
        deny: Vec::new(),
    };
    let world = World::with(Platform {
        egress,
        ..Platform::default()
    });
    // A listener whose backlog is full: connecting to it takes for ever.
    let slow = TcpListener::bind((outside, 9001)).unwrap();
    rustix::net::listen(&slow, 0).unwrap();
    let patience = Duration::from_millis(100);
    let _fill: Vec<_> = (0..2)
        .map(|_| TcpStream::connect_timeout(&(outside, 9001).into(), patience))
        .collect();
    let guest = world.launch(&mut Command::new(go_guest("calls")));
    let (mut gateway, peer) = world.recorder.gateway();
    assert_eq!(peer.ip().to_string(), "10.62.0.5");
    let mut request = [0; 512];
    assert!(gateway.read(&mut request).unwrap() > 0);
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\ngateway";
    gateway.write_all(answer.as_bytes()).unwrap();
    drop(gateway);
    let printed = guest.output();
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].ends_with("200 self"), "{printed}");
    let want = [
        "[10.62.0.1] <nil>",
        "http://10.62.0.1:8080/function/x 200 gateway",
        "true true",
        "<nil>",
        "ping true <nil>",
        "true <nil>",
    ];
    assert_eq!(lines[1..], want);
}

#[test]
fn an_unprivileged_user_is_served_alike() {
    let world = World::new();
    let mut command =
        python("import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8080)");
    let guest = support::Guest::start("one", command.current_dir("/"), Some(65_534));
    guest.attach(&world.supervisor);
    world.recorder.listening(8080);
    assert!(get(&mut world.dial(8080), "/").contains("200 OK"));
}
