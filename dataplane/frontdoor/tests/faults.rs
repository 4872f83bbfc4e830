//! Functions, clients and providers that fail, and requests that must not pass.

mod support;

use std::io::{BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jd_frontdoor::{Limits, Timeouts};
use jd_wire::control::FunctionSettings;
use support::{answering, channel, eventually, named, ok, read_body, read_head, World, PATIENCE};

#[test]
fn a_function_that_dies_before_it_answers_is_a_502() {
    let world = World::new();
    let dying = world.serve("a", |stream| drop(read_head(&mut BufReader::new(stream))));
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    let response = client.post("/function/f", b"x");
    assert_eq!(
        (response.status, response.header("X-OpenFaaS-Internal")),
        (502, Some("junctiond"))
    );
    assert_eq!(response.text(), "Can't reach service for: f.\n");
    assert!(response.header("X-Call-Id").is_some());
    drop(dying);
    let _server = world.serve("a", named("new"));
    assert_eq!(client.post("/function/f", b"x").text(), "new");
}

#[test]
fn a_function_that_dies_in_its_answer_cuts_the_connection() {
    let world = World::new();
    let _server = world.serve("a", |mut stream| {
        read_head(&mut BufReader::new(stream.try_clone().unwrap()));
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")
            .unwrap();
    });
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    client.send("GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.head().unwrap().status, 200);
    let mut rest = Vec::new();
    let _ = client.reader.read_to_end(&mut rest);
    assert_eq!(rest, b"part");
    eventually("the replica is free", || world.front.in_flight("a") == 0);
}

#[test]
fn an_old_client_sees_a_reset_where_the_end_would_look_complete() {
    let world = World::new();
    let _server = world.serve("a", |mut stream| {
        read_head(&mut BufReader::new(stream.try_clone().unwrap()));
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\npa")
            .unwrap();
        std::thread::sleep(Duration::from_millis(50));
    });
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    client.send("GET /function/f HTTP/1.0\r\n\r\n");
    assert_eq!(client.head().unwrap().status, 200);
    assert!(client.reader.read_to_end(&mut Vec::new()).is_err());
}

#[test]
fn an_answer_that_is_no_http_is_a_502() {
    for answer in [
        &b"garbage\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200",
    ] {
        let world = World::new();
        let _server = world.serve("a", move |mut stream| {
            read_head(&mut BufReader::new(stream.try_clone().unwrap()));
            stream.write_all(answer).unwrap();
        });
        world.put("f", &["a"], FunctionSettings::default());
        let response = world.get("/function/f");
        assert_eq!(
            (response.status, response.header("X-OpenFaaS-Internal")),
            (502, Some("junctiond")),
            "{answer:?}"
        );
    }
}

#[test]
fn a_connection_closed_while_idle_costs_no_request() {
    let world = World::new();
    // Answers once on each connection and closes a little later, as servers with a short keep-alive do.
    let server = world.serve("a", |mut stream| {
        read_head(&mut BufReader::new(stream.try_clone().unwrap()));
        stream.write_all(&ok("once")).unwrap();
    });
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    for _ in 0..200 {
        assert_eq!(client.get("/function/f").text(), "once");
    }
    assert_eq!(server.accepted.load(Ordering::SeqCst), 200);
}

/// Answers the first request of each connection with its body and closes at the second, as a server does that
/// has just decided to end an idle connection.
fn closes_at_the_second(mut stream: UnixStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (_, headers) = read_head(&mut reader).unwrap();
    let (body, _) = read_body(&mut reader, &headers, false).unwrap();
    stream.write_all(&ok(body)).unwrap();
    read_head(&mut reader);
}

#[test]
fn what_may_be_sent_twice_is_sent_again_on_a_new_connection() {
    let world = World::new();
    let server = world.serve("a", closes_at_the_second);
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    let body = "b".repeat(20_000);
    let put = format!("PUT /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n{body}");
    for connections in 1..=3 {
        client.send(&put);
        assert_eq!(client.receive().unwrap().text(), body);
        assert_eq!(server.accepted.load(Ordering::SeqCst), connections);
    }
    // A POST may have had its effect: it is not sent again.
    assert_eq!(client.post("/function/f", b"x").status, 502);
    assert_eq!(client.post("/function/f", b"x").status, 200);
}

#[test]
fn nothing_is_sent_a_third_time() {
    let world = World::new();
    let first = world.serve("a", named("once"));
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    assert_eq!(client.get("/function/f").text(), "once");
    let (tell, seen) = channel();
    // The old connection stays, but nobody answers on it; new ones are closed after their request.
    drop(first);
    let _server = world.serve("a", move |stream| {
        read_head(&mut BufReader::new(stream));
        tell.lock().unwrap().send(()).unwrap();
    });
    assert_eq!(client.get("/function/f").status, 502);
    assert_eq!(seen.iter().take(1).count(), 1);
    assert!(seen.try_recv().is_err());
}

#[test]
fn a_client_that_goes_away_cancels_its_request() {
    let world = World::new();
    let (ended, ends) = channel();
    let _server = world.serve("a", move |mut stream| {
        read_head(&mut BufReader::new(stream.try_clone().unwrap()));
        let got = stream.read(&mut [0]);
        ended.lock().unwrap().send(matches!(got, Ok(0))).unwrap();
    });
    world.put("f", &["a"], FunctionSettings::default());
    let client = world.connect();
    (&client.stream)
        .write_all(b"POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
        .unwrap();
    eventually("the request is there", || world.front.in_flight("a") == 1);
    drop(client);
    // Its body, "abc", was read as one byte: then the stream must end.
    assert!(ends.recv_timeout(PATIENCE).is_ok());
    eventually("the replica is free", || world.front.in_flight("a") == 0);
    eventually("it is counted", || {
        world.front.stats().functions[0].codes.get(&499) == Some(&1)
    });
}

#[test]
fn a_half_closed_client_gets_its_answer() {
    let world = World::new();
    let _server = world.serve(
        "a",
        answering(|_| {
            std::thread::sleep(Duration::from_millis(100));
            ok("late")
        }),
    );
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    client.send(
        "GET /function/f HTTP/1.1\r\nHost: h\r\n\r\nGET /function/f HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.receive().unwrap().text(), "late");
    assert_eq!(client.receive().unwrap().text(), "late");
    assert!(client.is_closed());
}

#[test]
fn a_half_closed_client_is_not_waited_for_without_end() {
    let world = World::with(|config| {
        config.timeouts = Timeouts {
            half_closed: Duration::from_millis(100),
            ..Timeouts::default()
        };
    });
    let (ended, ends) = channel();
    let _server = world.serve("a", move |mut stream| {
        read_head(&mut BufReader::new(stream.try_clone().unwrap()));
        ended
            .lock()
            .unwrap()
            .send(stream.read(&mut [0]).unwrap())
            .unwrap();
    });
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    client.send("GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(ends.recv_timeout(PATIENCE), Ok(0));
    assert!(client.is_closed());
}

#[test]
fn what_smuggles_requests_never_reaches_a_function() {
    let world = World::new();
    let server = world.serve("a", named("a"));
    world.put("f", &["a"], FunctionSettings::default());
    for (request, status) in [
        ("POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
        ("POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length : 3\r\n\r\n", 400),
        ("POST /function/f HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
        ("GET /function/f HTTP/1.1\r\nHost: h\r\nA: b\r\n folded\r\n\r\n", 400),
        ("GET /function/f HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", 400),
        ("GET /function/f HTTP/1.1\r\n\r\n", 400),
        ("GET /function/f HTTP/2.0\r\n\r\n", 505),
        ("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        ("\u{16}\u{3}\u{1}", 400),
    ] {
        let mut client = world.connect();
        client.send(request);
        assert_eq!(client.receive().unwrap().status, status, "{request:?}");
        assert!(client.is_closed(), "{request:?}");
    }
    assert_eq!(server.accepted.load(Ordering::SeqCst), 0);
}

#[test]
fn malformed_chunks_end_the_exchange() {
    let world = World::new();
    let _server = world.serve("a", answering(|request| ok(&request.body)));
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    client.send(
        "POST /function/f HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX",
    );
    assert_eq!(client.receive().unwrap().status, 400);
    assert!(client.is_closed());
    eventually("the replica is free", || world.front.in_flight("a") == 0);
}

#[test]
fn heads_above_the_limits_are_refused() {
    let world = World::new();
    let _server = world.serve("a", named("a"));
    world.put("f", &["a"], FunctionSettings::default());
    let long = "a".repeat(1 << 20);
    for (request, status) in [
        (
            format!("GET /function/f HTTP/1.1\r\nHost: h\r\nA: {long}\r\n\r\n"),
            431,
        ),
        (
            format!(
                "GET /function/f?{} HTTP/1.1\r\nHost: h\r\n\r\n",
                &long[..70_000]
            ),
            414,
        ),
        (
            format!(
                "GET /function/f HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n",
                &long[..1_000_000]
            ),
            200,
        ),
    ] {
        let mut client = world.connect();
        let _ = client.stream.write_all(request.as_bytes());
        assert_eq!(client.receive().unwrap().status, status);
    }
}

#[test]
fn large_heads_of_many_clients_cannot_take_all_memory() {
    let world = World::with(|config| {
        config.limits = Limits {
            memory_bytes_max: 2 << 20,
            ..Limits::default()
        };
        config.timeouts = Timeouts {
            head: Duration::from_secs(1),
            ..config.timeouts
        };
    });
    let _server = world.serve("a", named("a"));
    world.put("f", &["a"], FunctionSettings::default());
    let mut before = world.connect();
    assert_eq!(before.get("/function/f").text(), "a");
    let mut part = b"GET /function/f HTTP/1.1\r\nHost: h\r\nA: ".to_vec();
    part.resize(900 << 10, b'a');
    let hostile: Vec<_> = (0..16)
        .map(|_| {
            let (mut client, part) = (world.connect(), part.clone());
            std::thread::spawn(move || {
                let _ = client.stream.write_all(&part);
                client.receive().map(|response| response.status)
            })
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(before.get("/function/f").text(), "a");
        std::thread::sleep(Duration::from_millis(5));
    }
    let outcomes: Vec<_> = hostile
        .into_iter()
        .map(|client| client.join().unwrap())
        .collect();
    assert!(outcomes.contains(&Some(503)), "{outcomes:?}");
    assert!(!outcomes.contains(&None), "{outcomes:?}");
    assert_eq!(world.get("/function/f").text(), "a");
}

#[test]
fn slow_clients_are_cut_off() {
    let short = Duration::from_millis(150);
    let world = World::with(|config| {
        config.timeouts = Timeouts {
            head: short,
            body: short,
            ..Timeouts::default()
        };
    });
    let _server = world.serve("a", answering(|request| ok(&request.body)));
    world.put("f", &["a"], FunctionSettings::default());
    let mut head = world.connect();
    head.send("GET /function/f HTT");
    let mut body = world.connect();
    body.send("POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
    assert_eq!(head.receive().unwrap().status, 408);
    assert_eq!(body.receive().unwrap().status, 408);
    assert!(head.is_closed() && body.is_closed());
    eventually("the replica is free", || world.front.in_flight("a") == 0);
    let impatient = World::with(|config| config.timeouts.idle = short);
    assert!(impatient.connect().is_closed());
}

#[test]
fn functions_are_served_while_the_provider_is_dead() {
    let world = World::new();
    let _server = world.serve("a", named("a"));
    world.put("f", &["a"], FunctionSettings::default());
    let provider = world.serve_provider(answering(|request| {
        assert_eq!(request.header("X-Call-Id"), None);
        assert!(request.header("X-Forwarded-For").is_some());
        ok(&request.line)
    }));
    let mut client = world.connect();
    for _ in 0..3 {
        assert_eq!(
            client.get("/system/functions?x=%2F").text(),
            "GET /system/functions?x=%2F HTTP/1.1"
        );
    }
    assert_eq!(provider.accepted.load(Ordering::SeqCst), 1);
    drop(provider);
    std::thread::sleep(Duration::from_millis(50));
    let response = client.get("/healthz");
    assert_eq!(
        (response.status, response.header("X-OpenFaaS-Internal")),
        (502, Some("junctiond"))
    );
    assert!(response.text().contains("provider"), "{}", response.text());
    assert_eq!(client.get("/function/f").text(), "a");
    let _provider = world.serve_provider(named("back"));
    assert_eq!(client.get("/healthz").text(), "back");
}

#[test]
fn unknown_functions_get_the_contracts_text() {
    let world = World::new();
    let mut client = world.connect();
    let response = client.post("/function/nosuch.openfaas-fn", b"hello");
    assert_eq!(response.status, 404);
    assert_eq!(
        response.text(),
        "error finding function nosuch.openfaas-fn: server returned non-200 status code (404) for function, nosuch, body: "
    );
    assert_eq!(
        response.header("Content-Type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(client.get("/function/").text(), "404 page not found\n");
    assert_eq!(client.get("/function/a%2Fb").text(), "404 page not found\n");
}

#[test]
fn a_call_id_is_kept_and_echoed() {
    let world = World::new();
    let _server = world.serve("a", answering(|request| {
        let mut out = b"HTTP/1.1 200 OK\r\nX-Served-By: me\r\nX-Start-Time: 1\r\nContent-Length: 4\r\n\r\n".to_vec();
        out.extend_from_slice(request.header("X-Call-Id").unwrap().as_bytes());
        out
    }));
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    client.send("GET /function/f HTTP/1.1\r\nHost: h\r\nX-Call-Id: mine\r\n\r\n");
    let response = client.receive().unwrap();
    assert_eq!(
        (response.text(), response.header("X-Call-Id")),
        ("mine", Some("mine"))
    );
    // What the function says itself is not said twice.
    assert_eq!(
        (
            response.header("X-Served-By"),
            response.header("X-Start-Time")
        ),
        (Some("me"), Some("1"))
    );
    assert_eq!(
        response
            .headers
            .iter()
            .filter(|(name, _)| name == "X-Served-By")
            .count(),
        1
    );
}
