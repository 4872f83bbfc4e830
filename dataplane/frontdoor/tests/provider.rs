//! The provider stays reachable whatever guests and slow clients do.

mod support;

use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use jd_frontdoor::{Limits, Timeouts};
use support::{answering, eventually, ok, read_head, World, PATIENCE};

const SLOW: &[u8] = b"POST /system/x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n1";
const WHOLE: &[u8] = b"GET /system/x HTTP/1.1\r\nHost: h\r\n\r\n";

struct Guest(UnixStream);

impl Guest {
    fn new(world: &World, number: u8) -> Self {
        let (ours, guests) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        guests.set_read_timeout(Some(PATIENCE)).unwrap();
        let peer = ([10, 62, 0, number], 40_000).into();
        world.front.adopt(ours.into(), peer);
        Self(guests)
    }

    fn send(&self, bytes: &[u8]) {
        (&self.0).write_all(bytes).unwrap();
    }

    fn status(&self) -> String {
        let mut reader = BufReader::new(self.0.try_clone().unwrap());
        let line = read_head(&mut reader).expect("an answer").0;
        line.split(' ').nth(1).unwrap().to_owned()
    }
}

#[test]
fn guests_cannot_take_the_operators_share() {
    let world = World::with(|config| {
        config.limits = Limits {
            provider_connections_max: 3,
            provider_guests_max: 2,
            provider_per_guest_max: 1,
            ..Limits::default()
        };
    });
    let provider = world.serve_provider(answering(|_| ok("")));
    let accepted = || provider.accepted.load(std::sync::atomic::Ordering::SeqCst);
    let refused = |number, why| {
        let guest = Guest::new(&world, number);
        guest.send(WHOLE);
        assert_eq!(guest.status(), "503", "{why} is used up");
    };
    let first = Guest::new(&world, 2);
    first.send(SLOW);
    eventually("it has its place", || accepted() == 1);
    refused(2, "its share");
    let second = Guest::new(&world, 3);
    second.send(SLOW);
    eventually("both have their place", || accepted() == 2);
    refused(4, "the share of all");
    assert_eq!(world.get("/system/functions").status, 200);
    first.send(b"2");
    assert_eq!(first.status(), "200");
    let other = Guest::new(&world, 4);
    other.send(WHOLE);
    assert_eq!(other.status(), "200");
    drop(second);
    eventually("the place of who left is free", || {
        let next = Guest::new(&world, 3);
        next.send(WHOLE);
        next.status() == "200"
    });
}

#[test]
fn a_body_that_trickles_loses_its_connection() {
    let world = World::with(|config| {
        config.timeouts = Timeouts {
            provider_body: Duration::from_millis(300),
            ..Timeouts::default()
        };
    });
    let (tell, ended) = support::channel();
    let _provider = world.serve_provider(move |stream| {
        let mut reader = BufReader::new(stream);
        let (_, headers) = read_head(&mut reader).unwrap();
        let whole = support::read_body(&mut reader, &headers, false).is_some();
        tell.lock().unwrap().send(whole).unwrap();
    });
    let mut client = world.connect();
    let started = Instant::now();
    client.send("POST /system/x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
    let whole = loop {
        client.send("x");
        if let Ok(whole) = ended.recv_timeout(Duration::from_millis(20)) {
            break whole;
        }
        assert!(started.elapsed() < PATIENCE, "never cut off");
    };
    assert!(!whole && started.elapsed() >= Duration::from_millis(300));
    assert_eq!(client.receive().unwrap().status, 408);
}

#[test]
fn an_answer_may_take_longer_than_a_body() {
    let world = World::with(|config| {
        config.timeouts = Timeouts {
            provider_body: Duration::from_millis(100),
            ..Timeouts::default()
        };
    });
    let _provider = world.serve_provider(answering(|_| {
        std::thread::sleep(Duration::from_millis(300));
        ok("deployed")
    }));
    let response = world.connect().post("/system/functions", b"{}");
    assert_eq!((response.status, response.text()), (200, "deployed"));
}
