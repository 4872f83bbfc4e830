//! An idle sandbox costs nothing: no thread of the supervisor wakes. Alone in its process, whose
//! threads it looks at.

mod support;

use std::time::Duration;

use support::{get, python, World};

/// How often the supervisor's threads have woken so far.
fn wakes() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let named = tasks.filter(|task| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.starts_with("jd-"))
    });
    named
        .map(|task| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.unwrap().trim().parse::<u64>().unwrap()
        })
        .sum()
}

#[test]
fn nothing_wakes_for_an_idle_sandbox() {
    let world = World::new();
    let script = r#"
import asyncio
async def serve(reader, writer):
    while await reader.readline() != b"\r\n": pass
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    await writer.drain()
async def main():
    async with await asyncio.start_server(serve, "0.0.0.0", 8080) as server: await server.serve_forever()
asyncio.run(main())
"#;
    let _guest = world.launch(&mut python(script));
    world.recorder.listening(8080);
    let mut kept = world.dial(8080);
    assert!(get(&mut kept, "/").ends_with("hi"));
    std::thread::sleep(Duration::from_millis(300));
    let before = wakes();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(wakes(), before);
}
