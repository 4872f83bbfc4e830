//! Signals must reach guests whose calls wait, and must not corrupt calls.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::{guests, python, sys, World, ADDRESS};

fn script() -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg("-u").arg(guests().join("signals.py"));
    command
}

#[test]
fn waiting_calls_behave_as_the_kernels() {
    let mut kernel = script();
    sys::on_kernel_tcp(&mut kernel, ADDRESS);
    let kernel = kernel.output().unwrap();
    let kernel = String::from_utf8_lossy(&kernel.stdout).into_owned()
        + &String::from_utf8_lossy(&kernel.stderr);
    let ours = World::new().output(&mut script());
    assert_eq!(ours, kernel);
    assert!(
        ours.contains("accept interrupt EINTR early handled"),
        "{ours}"
    );
    assert!(ours.contains("accept restart ok late handled"), "{ours}");
    assert!(ours.contains("storm {} hit"), "{ours}");
}

#[test]
fn a_server_that_waits_in_accept_ends_by_sigterm() {
    let world = World::new();
    let mut guest = world.launch(&mut python(
        "import socket\ns = socket.socket(); s.bind(('', 8080)); s.listen(); s.accept()",
    ));
    world.recorder.listening(8080);
    std::thread::sleep(Duration::from_millis(300));
    let started = Instant::now();
    sys::kill(guest.child.id(), libc::SIGTERM);
    let status = guest.child.wait().unwrap();
    assert!(started.elapsed() < support::PATIENCE);
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(libc::SIGTERM)
    );
}

#[test]
fn a_killed_waiter_frees_its_port() {
    let world = World::new();
    let printed = world.output(&mut python(
        r#"
import os, signal, socket, time
def serve():
    s = socket.socket(); s.bind(("127.0.0.1", 8080)); s.listen(); s.accept()
child = os.fork()
if child == 0: serve()
time.sleep(0.3)
os.kill(child, signal.SIGKILL); os.waitpid(child, 0)
s = socket.socket()
for _ in range(1200):
    try: s.bind(("127.0.0.1", 8080)); print("free"); break
    except OSError: time.sleep(0.05)
"#,
    ));
    assert_eq!(printed, "free\n");
}
