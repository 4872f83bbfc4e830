//! Functions on rings, over a real front door: the guest's side is played here.

#[path = "support/mod.rs"]
mod support;

#[path = "support/guest.rs"]
mod guest;

use std::io::{BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use guest::{Guest, RingStream};
use jd_link::{Refusal, Ticket};
use jd_ring::abi::SLOTS;
use jd_ring::guest::HostState;
use jd_wire::control::FunctionSettings;
use support::{named, ok, read_body, read_head, World};

/// Answers every request on a ring with its own body, after `before` looked at it.
fn echo(stream: RingStream, mut before: impl FnMut(&mut RingStream, usize)) {
    let mut reader = BufReader::new(stream);
    let mut number = 0;
    while let Some((_, headers)) = read_head(&mut reader) {
        let Some((body, _)) = read_body(&mut reader, &headers, false) else {
            return;
        };
        before(reader.get_mut(), number);
        number += 1;
        if reader.get_mut().write_all(&ok(&body)).is_err() {
            return;
        }
    }
}

fn world() -> (World, Guest) {
    let world = World::new();
    world.put("f", &["s"], FunctionSettings::default());
    let guest = Guest::new(&world.dialer);
    (world, guest)
}

fn bytes(length: usize) -> Vec<u8> {
    (0..=250_u8).rev().cycle().take(length).collect()
}

#[test]
fn requests_ride_on_a_ring() {
    let (world, guest) = world();
    let riding = guest.clone();
    let server = world.serve("s", move |stream| echo(riding.ride(stream), |_, _| {}));
    let mut client = world.connect();
    for length in [0, 1, 600, 40_000, 3_000_000, 5] {
        let answer = client.post("/function/f", &bytes(length));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, bytes(length));
    }
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
    let counters = guest.rings.counters();
    assert_eq!((counters.ring_connections, counters.ring_upgrades), (1, 1));
    assert!(counters.ring_bytes_to_guest > 3_000_000, "{counters:?}");
    assert!(counters.ring_bytes_to_host > 3_000_000, "{counters:?}");
    assert_eq!(counters.ring_violations, 0);
    drop(server);
    guest.eventually("the slot comes back", |guest| {
        guest.rings.counters().ring_connections == 0
    });
}

#[test]
fn bytes_in_the_socket_come_first_both_ways() {
    let (world, guest) = world();
    let riding = guest.clone();
    let _server = world.serve("s", move |mut stream| {
        let mut first = [0; 16];
        stream.read_exact(&mut first).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-").unwrap();
        let mut ring = riding.ride(stream);
        let mut reader = BufReader::new(&mut ring);
        let (_, headers) = read_head(&mut reader).unwrap();
        let (body, _) = read_body(&mut reader, &headers, false).unwrap();
        ring.write_all(format!("Length: {}\r\n\r\n", body.len()).as_bytes())
            .unwrap();
        ring.write_all(&body).unwrap();
        // The end of the stream is read, so that the connection is used to its end.
        let _ = ring.read(&mut [0; 1]);
    });
    let answer = world.connect().post("/function/f", &bytes(100_000));
    assert_eq!((answer.status, answer.body), (200, bytes(100_000)));
    assert_eq!(guest.upgrades.load(Ordering::SeqCst), 1);
}

#[test]
fn a_guest_may_leave_at_any_moment() {
    let (world, guest) = world();
    let riding = guest.clone();
    let server = world.serve("s", move |stream| {
        let mut ring = riding.ride(stream);
        let mut reader = BufReader::with_capacity(700, &mut ring);
        let (_, headers) = read_head(&mut reader).unwrap();
        // Half of the body lies in the ring, unread, when it leaves, and half of the answer unsent.
        let mut body = vec![0; 300_000];
        reader.read_exact(&mut body[..10_000]).unwrap();
        let rest = reader.buffer().to_vec();
        drop(headers);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        ring.write_all(head.as_bytes()).unwrap();
        ring.leave();
        let (taken, later) = body[10_000..].split_at_mut(rest.len());
        taken.copy_from_slice(&rest);
        ring.read_exact(later).unwrap();
        ring.write_all(&body).unwrap();
        echo(ring, |_, _| {});
    });
    let mut client = world.connect();
    let answer = client.post("/function/f", &bytes(300_000));
    assert_eq!((answer.status, answer.body), (200, bytes(300_000)));
    let answer = client.post("/function/f", b"by the socket");
    assert_eq!(answer.text(), "by the socket");
    let counters = guest.rings.counters();
    assert_eq!((counters.ring_leaves, counters.ring_connections), (1, 0));
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
}

#[test]
fn an_idle_connection_may_leave_and_is_used_again() {
    let (world, guest) = world();
    let riding = guest.clone();
    let server = world.serve("s", move |stream| {
        echo(riding.ride(stream), |ring, number| {
            if number == 1 {
                ring.leave();
            }
        });
    });
    let mut client = world.connect();
    for text in ["one", "two", "three"] {
        assert_eq!(client.post("/function/f", text.as_bytes()).text(), text);
    }
    assert_eq!(server.accepted.load(Ordering::SeqCst), 1);
    assert_eq!(guest.rings.counters().ring_leaves, 1);
}

#[test]
fn the_end_comes_after_what_is_in_the_ring() {
    let (world, guest) = world();
    let riding = guest.clone();
    let _server = world.serve("s", move |stream| {
        let mut ring = riding.ride(stream);
        read_head(&mut BufReader::new(&mut ring)).unwrap();
        ring.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        ring.write_all(&bytes(20_000)).unwrap();
    });
    let answer = world.get("/function/f");
    assert_eq!((answer.status, answer.body), (200, bytes(20_000)));
}

#[test]
fn a_guest_that_leaves_after_the_end_finds_what_it_had_not_read() {
    let (world, guest) = world();
    let riding = guest.clone();
    let _server = world.serve("s", move |stream| {
        let mut ring = riding.ride(stream);
        read_head(&mut BufReader::new(&mut ring)).unwrap();
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        ring.write_all(answer.as_bytes()).unwrap();
        // A fork may come when the last bytes and the end lie in the ring, unread.
        riding.eventually("the end lies in the ring", |_| {
            ring.end().host_state() != HostState::Open
        });
        ring.leave();
        let mut rest = Vec::new();
        ring.read_to_end(&mut rest).unwrap();
        ring.write_all(&rest).unwrap();
    });
    let mut client = world.connect();
    client.send(
        "GET /function/f/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(client.head().expect("a head").status, 101);
    client.send(bytes(20_000));
    client.stream.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    client.reader.read_to_end(&mut back).unwrap();
    assert!(back == bytes(20_000), "{} bytes came back", back.len());
    assert_eq!(guest.rings.counters().ring_leaves, 1);
}

#[test]
fn a_guest_that_breaks_the_protocol_loses_its_connection_alone() {
    let (world, guest) = world();
    world.put("g", &["t"], FunctionSettings::default());
    let _neighbour = world.serve("t", named("neighbour"));
    let riding = guest.clone();
    let _server = world.serve("s", move |stream| {
        let ring = riding.ride(stream);
        ring.break_cursor();
        let _ = (&ring.stream).read(&mut [0; 1]);
    });
    let mut client = world.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/function/f").status, 502);
        assert_eq!(client.get("/function/g").text(), "neighbour");
    }
    guest.eventually("violations are counted", |guest| {
        guest.rings.counters().ring_violations == 3
    });
    assert_eq!(*guest.reports.lock().unwrap(), ["ring protocol"]);
}

#[test]
fn a_flood_of_bells_is_muted() {
    let (world, guest) = world();
    world.put("g", &["t"], FunctionSettings::default());
    let _neighbour = world.serve("t", named("neighbour"));
    let stop = Arc::new(AtomicBool::new(false));
    let (riding, stopped) = (guest.clone(), stop.clone());
    let _server = world.serve("s", move |stream: UnixStream| {
        let ring = riding.ride(stream);
        let (rings, stopped) = (riding.rings.clone(), stopped.clone());
        std::thread::spawn(move || {
            let bell = rings.bell(0).unwrap();
            while !stopped.load(Ordering::Relaxed) {
                bell.ring();
            }
        });
        echo(ring, |_, _| {});
    });
    let mut client = world.connect();
    for _ in 0..20 {
        assert_eq!(client.post("/function/f", b"flooded").text(), "flooded");
        assert_eq!(client.get("/function/g").text(), "neighbour");
    }
    guest.eventually("the bell is muted", |guest| {
        guest.rings.counters().bells_muted > 0
    });
    assert!(guest.reports.lock().unwrap().contains(&"flood of bells"));
    stop.store(true, Ordering::Relaxed);
}

#[test]
fn who_cannot_ride_is_told_so() {
    let (world, guest) = world();
    let riding = guest.clone();
    let (tell, told) = support::channel();
    let _server = world.serve("s", move |stream| {
        let (rider, tell) = (riding.clone(), tell.clone());
        echo(riding.ride(stream), move |ring, number| {
            if number == 1 {
                ring.leave();
            }
            let _ = tell.lock().unwrap().send(rider.ask(&ring.stream));
        });
    });
    let mut client = world.connect();
    let (already, unsuitable) = (Err(Refusal::Already), Err(Refusal::Unsuitable));
    // It leaves just before it asks for the second time: either may be seen first.
    for expected in [
        [&already, &already],
        [&already, &unsuitable],
        [&unsuitable, &unsuitable],
    ] {
        assert_eq!(client.post("/function/f", b"x").text(), "x");
        let answer = told.recv().unwrap();
        assert!(expected.contains(&&answer), "{answer:?}");
    }
}

#[test]
fn a_call_that_was_given_up_changes_nothing() {
    let (world, guest) = world();
    let riding = guest.clone();
    let (tell, told) = support::channel();
    let _server = world.serve("s", move |stream| {
        let ticket = Ticket::default();
        assert!(ticket.cancel());
        let asked = riding.ask_with(&stream, ticket);
        let _ = tell.lock().unwrap().send(asked);
        support::answering(|request| ok(&request.body))(stream);
    });
    assert_eq!(world.connect().post("/function/f", b"x").text(), "x");
    assert_eq!(told.recv().unwrap(), Err(Refusal::Unsuitable));
    assert_eq!(guest.rings.counters().ring_upgrades, 0);
}

#[test]
fn a_change_that_the_guest_cannot_be_told_of_ends_the_connection() {
    let (world, guest) = world();
    let riding = guest.clone();
    let _server = world.serve("s", move |stream| {
        let owner = riding.owner(&stream);
        let ring = riding.ride(stream);
        owner.cut();
        // The other end is closed, and this one learns it by its descriptor.
        while (&ring.stream)
            .read(&mut [0; 4096])
            .is_ok_and(|count| count > 0)
        {}
    });
    assert_eq!(world.get("/function/f").status, 502);
    guest.eventually("its slot comes back", |guest| {
        guest.rings.counters().ring_connections == 0
    });
}

#[test]
fn slots_run_out_and_come_back() {
    let (world, guest) = world();
    let riding = guest.clone();
    let _server = world.serve("s", move |stream| match riding.ask(&stream) {
        Ok(granted) => echo(riding.riding(stream, granted), |_, _| {}),
        Err(refusal) => {
            assert_eq!(refusal, Refusal::NoSlot);
            support::answering(|request| ok(&request.body))(stream);
        }
    });
    for _ in 0..2 {
        // Each waits for its own connection: the idle ones are taken first.
        let mut clients: Vec<_> = (0..SLOTS + 4).map(|_| world.connect()).collect();
        for client in &mut clients {
            client.send("POST /function/f HTTP/1.1\r\nHost: f\r\nContent-Length: 1\r\n\r\n");
        }
        for client in &mut clients {
            client.send("y");
            assert_eq!(client.receive().expect("a response").text(), "y");
        }
    }
    assert_eq!(guest.rings.counters().ring_connections, SLOTS as u64);
}

#[test]
fn a_guest_with_a_crowd_of_watchers_loses_its_rings() {
    let (world, guest) = world();
    let owner = rustix::process::pidfd_open(
        rustix::process::getpid(),
        rustix::process::PidfdFlags::empty(),
    );
    let waiter = guest.rings.take_waiter(owner.unwrap()).unwrap();
    let eventfd = guest.rings.waiter(waiter).unwrap();
    let copies: Vec<_> = (0..300)
        .map(|_| eventfd.try_clone_to_owned().unwrap())
        .collect();
    let crowd: Vec<_> = (0..150).map(|_| watching(&copies)).collect();
    let riding = guest.clone();
    let _server = world.serve("s", move |stream| {
        if let Ok(granted) = riding.ask(&stream) {
            echo(riding.riding(stream, granted), |stream, _| {
                // From now on it claims to sleep: the next request wakes it.
                stream.end().set_waiter(Some(waiter));
                let sleeper = riding.rings.guest_view().waiter(waiter).unwrap();
                let _ = sleeper.take();
                let _ = sleeper.arm();
            });
        }
    });
    let mut outcomes = Vec::new();
    while !guest.reports.lock().unwrap().contains(&"too many watchers") {
        let mut client = world.connect();
        outcomes.push(client.post("/function/f", b"x").status);
        assert!(outcomes.len() < 1000, "{outcomes:?}");
    }
    assert_eq!(outcomes[0], 200);
    assert_eq!(
        guest.rings.open(0, &copies[0]).err(),
        Some(Refusal::Unsuitable)
    );
    drop(crowd);
}

/// An epoll set that watches all of them.
fn watching(copies: &[OwnedFd]) -> OwnedFd {
    use rustix::event::epoll::{add, create, CreateFlags, EventData, EventFlags};
    let set = create(CreateFlags::CLOEXEC).unwrap();
    for copy in copies {
        add(&set, copy, EventData::new_u64(0), EventFlags::IN).unwrap();
    }
    set
}
