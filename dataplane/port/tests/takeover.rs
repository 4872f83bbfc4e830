//! A supervisor dies and another one goes on: listeners, names and waiting calls are found again.
//!
//! Dropping a supervisor stands for its death: its threads end, its descriptors close, what it held
//! in hand stays unanswered in the journal, and the keeper (here the test) holds the rest.

mod support;

use std::io::{Read, Write};
use std::process::Command;

use support::{exchange, get, go_guest, has, python, Guest, World};

#[test]
fn a_go_server_goes_on_with_its_listener_and_connections() {
    if !has("go") {
        return;
    }
    let first = World::new();
    let guest = Guest::start("one", Command::new(go_guest("echo")).arg(":8080"), None);
    guest.attach(&first.supervisor);
    first.recorder.listening(8080);
    let mut kept = first.dial(8080);
    assert!(get(&mut kept, "/").contains("remote=10.62.0.1:"));
    drop(first);
    // A connection that stood does not need a supervisor.
    assert!(get(&mut kept, "/").contains("200 OK"));

    let second = World::new();
    guest.attach(&second.supervisor);
    assert_eq!(second.supervisor.listening("one"), [8080]);
    let answer = exchange(
        &mut second.dial(8080),
        "POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 3\r\n\r\nabc",
    );
    assert!(answer.contains("local=10.62.0.5:8080 body=3"), "{answer}");
    assert!(get(&mut kept, "/").contains("200 OK"));
}

#[test]
fn a_call_in_hand_is_answered_with_eintr() {
    let first = World::new();
    let mut guest = Guest::start(
        "one",
        &mut python(
            r#"
import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
s = socket.socket(); s.bind(("", 8080)); s.listen()
room, length = ctypes.create_string_buffer(16), ctypes.c_int(16)
print(libc.accept(s.fileno(), room, ctypes.byref(length)), errno.errorcode[ctypes.get_errno()], flush=True)
c, peer = s.accept(); print(peer[0], c.recv(9), s.getsockname(), flush=True); c.sendall(b"ok")
try: socket.socket().bind(("", 8080)); print("bound twice")
except OSError as e: print(errno.errorcode[e.errno], flush=True)
"#,
        ),
        None,
    );
    guest.attach(&first.supervisor);
    first.recorder.listening(8080);
    while first.supervisor.stats("one").unwrap().counters.parked == 0 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    drop(first);
    let second = World::new();
    guest.attach(&second.supervisor);
    let mut stream = second.dial(8080);
    stream.write_all(b"hello").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    guest.child.wait().unwrap();
    assert_eq!(answer, "ok");
    let want = "-1 EINTR\n10.62.0.1 b'hello' ('0.0.0.0', 8080)\nEADDRINUSE\n";
    assert_eq!(guest.printed(), want);
}

#[test]
fn calls_wait_while_nobody_supervises() {
    let first = World::new();
    let guest = Guest::start(
        "one",
        &mut python("import socket, time\nfor _ in range(100):\n  s = socket.socket(); s.bind(('', 0)); s.listen(); s.close(); time.sleep(0.005)\nprint('done')"),
        None,
    );
    guest.attach(&first.supervisor);
    std::thread::sleep(std::time::Duration::from_millis(100));
    drop(first);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let second = World::new();
    guest.attach(&second.supervisor);
    assert_eq!(guest.output(), "done\n");
}

#[test]
fn a_name_is_attached_once_and_free_again_when_the_guest_ends() {
    let world = World::new();
    let guest = world.launch(&mut python("import time; time.sleep(30)"));
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        guest.attach(&world.supervisor)
    }));
    assert!(refused.is_err());
    assert!(world.supervisor.knows("one"));
    drop(guest);
    world
        .recorder
        .wait(|event| matches!(event, jd_port::Event::Detached { .. }));
    assert!(!world.supervisor.knows("one"));
    let error = world.supervisor.dial("one", 8080).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    let _again = world.launch(&mut python("import time; time.sleep(30)"));
    let error = world.supervisor.dial("one", 8080).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    world.supervisor.detach("one", "detached");
    world.supervisor.detach("unknown", "detached");
}
