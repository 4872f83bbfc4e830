//! Peers that leave their answers unread cannot keep the doors closed.

mod support;

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use jd_frontdoor::{Limits, Timeouts};
use jd_wire::control::FunctionSettings;
use support::{answering, eventually, ok, Server, World};

const ASK: &[u8] = b"GET /function/f/large HTTP/1.1\r\nHost: h\r\n\r\n";
const MEMORY_BYTES_MAX: usize = 1 << 20;
const GREEDY: usize = 40;

/// A function with a short and with a large answer, more than sockets and buffers take.
fn world(slow: Duration) -> (World, Server) {
    let world = World::with(|config| {
        config.limits = Limits {
            memory_bytes_max: MEMORY_BYTES_MAX,
            ..Limits::default()
        };
        config.timeouts = Timeouts {
            slow,
            ..Timeouts::default()
        };
    });
    let server = world.serve(
        "a",
        answering(|request| {
            let large = request.line.contains("large");
            ok(vec![b'x'; if large { 16 << 20 } else { 1 }])
        }),
    );
    world.put("f", &["a"], FunctionSettings::default());
    (world, server)
}

fn connections(world: &World) -> u64 {
    world.front.stats().workers[0].connections
}

#[test]
fn guests_that_do_not_read_are_cut_off_at_once() {
    let (world, _server) = world(Duration::from_secs(3600));
    let guests: Vec<UnixStream> = (0..GREEDY)
        .map(|_| {
            let (ours, mut guest) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            world
                .front
                .adopt(ours.into(), "10.62.0.5:40000".parse().unwrap());
            guest.write_all(ASK).unwrap();
            guest
        })
        .collect();
    eventually("some are cut off", || {
        connections(&world) < GREEDY as u64 / 2
    });
    assert_eq!(world.get("/function/f").status, 200);
    drop(guests);
}

#[test]
fn clients_that_do_not_read_are_cut_off_after_a_while() {
    let (world, _server) = world(Duration::from_millis(300));
    let clients: Vec<TcpStream> = (0..GREEDY)
        .map(|_| {
            let mut client = TcpStream::connect(world.address).unwrap();
            client.write_all(ASK).unwrap();
            client
        })
        .collect();
    // Its connection waits at the closed door until others are cut off.
    assert_eq!(world.get("/function/f").status, 200);
    drop(clients);
}
