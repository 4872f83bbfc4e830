//! A run for profilers: a fixed number of sequential invocations of 600 bytes each way, on a socket or a ring.
//!
//! Counts nothing and asserts no time. Under a profiler that separates threads, the thread `front-0` divided by
//! `INVOCATIONS` is what one invocation costs:
//!
//! ```text
//! INVOCATIONS=2000 valgrind --tool=callgrind --separate-threads=yes target/release/deps/cost-… --ignored on_a_ring
//! ```

#[path = "support/guest.rs"]
mod guest;
#[path = "support/mod.rs"]
mod support;

use std::io::{BufReader, Read, Write};

use guest::Guest;
use jd_wire::control::FunctionSettings;
use support::{ok, read_body, read_head, World};

fn serve(stream: impl Read + Write) {
    let mut reader = BufReader::new(stream);
    while let Some((_, headers)) = read_head(&mut reader) {
        let Some((body, _)) = read_body(&mut reader, &headers, false) else {
            return;
        };
        if reader.get_mut().write_all(&ok(&body)).is_err() {
            return;
        }
    }
}

fn invoke(world: &World) {
    let count = std::env::var("INVOCATIONS").map_or(100, |text| text.parse().expect("a number"));
    world.put("f", &["s"], FunctionSettings::default());
    let mut client = world.connect();
    let body = [b'x'; 600];
    for _ in 0..count {
        assert_eq!(client.post("/function/f", &body).body, body);
    }
}

#[test]
#[ignore = "for profilers"]
fn on_a_socket() {
    let world = World::new();
    let _server = world.serve("s", serve);
    invoke(&world);
}

#[test]
#[ignore = "for profilers"]
fn on_a_ring() {
    let world = World::new();
    let guest = Guest::new(&world.dialer);
    let _server = world.serve("s", move |stream| serve(guest.ride(stream)));
    invoke(&world);
}
