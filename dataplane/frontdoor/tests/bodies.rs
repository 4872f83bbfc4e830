//! Bodies and their framing, both ways.

mod support;

use std::io::{BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use jd_wire::control::FunctionSettings;
use support::{answering, channel, ok, read_body, read_head, World};

fn put(world: &World, handler: impl Fn(UnixStream) + Send + Sync + 'static) -> support::Server {
    let server = world.serve("a", handler);
    world.put("f", &["a"], FunctionSettings::default());
    server
}

/// A function that sends fixed bytes after each request head and closes if told to.
fn sends(bytes: &'static [u8]) -> impl Fn(UnixStream) + Send + Sync {
    answering(move |_| bytes.to_vec())
}

fn sends_and_closes(bytes: &'static [u8]) -> impl Fn(UnixStream) + Send + Sync {
    move |stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        if read_head(&mut reader).is_some() {
            (&stream).write_all(bytes).unwrap();
        }
    }
}

#[test]
fn a_chunked_request_keeps_its_chunks_and_trailers() {
    let world = World::new();
    let (seen, bodies) = channel();
    let _server = put(&world, move |stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((_, headers)) = read_head(&mut reader) {
            seen.lock()
                .unwrap()
                .send(read_body(&mut reader, &headers, false).unwrap())
                .unwrap();
            (&stream).write_all(&ok("")).unwrap();
        }
    });
    let mut client = world.connect();
    for piece in [
        &b"POST /function/f HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"[..],
        b"\r\n4\r\nab",
        b"cd\r",
        b"\n3;x=y\r\nefg\r\n0\r\nX-Sum: ",
        b"1\r\n\r",
        b"\n",
    ] {
        client.send(piece);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(client.receive().unwrap().status, 200);
    assert_eq!(
        bodies.recv().unwrap(),
        (b"abcdefg".to_vec(), "X-Sum: 1\r\n".to_owned())
    );
    assert_eq!(client.get("/function/f").status, 200);
}

#[test]
fn a_chunked_response_keeps_its_trailers() {
    let world = World::new();
    let _server = put(&world, sends(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n",
    ));
    let mut client = world.connect();
    for _ in 0..2 {
        let response = client.get("/function/f");
        assert_eq!(
            (response.text(), response.trailers.as_str()),
            ("abc", "X-Sum: 9\r\n")
        );
    }
}

#[test]
fn a_response_that_ends_with_its_connection_becomes_chunked() {
    let world = World::new();
    let _server = put(&world, sends_and_closes(b"HTTP/1.0 200 OK\nX: y\n\nabc"));
    let mut client = world.connect();
    for _ in 0..2 {
        let response = client.get("/function/f");
        assert_eq!(
            (response.text(), response.header("Transfer-Encoding")),
            ("abc", Some("chunked"))
        );
    }
}

#[test]
fn an_old_client_gets_no_chunks() {
    let world = World::new();
    let _server = put(
        &world,
        sends(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
        ),
    );
    let mut client = world.connect();
    client.send("GET /function/f HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let response = client.receive().unwrap();
    assert_eq!(
        (response.text(), response.header("Transfer-Encoding")),
        ("abc", None)
    );
    assert_eq!(response.header("Connection"), Some("close"));
}

#[test]
fn an_old_client_may_keep_its_connection() {
    let world = World::new();
    let _server = put(
        &world,
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"),
    );
    let mut client = world.connect();
    for _ in 0..2 {
        client.send("GET /function/f HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(
            client.receive().unwrap().header("Connection"),
            Some("keep-alive")
        );
    }
    client.send("GET /function/f HTTP/1.0\r\n\r\n");
    assert_eq!(client.receive().unwrap().text(), "a");
    assert!(client.is_closed());
}

#[test]
fn responses_without_a_body_end_at_their_head() {
    let world = World::new();
    let _server = put(
        &world,
        answering(|request| match request.line.as_str() {
            line if line.starts_with("HEAD") => {
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec()
            }
            line if line.contains("/204") => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            _ => b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: \"x\"\r\n\r\n".to_vec(),
        }),
    );
    let mut client = world.connect();
    client.send("HEAD /function/f HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.head().unwrap().header("Content-Length"), Some("5"));
    assert_eq!(client.get("/function/f/204").header("Content-Length"), None);
    let response = client.get("/function/f/304");
    assert_eq!(
        (response.status, response.header("Content-Length")),
        (304, Some("7"))
    );
    assert_eq!(client.get("/function/f/204").status, 204);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let world = World::new();
    let _server = put(
        &world,
        answering(|request| ok(request.line.split(' ').nth(1).unwrap())),
    );
    let mut client = world.connect();
    let requests: String = (0..50)
        .map(|n| format!("POST /function/f/{n} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"))
        .collect();
    client.send(requests);
    for n in 0..50 {
        assert_eq!(client.receive().unwrap().text(), format!("/{n}"));
    }
}

#[test]
fn requests_in_pieces_of_one_byte_are_served() {
    let world = World::new();
    let _server = put(&world, answering(|request| ok(&request.body)));
    let mut client = world.connect();
    for byte in b"POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" {
        client.send([*byte]);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(client.receive().unwrap().text(), "hello");
}

#[test]
fn the_front_door_answers_expectations_itself() {
    let world = World::new();
    let _server = put(
        &world,
        answering(|request| {
            assert_eq!(request.header("Expect"), None);
            ok(&request.body)
        }),
    );
    let mut client = world.connect();
    let head =
        "POST /function/f HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    client.send(head);
    assert_eq!(client.head().unwrap().status, 100);
    client.send("hi");
    assert_eq!(client.receive().unwrap().text(), "hi");
    // Nobody would take this body: the final answer comes at once, and the connection ends.
    client.send(head.replace("/f HTTP", "/nobody HTTP"));
    assert_eq!(client.receive().unwrap().status, 404);
    assert!(client.is_closed());
}

#[test]
fn interim_responses_reach_new_clients_only() {
    let world = World::new();
    let _server = put(&world, sends(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ));
    let mut client = world.connect();
    client.send("GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n");
    let hints = client.head().unwrap();
    assert_eq!((hints.status, hints.header("Link")), (103, Some("x")));
    assert_eq!(client.receive().unwrap().status, 200);
    let mut old = world.connect();
    old.send("GET /function/f HTTP/1.0\r\n\r\n");
    assert_eq!(old.receive().unwrap().status, 200);
}

#[test]
fn bodies_above_the_limit_are_refused() {
    let world = World::new();
    let _server = world.serve("a", answering(|request| ok(&request.body)));
    world.put(
        "f",
        &["a"],
        FunctionSettings {
            body_bytes_max: 4,
            ..FunctionSettings::default()
        },
    );
    let mut client = world.connect();
    assert_eq!(client.post("/function/f", b"1234").status, 200);
    let response = client.post("/function/f", b"12345");
    assert_eq!(
        (response.status, response.header("X-OpenFaaS-Internal")),
        (413, Some("junctiond"))
    );
    // The rest of a short body was dropped, so the connection goes on.
    assert_eq!(client.post("/function/f", b"1").status, 200);
    client.send("POST /function/f HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n");
    assert_eq!(client.receive().unwrap().status, 413);
    assert!(client.is_closed());
}

#[test]
fn a_function_that_answers_early_spoils_nothing() {
    let world = World::new();
    let _server = put(
        &world,
        sends_and_closes(
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
        ),
    );
    let mut client = world.connect();
    client.send(format!(
        "POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        8 << 20
    ));
    let mut sender = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        // The front door ends the connection long before all is sent.
        let _ = sender.write_all(&vec![7; 8 << 20]);
    });
    assert_eq!(
        (client.receive().unwrap().status, client.is_closed()),
        (403, true)
    );
    sending.join().unwrap();
}

const STREAM_BYTES: usize = 100 << 20;

#[test]
fn large_bodies_stream_both_ways_in_bounded_memory() {
    let world = World::new();
    let _server = put(&world, |stream| {
        let mut reader = BufReader::with_capacity(1 << 16, stream.try_clone().unwrap());
        while let Some((_, headers)) = read_head(&mut reader) {
            let length: u64 = headers
                .iter()
                .find(|(name, _)| name == "Content-Length")
                .unwrap()
                .1
                .parse()
                .unwrap();
            write!(
                &stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
            )
            .unwrap();
            std::io::copy(&mut (&mut reader).take(length), &mut &stream).unwrap();
        }
    });
    let mut client = world.connect();
    client.send(format!(
        "POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: {STREAM_BYTES}\r\n\r\n"
    ));
    let mut sender = client.stream.try_clone().unwrap();
    let before = resident_bytes();
    let sending = std::thread::spawn(move || {
        let piece: Vec<u8> = (0..=255).cycle().take(1 << 16).collect();
        (0..STREAM_BYTES >> 16).for_each(|_| sender.write_all(&piece).unwrap());
    });
    assert_eq!(client.head().unwrap().status, 200);
    let (mut buffer, mut got, mut sum, mut most) = (vec![0; 1 << 16], 0, 0u64, 0);
    while got < STREAM_BYTES {
        let count = client.reader.read(&mut buffer).unwrap();
        assert!(count > 0, "cut after {got} bytes");
        sum += buffer[..count]
            .iter()
            .map(|&byte| u64::from(byte))
            .sum::<u64>();
        got += count;
        most = most.max(resident_bytes());
    }
    sending.join().unwrap();
    assert_eq!(sum, (STREAM_BYTES as u64 / 256) * (255 * 256 / 2));
    assert!(
        most.saturating_sub(before) < 32 << 20,
        "{} bytes more than before",
        most - before
    );
    assert_eq!(client.post("/function/f", b"x").text(), "x");
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_client_that_does_not_read_holds_its_function_back() {
    let world = World::new();
    let written = Arc::new(AtomicUsize::new(0));
    let counter = written.clone();
    let _server = put(&world, move |stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        read_head(&mut reader);
        (&stream).write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while let Ok(count) = (&stream).write(&[0; 1 << 16]) {
            counter.fetch_add(count, Ordering::SeqCst);
        }
    });
    let mut client = world.connect();
    client.send("GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.head().unwrap().status, 200);
    let mut last = 0;
    support::eventually("the function is held back", || {
        std::thread::sleep(Duration::from_millis(200));
        let now = written.load(Ordering::SeqCst);
        std::mem::replace(&mut last, now) == now
    });
    // What the kernel's socket buffers hold, and no more.
    assert!(last < 24 << 20, "{last} bytes");
    // Others are served meanwhile.
    assert_eq!(world.get("/function/other").status, 404);
}
