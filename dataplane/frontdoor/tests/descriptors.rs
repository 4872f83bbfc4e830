//! A host without descriptors. Alone in its process, for the limit holds for all of it.

mod support;

use std::fs::File;
use std::net::TcpStream;
use std::time::Duration;

use jd_wire::control::FunctionSettings;
use rustix::process::{getrlimit, setrlimit, Resource};
use support::{named, Client, World};

#[test]
fn without_descriptors_the_door_waits_and_does_not_spin() {
    let world = World::new();
    let _server = world.serve("a", named("a"));
    world.put("f", &["a"], FunctionSettings::default());
    let mut before = world.connect();
    assert_eq!(before.get("/function/f").text(), "a");
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(256);
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    // One descriptor for the client's end, none for the front door's.
    taken.pop();
    let stream = TcpStream::connect(world.address).unwrap();
    std::thread::sleep(Duration::from_millis(150));
    let wakeups = || world.front.stats().workers[0].wakeups;
    let start = wakeups();
    std::thread::sleep(Duration::from_millis(500));
    assert!(wakeups() - start < 20, "{} wake-ups", wakeups() - start);
    // Whoever is in is served on.
    assert_eq!(before.get("/function/f").text(), "a");
    drop(taken);
    assert_eq!(Client::new(stream).get("/function/f").text(), "a");
}
