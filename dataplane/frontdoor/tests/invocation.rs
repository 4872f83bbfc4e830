//! Requests that reach a function, as clients and functions see them.

mod support;

use jd_wire::control::FunctionSettings;
use support::{answering, channel, named, ok, World};

#[test]
fn a_function_gets_the_raw_path_and_the_platforms_headers() {
    let world = World::new();
    let (seen, requests) = channel();
    let _server = world.serve(
        "a",
        answering(move |request| {
            seen.lock().unwrap().send(request.clone()).unwrap();
            ok("hi")
        }),
    );
    world.put("f", &["a"], FunctionSettings::default());
    let response = world
        .connect()
        .post("/function/f.openfaas-fn/x%2Fy/../z?q=%20", b"body");
    assert_eq!((response.status, response.text()), (200, "hi"));
    let request = requests.recv().unwrap();
    assert_eq!(request.line, "POST /x%2Fy/../z?q=%20 HTTP/1.1");
    assert_eq!(
        (request.header("Content-Length"), request.body.as_slice()),
        (Some("4"), &b"body"[..])
    );
    assert_eq!(
        (request.header("Host"), request.header("X-Forwarded-Host")),
        (Some("front"), Some("front"))
    );
    assert!(request
        .header("X-Forwarded-For")
        .unwrap()
        .starts_with("127.0.0.1:"));
    assert_eq!(request.header("X-Call-Id"), response.header("X-Call-Id"));
    assert_eq!(response.header("X-Call-Id").unwrap().len(), 36);
    assert_eq!(
        request.header("X-Start-Time"),
        response.header("X-Start-Time")
    );
    assert_eq!(response.header("X-Served-By"), Some("junctiond/0.test"));
    assert_eq!(
        response
            .header("X-Duration-Seconds")
            .unwrap()
            .split('.')
            .nth(1)
            .unwrap()
            .len(),
        6
    );
}

#[test]
fn one_connection_serves_many_requests_over_one_connection() {
    let world = World::new();
    let server = world.serve("a", named("a"));
    world.put("f", &["a"], FunctionSettings::default());
    let mut client = world.connect();
    for _ in 0..100 {
        assert_eq!(client.get("/function/f").text(), "a");
    }
    assert_eq!(server.accepted.load(std::sync::atomic::Ordering::SeqCst), 1);
    let stats = world.front.stats();
    assert_eq!(
        (stats.functions[0].started, stats.functions[0].codes[&200]),
        (100, 100)
    );
    assert_eq!(
        (stats.workers[0].requests, stats.functions[0].in_flight),
        (100, 0)
    );
}
