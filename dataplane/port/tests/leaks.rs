//! A sandbox that ends leaves nothing behind in the supervisor. Alone in its process, so that the
//! descriptors it counts are its own.

mod support;

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use jd_port::{Egress, Event, Platform};
use support::{python, World};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A guest with something of everything.
const SCRIPT: &str = r#"
import os, socket, threading, time
s = socket.socket(); s.bind(("", 8080)); s.listen()
held = [socket.create_connection(("127.0.0.1", 8080)) for _ in range(20)]
held += [socket.create_connection(("10.62.0.1", 8080)) for _ in range(20)]
for _ in range(20):
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.sendto(b"x", ("192.0.2.1", 9000)); held.append(u)
for _ in range(20):
    c = socket.socket(); c.setblocking(False); c.connect_ex(("192.0.2.1", 9000)); held.append(c)
for _ in range(20):
    t = socket.socket(); t.bind(("127.0.0.1", 0)); t.listen(); held.append(t)
    threading.Thread(target=t.accept, daemon=True).start()
time.sleep(0.3)
print("ready", flush=True)
time.sleep(60)
"#;

#[test]
fn nothing_is_left_of_a_sandbox() {
    support::sys::own_network(OUTSIDE);
    let egress = Egress {
        allow: true,
        deny: Vec::new(),
    };
    let world = World::with(Platform {
        egress,
        ..Platform::default()
    });
    let listener = TcpListener::bind((OUTSIDE, 9000)).unwrap();
    std::thread::spawn(move || {
        listener
            .incoming()
            .flatten()
            .map(std::mem::forget)
            .for_each(drop)
    });
    let _datagrams = UdpSocket::bind((OUTSIDE, 9000)).unwrap();
    let mut before = 0;
    for round in 0..3 {
        let mut guest = world.launch(&mut python(SCRIPT));
        world.recorder.listening(8080);
        let _dialled = world.supervisor.dial("one", 8080).unwrap();
        let end = Instant::now() + support::PATIENCE;
        while !guest.printed().contains("ready") && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(guest.printed().contains("ready"), "{}", guest.printed());
        drop(guest);
        let end = Instant::now() + support::PATIENCE;
        while world.supervisor.knows("one") && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        world.recorder.forget();
        // What closes on other threads needs a moment; the outside's ends stay, 20 a round.
        let settled = |wanted: usize| {
            let end = Instant::now() + support::PATIENCE;
            while descriptors() > wanted && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
            descriptors()
        };
        if round == 0 {
            std::thread::sleep(Duration::from_millis(500));
            before = descriptors();
        } else {
            let wanted = before + 20 * round;
            assert!(
                settled(wanted) <= wanted,
                "{} descriptors, {wanted} expected",
                descriptors()
            );
        }
    }
    world
        .recorder
        .wait(|event| matches!(event, Event::Detached { .. }));
}
