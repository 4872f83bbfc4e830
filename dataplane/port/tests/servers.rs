//! Real, unmodified servers behind the supervisor.

mod support;

use std::process::Command;

use support::{exchange, get, go_guest, has, World};

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

    // Kept alive, requests notify nothing at all.
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
