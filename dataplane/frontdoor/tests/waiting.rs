//! Requests that wait for a replica.

mod support;

use std::sync::mpsc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jd_frontdoor::Timeouts;
use jd_wire::control::FunctionSettings;
use support::{answering, eventually, named, ok, World, PATIENCE};

/// `wanted` is told at most once in this time, per function.
const WANTED_PAUSE: Duration = Duration::from_millis(100);

fn queued(world: &World) -> u64 {
    world.front.stats().functions[0].queued
}

/// A function that answers only when told to, once for each word.
fn held(world: &World, sandbox: &str) -> (mpsc::Sender<()>, support::Server) {
    let (release, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let server = world.serve(
        sandbox,
        answering(move |request| {
            let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
            ok(request.line.split(' ').nth(1).unwrap())
        }),
    );
    (release, server)
}

#[test]
fn a_request_wakes_its_function_and_is_served_when_it_is_there() {
    let world = World::new();
    world.put("f", &[], FunctionSettings::default());
    let mut clients: Vec<_> = (0..5).map(|_| world.connect()).collect();
    clients.iter_mut().for_each(|client| {
        client.send("POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
    });
    eventually("all wait", || queued(&world) == 5);
    {
        let heard = world.heard.wanted.lock().unwrap();
        assert_eq!(heard[0].0, "f.openfaas-fn");
        let told_once = |pair: &[(String, Instant)]| pair[1].1 - pair[0].1 >= WANTED_PAUSE;
        assert!(heard.windows(2).all(told_once));
    }
    let _server = world.serve("a", answering(|request| ok(&request.body)));
    world.put("f", &["a"], FunctionSettings::default());
    for client in &mut clients {
        assert_eq!(client.receive().unwrap().text(), "hi");
    }
    assert_eq!(queued(&world), 0);
}

#[test]
fn wanted_is_told_again_while_a_request_waits() {
    let world = World::new();
    world.put("f", &[], FunctionSettings::default());
    let mut client = world.connect();
    client.send("GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n");
    eventually("it is told twice", || {
        world.heard.wanted.lock().unwrap().len() >= 2
    });
    let heard = world.heard.wanted.lock().unwrap();
    assert!(heard[1].1 - heard[0].1 >= Duration::from_millis(100));
}

#[test]
fn a_replica_that_came_and_went_is_wanted_again_soon() {
    // Not after the second in which a waiting request is looked at again anyway; on a machine that is busy
    // with other things not every try shows it.
    let soon = (0..10).any(|_| wanted_again_after() < Duration::from_millis(900));
    assert!(soon);
}

/// Time between the first word that a function is wanted and the second, with a replica between them.
fn wanted_again_after() -> Duration {
    let world = World::new();
    world.put("f", &[], FunctionSettings::default());
    let mut first = world.connect();
    first.send("GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n");
    eventually("it is told", || {
        !world.heard.wanted.lock().unwrap().is_empty()
    });
    let _server = world.serve("a", answering(|request| ok(&request.body)));
    world.put("f", &["a"], FunctionSettings::default());
    assert_eq!(first.receive().unwrap().status, 200);
    world.put("f", &[], FunctionSettings::default());
    let told = world.heard.wanted.lock().unwrap().len();
    let mut second = world.connect();
    let sent = Instant::now();
    second.send("GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n");
    eventually("it is told again", || {
        world.heard.wanted.lock().unwrap().len() > told
    });
    let heard = world.heard.wanted.lock().unwrap();
    heard[told].1 - sent
}

#[test]
fn waiting_ends_with_a_503() {
    let world = World::new();
    world.put(
        "f",
        &[],
        FunctionSettings {
            queue_timeout_ms: 100,
            ..FunctionSettings::default()
        },
    );
    let started = Instant::now();
    let response = world.get("/function/f");
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert_eq!(
        (response.status, response.text()),
        (503, "No endpoints available for: f.\n")
    );
    assert_eq!(response.header("X-OpenFaaS-Internal"), Some("junctiond"));
}

#[test]
fn a_function_that_may_not_be_started_is_a_503_at_once() {
    let world = World::new();
    world.put(
        "f",
        &[],
        FunctionSettings {
            scale_from_zero: false,
            ..FunctionSettings::default()
        },
    );
    assert_eq!(world.get("/function/f").status, 503);
    assert!(world.heard.wanted.lock().unwrap().is_empty());
}

#[test]
fn a_full_queue_refuses_in_the_watchdogs_words() {
    let world = World::new();
    let (release, _server) = held(&world, "a");
    world.put(
        "f",
        &["a"],
        FunctionSettings {
            replica_inflight_max: 1,
            queue_max: 1,
            ..FunctionSettings::default()
        },
    );
    let mut clients: Vec<_> = (0..2).map(|_| world.connect()).collect();
    clients
        .iter_mut()
        .for_each(|client| client.send("GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n"));
    eventually("one waits", || queued(&world) == 1);
    let response = world.get("/function/f");
    assert_eq!(
        (response.status, response.text()),
        (
            429,
            "Concurrent request limit exceeded. Max concurrent requests: 1"
        )
    );
    assert_eq!(
        response.header("X-OpenFaaS-Internal"),
        Some("faas-middleware")
    );
    (0..2).for_each(|_| release.send(()).unwrap());
    clients
        .iter_mut()
        .for_each(|client| assert_eq!(client.receive().unwrap().status, 200));
    assert_eq!(world.front.stats().functions[0].rejected, 1);
}

/// What a watchdog's `max_inflight` of one becomes: nothing waits for a busy replica.
fn no_queue() -> FunctionSettings {
    FunctionSettings {
        replica_inflight_max: 1,
        queue_max: 0,
        ..FunctionSettings::default()
    }
}

/// Three requests that wait are served one after the other, and refused is only who comes while one is.
fn assert_queued_then_busy(world: &World, route: impl FnOnce() -> mpsc::Sender<()>) {
    let mut clients: Vec<_> = (0..3).map(|_| world.connect()).collect();
    clients
        .iter_mut()
        .for_each(|client| client.send("GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n"));
    eventually("all wait", || queued(world) == 3);
    let release = route();
    eventually("one is served", || queued(world) == 2);
    assert_eq!(world.get("/function/f").status, 429);
    (0..3).for_each(|_| release.send(()).unwrap());
    clients
        .iter_mut()
        .for_each(|client| assert_eq!(client.receive().unwrap().status, 200));
    assert_eq!(world.front.stats().functions[0].rejected, 1);
}

#[test]
fn a_limit_refuses_nobody_before_the_first_replica() {
    let world = World::new();
    world.put("f", &[], no_queue());
    let mut server = None;
    assert_queued_then_busy(&world, || {
        let (release, started) = held(&world, "a");
        server = Some(started);
        world.put("f", &["a"], no_queue());
        release
    });
}

#[test]
fn a_limit_refuses_nobody_while_the_replica_cannot_be_reached() {
    let world = World::new();
    world.put("f", &["a"], no_queue());
    let mut server = None;
    assert_queued_then_busy(&world, || {
        let (release, started) = held(&world, "a");
        server = Some(started);
        release
    });
}

#[test]
fn who_came_first_is_served_first() {
    let world = World::new();
    let (release, _server) = held(&world, "a");
    world.put(
        "f",
        &["a"],
        FunctionSettings {
            replica_inflight_max: 1,
            ..FunctionSettings::default()
        },
    );
    let (tell, order) = mpsc::channel();
    for n in 0..10 {
        let mut client = world.connect();
        client.send(format!("GET /function/f/{n} HTTP/1.1\r\nHost: h\r\n\r\n"));
        eventually("it is in its place", || {
            let stats = &world.front.stats().functions[0];
            stats.queued + stats.in_flight == n + 1
        });
        let tell = tell.clone();
        std::thread::spawn(move || tell.send(client.receive().unwrap().text().to_owned()));
    }
    for n in 0..10 {
        release.send(()).unwrap();
        assert_eq!(order.recv_timeout(PATIENCE).unwrap(), format!("/{n}"));
    }
}

#[test]
fn a_client_that_leaves_gives_its_place_up() {
    let world = World::new();
    world.put(
        "f",
        &[],
        FunctionSettings {
            queue_max: 1,
            ..FunctionSettings::default()
        },
    );
    for _ in 0..3 {
        let mut client = world.connect();
        client.send("POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
        eventually("it waits", || queued(&world) == 1);
        // An unread answer makes the end of this connection a reset.
        client.send("GET / HTTP/1.1\r\n\r\n");
        rustix::net::sockopt::set_socket_linger(&client.stream, Some(Duration::ZERO)).unwrap();
        drop(client);
        eventually("the place is free", || queued(&world) == 0);
    }
}

#[test]
fn a_deleted_function_lets_nobody_wait() {
    let world = World::new();
    world.put("f", &[], FunctionSettings::default());
    let mut client = world.connect();
    client.send("GET /function/f HTTP/1.1\r\nHost: h\r\n\r\n");
    eventually("it waits", || queued(&world) == 1);
    assert!(world.front.delete_function("f", "openfaas-fn"));
    assert_eq!(client.receive().unwrap().status, 404);
    assert_eq!(client.get("/function/f").status, 404);
}

#[test]
fn a_replica_that_listens_late_is_waited_for() {
    let world = World::new();
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    client.send("POST /function/f HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
    eventually("it is told", || {
        !world.heard.wanted.lock().unwrap().is_empty()
    });
    let _server = world.serve("a", answering(|request| ok(&request.body)));
    assert_eq!(client.receive().unwrap().text(), "hi");
}

#[test]
fn a_replica_that_never_listens_is_a_502() {
    let world = World::with(|config| {
        config.timeouts = Timeouts {
            unreachable: Duration::from_millis(150),
            ..Timeouts::default()
        };
    });
    world.put("f", &["a"], FunctionSettings::default());
    let response = world.get("/function/f");
    assert_eq!(
        (response.status, response.text()),
        (502, "Can't reach service for: f.\n")
    );
}

#[test]
fn a_dead_replica_is_passed_over() {
    let world = World::new();
    let _server = world.serve("b", named("b"));
    world.put("f", &["a", "b"], FunctionSettings::default());
    let mut client = world.connect();
    for _ in 0..20 {
        assert_eq!(client.get("/function/f").text(), "b");
    }
}

#[test]
fn replicas_share_the_work() {
    let world = World::new();
    let servers = ["a", "b", "c"].map(|name| world.serve(name, named(name)));
    world.put("f", &["a", "b", "c"], FunctionSettings::default());
    let mut client = world.connect();
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..30 {
        *counts
            .entry(client.get("/function/f").text().to_owned())
            .or_insert(0) += 1;
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [10, 10, 10]);
    drop(servers);
}
