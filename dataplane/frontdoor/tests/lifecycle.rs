//! Replicas that come and go, limits of time, probes, adopted connections, many workers, the end.

mod support;

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{mpsc, Arc};
use std::time::{Duration, Instant};

use jd_frontdoor::Limits;
use jd_wire::control::{FunctionSettings, Replica};
use support::{answering, eventually, named, ok, read_head, Client, World, PATIENCE};

fn drain(world: &World, sandbox: &str, timeout: Duration) -> u64 {
    let (tell, heard) = mpsc::channel();
    world.front.drain(
        sandbox,
        timeout,
        Box::new(move |in_flight| tell.send(in_flight).unwrap()),
    );
    heard.recv_timeout(PATIENCE).unwrap()
}

fn probe(world: &World, path: Option<&str>, timeout: Duration) -> Option<Option<u16>> {
    let (tell, heard) = mpsc::channel();
    let done = Box::new(move |outcome| tell.send(outcome).unwrap());
    world
        .front
        .probe("a", 8080, path.map(str::to_owned), timeout, done);
    heard.recv_timeout(PATIENCE).unwrap()
}

fn replica(sandbox: &str, draining: bool) -> Replica {
    Replica {
        sandbox: sandbox.into(),
        port: 8080,
        draining,
    }
}

#[test]
fn replicas_are_exchanged_under_load_without_a_failed_request() {
    let world = Arc::new(World::with(|config| config.workers = 2));
    let slow = |name: &'static str| {
        answering(move |_| {
            std::thread::sleep(Duration::from_millis(3));
            ok(name)
        })
    };
    let mut server = world.serve("r0", slow("r"));
    world.put(
        "f",
        &["r0"],
        FunctionSettings {
            replica_inflight_max: 3,
            ..FunctionSettings::default()
        },
    );
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (mut client, stop) = (world.connect(), stop.clone());
            std::thread::spawn(move || {
                let mut served = 0;
                while !stop.load(Ordering::SeqCst) {
                    let response = client.post("/function/f", b"work");
                    assert_eq!((response.status, response.text()), (200, "r"));
                    served += 1;
                }
                served
            })
        })
        .collect();
    for n in 1..20 {
        let (old, new) = (format!("r{}", n - 1), format!("r{n}"));
        let next = world.serve(&new, slow("r"));
        let settings = FunctionSettings {
            replica_inflight_max: 3,
            ..FunctionSettings::default()
        };
        world.put_replicas(
            "f",
            vec![replica(&old, true), replica(&new, false)],
            settings.clone(),
        );
        assert_eq!(drain(&world, &old, PATIENCE), 0);
        world.put_replicas("f", vec![replica(&new, false)], settings);
        server = next;
    }
    stop.store(true, Ordering::SeqCst);
    let served: u64 = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    let stats = &world.front.stats().functions[0];
    assert_eq!(
        (stats.codes[&200], stats.in_flight, stats.queued),
        (served, 0, 0)
    );
    drop(server);
}

#[test]
fn a_drain_waits_for_what_is_in_flight_and_no_longer_than_told() {
    let world = World::new();
    let (release, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let _server = world.serve(
        "a",
        answering(move |_| {
            let _ = wait.lock().unwrap().recv();
            ok("done")
        }),
    );
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    client.send("GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n");
    eventually("it runs", || world.front.in_flight("a") == 1);
    world.put_replicas("f", vec![replica("a", true)], FunctionSettings::default());
    assert_eq!(drain(&world, "a", Duration::from_millis(50)), 1);
    let releasing = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        release.send(()).unwrap();
    });
    assert_eq!(drain(&world, "a", PATIENCE), 0);
    assert_eq!(client.receive().unwrap().text(), "done");
    assert_eq!(drain(&world, "nobody", PATIENCE), 0);
    releasing.join().unwrap();
}

#[test]
fn idle_connections_to_a_retired_replica_are_closed() {
    let world = World::new();
    let (tell, ended) = support::channel();
    let _server = world.serve("a", move |stream| {
        named("a")(stream);
        tell.lock().unwrap().send(()).unwrap();
    });
    world.put("f", &["a"], FunctionSettings::default());
    assert_eq!(world.get("/function/f").text(), "a");
    world.put("f", &[], FunctionSettings::default());
    ended.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_function_that_takes_too_long_is_a_504() {
    let world = World::new();
    let (tell, ended) = support::channel();
    let _server = world.serve("a", move |mut stream| {
        read_head(&mut BufReader::new(stream.try_clone().unwrap()));
        let _ = stream.read(&mut [0]);
        tell.lock().unwrap().send(()).unwrap();
    });
    let settings = FunctionSettings {
        exec_timeout_ms: 100,
        ..FunctionSettings::default()
    };
    world.put("f", &["a"], settings.clone());
    let response = world.get("/function/f");
    assert_eq!(
        (response.status, response.header("X-OpenFaaS-Internal")),
        (504, Some("junctiond"))
    );
    assert!(response.header("X-Duration-Seconds").unwrap() >= "0.1");
    ended.recv_timeout(PATIENCE).unwrap();
    world.put(
        "f",
        &["a"],
        FunctionSettings {
            watchdog: true,
            exec_timeout_ms: 60_000,
            ..settings
        },
    );
    let mut client = world.connect();
    let started = Instant::now();
    client.send("GET /function/f HTTP/1.1\r\nHost: h\r\nX-Timeout: 100ms\r\n\r\n");
    let response = client.receive().unwrap();
    assert_eq!(
        (response.status, response.header("X-OpenFaaS-Internal")),
        (504, Some("of-watchdog"))
    );
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn streams_may_last_longer_than_an_invocation() {
    let world = World::new();
    let _server = world.serve(
        "a",
        answering(|_| {
            std::thread::sleep(Duration::from_millis(200));
            ok("event")
        }),
    );
    world.put(
        "f",
        &["a"],
        FunctionSettings {
            exec_timeout_ms: 50,
            ..FunctionSettings::default()
        },
    );
    let mut client = world.connect();
    client.send("GET /function/f HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n");
    assert_eq!(client.receive().unwrap().text(), "event");
}

#[test]
fn the_watchdogs_paths_are_answered_in_its_place() {
    let world = World::new();
    let _server = world.serve(
        "a",
        answering(|request| ok(request.line.split(' ').nth(1).unwrap())),
    );
    let watchdog = FunctionSettings {
        watchdog: true,
        ..FunctionSettings::default()
    };
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    assert_eq!(client.get("/function/f/_/health").text(), "/_/health");
    world.put("f", &["a"], watchdog.clone());
    assert_eq!(client.get("/function/f/_/health").text(), "OK");
    assert_eq!(client.get("/function/f/_/ready").status, 200);
    assert_eq!(client.post("/function/f/_/health", b"").status, 405);
    world.put(
        "f",
        &["a"],
        FunctionSettings {
            ready_path: Some("/up?x".into()),
            ..watchdog
        },
    );
    assert_eq!(client.get("/function/f/_/ready").text(), "/up?x");
}

#[test]
fn a_probe_waits_until_the_sandbox_is_ready() {
    let world = World::new();
    assert_eq!(probe(&world, None, Duration::from_millis(50)), None);
    let path = world.folder.path().join("a-8080.sock");
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        let begun = Instant::now();
        support::Server::start(
            &path,
            answering(move |request| {
                assert!(request.line.starts_with("GET /up "));
                if begun.elapsed() > Duration::from_millis(80) {
                    b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()
                } else {
                    b"HTTP/1.1 503 Not yet\r\nContent-Length: 0\r\n\r\n".to_vec()
                }
            }),
        )
    });
    assert_eq!(probe(&world, None, PATIENCE), Some(None));
    let server = late.join().unwrap();
    assert_eq!(probe(&world, Some("/up"), PATIENCE), Some(Some(204)));
    drop(server);
    assert_eq!(probe(&world, Some("/up"), Duration::from_millis(50)), None);
}

#[test]
fn a_guests_connection_is_served_like_a_clients() {
    let world = World::new();
    let _server = world.serve(
        "a",
        answering(|request| ok(request.header("X-Forwarded-For").unwrap())),
    );
    world.put("f", &["a"], FunctionSettings::default());
    let (ours, guests) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    world
        .front
        .adopt(ours.into(), "10.62.0.5:40000".parse().unwrap());
    let mut reader = BufReader::new(guests.try_clone().unwrap());
    for _ in 0..3 {
        (&guests)
            .write_all(b"GET http://gateway:8080/function/f HTTP/1.1\r\nHost: gateway:8080\r\n\r\n")
            .unwrap();
        let (line, headers) = read_head(&mut reader).unwrap();
        assert_eq!(line, "HTTP/1.1 200 OK");
        assert_eq!(
            support::read_body(&mut reader, &headers, false).unwrap().0,
            b"10.62.0.5:40000"
        );
    }
    drop((guests, reader));
    eventually("it is closed", || {
        world.front.stats().workers[0].connections == 0
    });
}

#[test]
fn a_guest_has_its_own_limit_of_connections() {
    let world = World::with(|config| {
        config.limits = Limits {
            connections_max: 1,
            connections_per_guest_max: 2,
            ..Limits::default()
        };
    });
    let mut guests: Vec<_> = (0..3)
        .map(|port| {
            let (ours, guests) = UnixStream::pair().unwrap();
            world
                .front
                .adopt(ours.into(), ([10, 62, 0, 5], 40_000 + port).into());
            guests
        })
        .collect();
    assert_eq!(guests.pop().unwrap().read(&mut [0]).unwrap(), 0);
    // Clients have their places all the same.
    assert_eq!(world.get("/function/none").status, 404);
    drop(guests);
    eventually("they are gone", || {
        world.front.stats().workers[0].connections == 0
    });
}

#[test]
fn connections_above_the_limit_wait_for_a_place() {
    let world = World::with(|config| {
        config.limits = Limits {
            connections_max: 2,
            ..Limits::default()
        }
    });
    let _server = world.serve("a", named("a"));
    world.put("f", &["a"], FunctionSettings::default());
    let mut first = world.connect();
    let mut second = world.connect();
    assert_eq!(
        (
            first.get("/function/f").text(),
            second.get("/function/f").text()
        ),
        ("a", "a")
    );
    let mut third = world.connect();
    third.send("GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n");
    third
        .stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    assert!(third.receive().is_none());
    third.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    drop(first);
    assert_eq!(third.receive().unwrap().text(), "a");
}

#[test]
fn many_workers_serve_one_queue() {
    let world = Arc::new(World::with(|config| config.workers = 4));
    let _server = world.serve("a", named("a"));
    world.put(
        "f",
        &["a"],
        FunctionSettings {
            replica_inflight_max: 1,
            ..FunctionSettings::default()
        },
    );
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let world = world.clone();
            std::thread::spawn(move || {
                for _ in 0..25 {
                    assert_eq!(world.get("/function/f").text(), "a");
                }
            })
        })
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
    let stats = world.front.stats();
    assert_eq!(
        (stats.functions[0].codes[&200], stats.functions[0].queued),
        (400, 0)
    );
    assert_eq!(
        stats
            .workers
            .iter()
            .map(|worker| worker.requests)
            .sum::<u64>(),
        400
    );
}

#[test]
fn a_shutdown_lets_requests_end() {
    let world = World::with(|config| config.timeouts.shutdown = PATIENCE);
    let _server = world.serve(
        "a",
        answering(|_| {
            std::thread::sleep(Duration::from_millis(150));
            ok("done")
        }),
    );
    world.put("f", &["a"], FunctionSettings::default());
    let mut idle = world.connect();
    assert_eq!(idle.get("/function/none").status, 404);
    let mut busy = world.connect();
    busy.send("GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n");
    eventually("it runs", || world.front.in_flight("a") == 1);
    world.front.shutdown();
    let response = busy.receive().unwrap();
    assert_eq!(
        (response.text(), response.header("Connection")),
        ("done", Some("close"))
    );
    assert!(idle.is_closed() && busy.is_closed());
    assert!(TcpStream::connect(world.address).map(Client::new).is_err());
}

#[test]
fn accepted_connections_do_not_wait_to_fill_packets() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::sockopt::set_tcp_nodelay(&listener, true).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    assert!(accepted.nodelay().unwrap());
    drop(client);
}

#[test]
fn an_idle_front_door_sleeps() {
    let world = World::with(|config| config.workers = 2);
    let _server = world.serve("a", named("a"));
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    assert_eq!(client.get("/function/f").text(), "a");
    let wakeups = || {
        world
            .front
            .stats()
            .workers
            .iter()
            .map(|worker| worker.wakeups)
            .sum::<u64>()
    };
    eventually("it sleeps", || {
        let before = wakeups();
        std::thread::sleep(Duration::from_millis(300));
        wakeups() == before
    });
}
