//! Any cutting of the bytes, and clients and functions that break off anywhere: nothing is mixed up, nothing leaks.

mod support;

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use jd_wire::control::FunctionSettings;
use proptest::prelude::*;
use support::{answering, eventually, ok, read_body, read_head, Client, World};

#[derive(Clone, Debug)]
struct Call {
    body: Vec<u8>,
    chunk: Option<usize>,
    pause: bool,
}

impl Call {
    fn bytes(&self) -> Vec<u8> {
        let mut out = b"POST /function/f/x HTTP/1.1\r\nHost: h\r\n".to_vec();
        let Some(chunk) = self.chunk else {
            out.extend_from_slice(
                format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes(),
            );
            out.extend_from_slice(&self.body);
            return out;
        };
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        for piece in self.body.chunks(chunk) {
            out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n\r\n");
        out
    }
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..100),
        (0usize..200_000).prop_map(|length| (0..=255).cycle().take(length).collect()),
    ];
    let call = (body, prop::option::of(1usize..9000), any::<bool>());
    prop::collection::vec(
        call.prop_map(|(body, chunk, pause)| Call { body, chunk, pause }),
        1..8,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_belongs_to_its_request(calls in calls(), step in 1usize..70_000) {
        let world = World::new();
        let _server = world.serve("a", echo_in_chunks);
        world.put("f", &["a"], FunctionSettings::default());
        let mut client = world.connect();
        let mut sender = client.stream.try_clone().unwrap();
        let sent = calls.clone();
        let sending = std::thread::spawn(move || {
            for call in sent {
                for piece in call.bytes().chunks(step.max(call.body.len() / 50)) {
                    sender.write_all(piece).unwrap();
                    if call.pause {
                        std::thread::sleep(Duration::from_micros(200));
                    }
                }
            }
        });
        for call in &calls {
            let response = client.receive().expect("an answer");
            prop_assert_eq!(response.status, 200);
            prop_assert!(response.body == call.body);
        }
        sending.join().unwrap();
        prop_assert_eq!(world.front.in_flight("a"), 0);
    }
}

/// Answers with the body in chunks, cut differently from the request.
fn echo_in_chunks(stream: std::os::unix::net::UnixStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((_, headers)) = read_head(&mut reader) {
        let Some((body, _)) = read_body(&mut reader, &headers, false) else {
            return;
        };
        let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in body.chunks(7001) {
            out.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n\r\n");
        if (&stream).write_all(&out).is_err() {
            return;
        }
    }
}

/// A small generator: the runs differ, and that is wanted here.
fn dice() -> impl FnMut(u64) -> u64 {
    let mut state = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0u8) | 1;
    move |sides| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % sides
    }
}

/// A function that answers, or breaks off in one of the ways a function can.
fn unreliable(mut stream: UnixStream) {
    let mut roll = dice();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((_, headers)) = read_head(&mut reader) {
        let answer = ok(vec![b'x'; 3000]);
        match roll(8) {
            0 => return,
            1 => return drop(stream.write_all(&answer[..1000])),
            2 => return drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nuntil close")),
            3 => return drop(stream.write_all(&answer)),
            4 => std::thread::sleep(Duration::from_millis(3)),
            _ => {}
        }
        let read = read_body(&mut reader, &headers, false).is_some();
        if !read || stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// A client that sends whole requests and parts of them, and reads some of the answers.
fn impatient(address: SocketAddr) {
    let mut roll = dice();
    let mut request =
        b"POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n".to_vec();
    request.resize(request.len() + 20_000, b'y');
    for _ in 0..60 {
        let mut client = Client::new(TcpStream::connect(address).unwrap());
        let part = usize::try_from(roll(20_000)).unwrap();
        let cut = if roll(3) == 0 { part } else { request.len() };
        let sent = client.stream.write_all(&request[..cut]);
        if sent.is_ok() && cut == request.len() && roll(4) > 0 {
            let _ = client.receive();
        }
    }
}

#[test]
fn nothing_leaks_when_everybody_breaks_off() {
    let world = World::with(|config| config.workers = 3);
    let _servers = ["a", "b"].map(|name| world.serve(name, unreliable));
    let settings = FunctionSettings {
        replica_inflight_max: 2,
        queue_max: 8,
        ..FunctionSettings::default()
    };
    world.put("f", &["a", "b"], settings);
    let address = world.address;
    let clients: Vec<_> = (0..12)
        .map(|_| std::thread::spawn(move || impatient(address)))
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
    eventually("all is given back", || {
        let stats = world.front.stats();
        let connections: u64 = stats.workers.iter().map(|worker| worker.connections).sum();
        let function = &stats.functions[0];
        connections == 0
            && (function.in_flight, function.queued) == (0, 0)
            && world.front.in_flight("a") + world.front.in_flight("b") == 0
            && function.codes.values().sum::<u64>() == function.started
            && function.duration.counts[11] == function.started
    });
    world.put("f", &["c"], FunctionSettings::default());
    let _server = world.serve("c", answering(|_| ok("fine")));
    assert_eq!(world.get("/function/f").text(), "fine");
}
