//! Guests on rings that sleep, and wake only when they are told.

#[path = "support/mod.rs"]
mod support;

#[path = "support/guest.rs"]
mod guest;

use std::io::{BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};

use guest::{Guest, RingStream};
use jd_ring::abi::{SLOTS_AT, SLOT_BYTES, WAITERS};
use jd_wire::control::FunctionSettings;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::Timespec;
use support::{ok, read_body, read_head, World, PATIENCE};

/// A waiter of the guest's slab, and the descriptor that tells of it.
struct Bed {
    index: u32,
    set: OwnedFd,
}

impl Bed {
    fn new(guest: &Guest) -> Self {
        let own = rustix::process::pidfd_open(
            rustix::process::getpid(),
            rustix::process::PidfdFlags::empty(),
        );
        let index = guest.rings.take_waiter(own.unwrap()).unwrap();
        let set = epoll::create(CreateFlags::CLOEXEC).unwrap();
        epoll::add(
            &set,
            guest.rings.waiter(index).unwrap(),
            EventData::new_u64(0),
            EventFlags::IN | EventFlags::ET,
        )
        .unwrap();
        let bed = Self { index, set };
        assert!(bed.was_woken(), "it begins readable");
        bed
    }

    /// Whether a wake comes within everybody's patience.
    fn was_woken(&self) -> bool {
        let patience = Timespec {
            tv_sec: PATIENCE.as_secs().try_into().unwrap(),
            tv_nsec: 0,
        };
        let mut events = Vec::with_capacity(1);
        epoll::wait(
            self.set.as_fd(),
            spare_capacity(&mut events),
            Some(&patience),
        )
        .unwrap()
            == 1
    }

    /// Sleeps until something is there; looks at nothing before it is woken. False: it never was.
    fn sleep(&self, guest: &Guest, ring: &RingStream) -> bool {
        let waiter = guest.rings.guest_view().waiter(self.index).unwrap();
        ring.end().set_waiter(Some(self.index));
        loop {
            if ring.end().readable() > 0 {
                return true;
            }
            if waiter.take() == 0 && waiter.arm() && ring.end().readable() == 0 && !self.was_woken()
            {
                return false;
            }
        }
    }
}

/// Answers requests, asleep in between.
fn sleeper(guest: &Guest, ring: RingStream) {
    let bed = Bed::new(guest);
    let mut reader = BufReader::new(ring);
    // What came before the ring lies in the socket: no wake tells of it.
    while let Some((_, headers)) = read_head(&mut reader) {
        let Some((body, _)) = read_body(&mut reader, &headers, false) else {
            return;
        };
        let answered = reader.get_mut().write_all(&ok(&body));
        if answered.is_err() || !bed.sleep(guest, reader.get_ref()) {
            return;
        }
    }
}

fn world() -> (World, Guest) {
    let world = World::new();
    let guest = Guest::new(&world.dialer);
    (world, guest)
}

#[test]
fn sleeping_guests_are_woken_for_each_of_many_clients() {
    let (world, guest) = world();
    world.put("f", &["s"], FunctionSettings::default());
    let riding = guest.clone();
    let _server = world.serve("s", move |stream| sleeper(&riding, riding.ride(stream)));
    let mut clients: Vec<_> = (0..12).map(|_| world.connect()).collect();
    for round in 0..50 {
        let body = round.to_string();
        for client in &mut clients {
            client.send(format!(
                "POST /function/f HTTP/1.1\r\nHost: f\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
        for client in &mut clients {
            assert_eq!(client.receive().expect("a response").text(), body);
        }
    }
    assert_eq!(guest.rings.counters().ring_violations, 0);
}

#[test]
fn who_goes_on_after_a_broken_guest_is_told_too() {
    let (world, guest) = world();
    world.put("f", &["s"], FunctionSettings::default());
    world.put("g", &["t"], FunctionSettings::default());
    let riding = guest.clone();
    let _neighbour = world.serve("t", move |stream| sleeper(&riding, riding.ride(stream)));
    let riding = guest.clone();
    let _server = world.serve("s", move |stream| {
        let granted = riding.ask(&stream).expect("granted");
        let waiter = SLOTS_AT + granted.slot as usize * SLOT_BYTES + 64 + 16;
        let mut reader = BufReader::new(riding.riding(stream, granted));
        while let Some((_, headers)) = read_head(&mut reader) {
            let Some((body, _)) = read_body(&mut reader, &headers, false) else {
                return;
            };
            // The next request finds a waiter that there cannot be.
            let none = u32::try_from(WAITERS + 7).unwrap().to_ne_bytes();
            rustix::io::pwrite(riding.rings.memory(), &none, waiter as u64).unwrap();
            let _ = reader.get_mut().write_all(&ok(&body));
        }
    });
    let mut client = world.connect();
    for round in 0..5 {
        assert_eq!(client.post("/function/g", b"warm").text(), "warm");
        assert_eq!(client.post("/function/f", b"first").text(), "first");
        let post = |name, body: &str| {
            format!(
                "POST /function/{name} HTTP/1.1\r\nHost: f\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        client.send(post("f", "broken") + &post("g", "next"));
        assert_eq!(client.receive().expect("a response").status, 502, "{round}");
        assert_eq!(client.receive().expect("a response").text(), "next");
    }
    assert_eq!(guest.rings.counters().ring_violations, 5);
}
