//! Responses that trickle, and connections that change their protocol.

mod support;

use std::io::{BufReader, Read, Write};
use std::net::Shutdown;
use std::sync::{mpsc, Mutex};
use std::time::Duration;

use jd_wire::control::FunctionSettings;
use support::{eventually, read_head, World};

const HANDSHAKE: &str = "GET /function/f/ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[test]
fn events_reach_the_client_as_they_are_sent() {
    let world = World::new();
    let (release, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let _server = world.serve("a", move |mut stream| {
        read_head(&mut BufReader::new(stream.try_clone().unwrap()));
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        for event in wait.lock().unwrap().iter() {
            let event: &str = event;
            write!(stream, "{:x}\r\n{event}\r\n", event.len()).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        std::thread::sleep(Duration::from_millis(50));
    });
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    client.send("GET /function/f HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n");
    assert_eq!(
        client.head().unwrap().header("Content-Type"),
        Some("text/event-stream")
    );
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        release.send(event).unwrap();
        let mut got = vec![0; event.len() + 5];
        client.reader.read_exact(&mut got).unwrap();
        assert_eq!(got, format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
    }
    drop(release);
    let mut end = [0; 5];
    client.reader.read_exact(&mut end).unwrap();
    assert_eq!(&end, b"0\r\n\r\n");
}

#[test]
fn a_websocket_is_a_tunnel_with_two_ends() {
    let world = World::new();
    let _server = world.serve("a", |stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (line, headers) = read_head(&mut reader).unwrap();
        assert_eq!(line, "GET /ws HTTP/1.1");
        let header = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        assert_eq!((header("Connection"), header("Upgrade")), (Some("Upgrade"), Some("websocket")));
        // The first message comes right behind the handshake.
        (&stream).write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello").unwrap();
        std::io::copy(&mut reader, &mut &stream).unwrap();
        (&stream).write_all(b"bye").unwrap();
    });
    world.put(
        "f",
        &["a"],
        FunctionSettings {
            exec_timeout_ms: 50,
            ..FunctionSettings::default()
        },
    );
    let mut client = world.connect();
    client.send(HANDSHAKE);
    let response = client.head().unwrap();
    assert_eq!(
        (response.status, response.header("Upgrade")),
        (101, Some("websocket"))
    );
    assert_eq!(response.header("Connection"), Some("Upgrade"));
    assert!(response.header("X-Call-Id").is_some());
    let mut got = [0; 5];
    client.reader.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"hello");
    let frame: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(10));
        let mut sender = client.stream.try_clone().unwrap();
        let sent = frame.clone();
        let sending = std::thread::spawn(move || sender.write_all(&sent).unwrap());
        let mut got = vec![0; frame.len()];
        client.reader.read_exact(&mut got).unwrap();
        assert!(got == frame);
        sending.join().unwrap();
    }
    assert_eq!(world.front.in_flight("a"), 1);
    client.stream.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    client.reader.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"bye");
    eventually("the replica is free", || world.front.in_flight("a") == 0);
    assert_eq!(world.front.stats().functions[0].codes[&101], 1);
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let world = World::new();
    let _server = world.serve("a", support::named("no"));
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    client.send(HANDSHAKE);
    assert_eq!(client.receive().unwrap().text(), "no");
    assert_eq!(client.get("/function/f").text(), "no");
}

#[test]
fn an_upgrade_to_http_2_is_not_passed_on() {
    let world = World::new();
    let _server = world.serve(
        "a",
        support::answering(|request| {
            assert!(
                request.header("Upgrade").is_none() && request.header("HTTP2-Settings").is_none()
            );
            support::ok("plain")
        }),
    );
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    client.send("GET /function/f HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n");
    assert_eq!(client.receive().unwrap().text(), "plain");
}

#[test]
fn one_busy_connection_leaves_room_for_others() {
    let world = World::new();
    let _server = world.serve("a", |stream| {
        read_head(&mut BufReader::new(stream.try_clone().unwrap()));
        (&stream).write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while (&stream).write_all(&[0; 1 << 16]).is_ok() {}
    });
    let _small = world.serve("b", support::named("b"));
    world.put("flood", &["a"], FunctionSettings::default());
    world.put("small", &["b"], FunctionSettings::default());
    let mut flood = world.connect();
    flood.send("GET /function/flood HTTP/1.1\r\nHost: h\r\n\r\n");
    let reading = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        for _ in 0..2000 {
            assert!(flood.reader.read(&mut buffer).unwrap() > 0);
        }
    });
    let mut client = world.connect();
    for _ in 0..50 {
        assert_eq!(client.get("/function/small").text(), "b");
    }
    reading.join().unwrap();
}
