//! Guests that try to keep the supervisor busy or asleep. Their neighbours must be served all the same.

mod support;

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use jd_port::{Egress, Event, Platform};
use support::{guests, python, Guest, World};

/// Stands for the world outside; documentation addresses (RFC 5737).
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

static FLOODS: LazyLock<PathBuf> = LazyLock::new(|| {
    let built = std::env::temp_dir().join(format!("jd-port-floods-{}", std::process::id()));
    let source = guests().join("floods.c");
    let status = Command::new("cc")
        .args(["-O1", "-pthread", "-o"])
        .arg(&built)
        .arg(source)
        .status()
        .unwrap();
    assert!(status.success());
    built
});

/// Starts a hostile guest.
fn flood(world: &World, what: &str, number: u32) -> Guest {
    let mut command = Command::new(&*FLOODS);
    command.args([what.to_owned(), number.to_string()]);
    let guest = Guest::start("hostile", &mut command, None);
    guest.attach(&world.supervisor);
    guest
}

/// A guest that makes a few socket calls for some time and tells that all were answered.
fn neighbour(world: &World, seconds: u32, rounds: u32) {
    let script = format!(
        r#"
import socket, time
end = time.monotonic() + {seconds}
done = 0
while done < {rounds} or time.monotonic() < end:
    s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
    c = socket.create_connection(s.getsockname()); a, _ = s.accept()
    for each in (s, c, a): each.close()
    done += 1
print("served")
"#
    );
    let guest = Guest::start("neighbour", &mut python(&script), None);
    guest.attach(&world.supervisor);
    assert_eq!(guest.output(), "served\n");
}

fn one_worker() -> World {
    World::threads(1, Platform::default())
}

fn notifications(world: &World, sandbox: &str) -> u64 {
    let stats = world.supervisor.stats(sandbox).unwrap();
    stats.counters.notifications
}

#[test]
fn no_interleaving_of_timeouts_and_flags_blocks_a_connect() {
    let world = one_worker();
    let _hostile = flood(&world, "block", 0);
    neighbour(&world, 10, 50);
    let before = notifications(&world, "hostile");
    neighbour(&world, 1, 10);
    assert!(notifications(&world, "hostile") > before, "it stands still");
}

#[test]
fn no_interleaving_of_timeouts_and_flags_blocks_an_accept() {
    let world = one_worker();
    let _hostile = flood(&world, "block", 1);
    neighbour(&world, 10, 50);
}

#[test]
fn connects_that_wait_for_a_full_listener_leave_neighbours_their_share() {
    let world = one_worker();
    let _hostile = flood(&world, "parked", 440);
    neighbour(&world, 2, 200);
}

#[test]
fn a_herd_of_accepts_leaves_neighbours_their_share() {
    let world = one_worker();
    let _hostile = flood(&world, "herd", 440);
    neighbour(&world, 2, 200);
}

#[test]
fn a_guest_whose_memory_stalls_its_worker_gets_one_of_its_own() {
    set_apart("stall");
}

#[test]
fn a_guest_that_stalls_with_a_sockets_lock_gets_a_worker_of_its_own() {
    set_apart("stall_in_read");
}

fn set_apart(how: &str) {
    let can = Command::new(&*FLOODS).args(["can_stall", "0"]).status();
    if !can.unwrap().success() {
        eprintln!("skipped: this kernel or user has no userfaultfd(2)");
        return;
    }
    let world = one_worker();
    let mut hostile = flood(&world, how, 20);
    let wanted = "calls that make the supervisor wait";
    world
        .recorder
        .wait(|event| matches!(event, Event::Violation { kind, .. } if kind == wanted));
    // A call of its that waited has moved with it.
    let mut served = String::new();
    let dialled = world.supervisor.dial("hostile", 9000).unwrap();
    support::blocking(dialled)
        .read_to_string(&mut served)
        .unwrap();
    assert_eq!(served, "moved");
    while !hostile.printed().contains("no more") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // Its worker waits for ever now, and nobody else does.
    neighbour(&world, 0, 50);
    drop(hostile);
    world
        .recorder
        .wait(|event| matches!(event, Event::Detached { sandbox, .. } if sandbox == "hostile"));
}

#[test]
fn a_guest_whose_wakes_are_dear_is_not_woken_any_more() {
    let world = World::new();
    let script = r#"
import os, resource, select, socket, time
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
s = socket.socket(); s.bind(("", 8080)); s.listen(1000)
copies = [os.dup(s.fileno()) for _ in range(400)]
watchers = [select.epoll() for _ in range(100)]
for watcher in watchers:
    for copy in copies: watcher.register(copy, select.EPOLLIN)
r = socket.socket(); r.bind(("", 8081)); r.listen()
time.sleep(1000)
"#;
    let mut guest = world.launch(&mut python(script));
    world.recorder.listening(8081);
    let mut dials = (0..100).map(|_| world.supervisor.dial("one", 8080));
    assert!(dials.any(|dialled| dialled.is_err()));
    world.recorder.wait(
        |event| matches!(event, Event::Violation { kind, .. } if kind == "too many watchers"),
    );
    assert!(world.supervisor.dial("one", 8081).is_err());
    let _ = guest.child.kill();
}

#[test]
fn looking_for_closed_sockets_leaves_neighbours_their_share() {
    let world = one_worker();
    let hostile = flood(&world, "sweep", 15_000);
    world
        .recorder
        .wait(|event| matches!(event, Event::Listening { sandbox, .. } if sandbox == "hostile"));
    neighbour(&world, 2, 200);
    for _ in 0..8 {
        assert!(world.supervisor.dial("hostile", 9000).is_ok());
    }
    drop(hostile);
}

#[test]
fn empty_datagrams_leave_neighbours_their_way_out() {
    support::sys::own_network(OUTSIDE);
    let egress = Egress {
        allow: true,
        deny: vec![],
    };
    let platform = Platform {
        egress,
        ..Platform::default()
    };
    let world = World::threads(2, platform);
    let listener = TcpListener::bind((OUTSIDE, 9000)).unwrap();
    let hostile = flood(&world, "datagrams", 0);
    let script = r#"
import socket
for _ in range(100): socket.create_connection(("192.0.2.1", 9000)).close()
print("served")
"#;
    let guest = Guest::start("neighbour", &mut python(script), None);
    guest.attach(&world.supervisor);
    for _ in 0..100 {
        listener.accept().unwrap();
    }
    assert_eq!(guest.output(), "served\n");
    drop(hostile);
}

#[test]
fn stream_sockets_are_bounded_and_come_back() {
    let world = World::new();
    let printed = world.output(&mut python(
        r#"
import errno, os, resource, socket
most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65536)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
held, made, children = [], 0, []
def hold():
    error = ""
    try:
        while len(held) < most - 100: held.append(socket.socket())
    except OSError as e: error = errno.errorcode[e.errno]
    return f"{len(held)} {error}"
# Each process may have so many descriptors; all of them together may not.
while made < 60000:
    (read, told), (live, end) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end); os.write(told, hold().encode()); os.read(live, 1); os._exit(0)
    children.append((child, end)); os.close(told); os.close(live)
    count, error = os.read(read, 99).decode().split(" "); made += int(count)
    if error: break
print(error, 30000 < made <= 32768)
for child, end in children: os.close(end)
for child, end in children: os.waitpid(child, 0)
print(len([socket.socket() for _ in range(500)]))
"#,
    ));
    assert_eq!(printed, "ENOBUFS True\n500\n");
}

#[test]
fn connects_that_wait_for_room_are_bounded_and_all_served() {
    let script = r#"
import collections, errno, select, socket, threading
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(0)
to = s.getsockname()
first = socket.create_connection(to)
results, waiting = collections.Counter(), []
for _ in range(300):
    c = socket.socket(); c.setblocking(False)
    results[errno.errorcode[c.connect_ex(to)]] += 1
    waiting.append(c)
print(sorted(results.items()))
def serve():
    while True:
        a, _ = s.accept(); a.sendall(b"hi"); a.close()
threading.Thread(target=serve, daemon=True).start()
answers = collections.Counter()
for c in waiting[:256]:
    c.settimeout(50); answers[c.recv(9)] += 1
print(dict(answers))
blocking = [threading.Thread(target=lambda: answers.update([socket.create_connection(to).recv(9)])) for _ in range(64)]
for thread in blocking: thread.start()
for thread in blocking: thread.join()
print(dict(answers))
"#;
    let want = "[('EADDRNOTAVAIL', 44), ('EINPROGRESS', 256)]\n{b'hi': 256}\n{b'hi': 320}\n";
    assert_eq!(World::new().output(&mut python(script)), want);
}

#[test]
fn timeouts_of_the_guests_own_work_on_every_socket() {
    let script = r#"
import errno, socket, struct
def outcome(what):
    try: return what()
    except OSError as e: return errno.errorcode[e.errno]
def set(s, option, us): s.setsockopt(1, option, struct.pack("ll", 0, us))
own, other = socket.socketpair(); listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen(0)
client = socket.create_connection(listener.getsockname())
for s in (own, client):
    for option in (20, 66): set(s, option, 20000); print(outcome(lambda: s.recv(1)))
set(listener, 20, 20000); listener.accept(); print(outcome(listener.accept))
slow = socket.socket(); set(slow, 67, 30000); full = [socket.create_connection(listener.getsockname())]
print(outcome(lambda: slow.connect(listener.getsockname())), struct.unpack("ll", slow.getsockopt(1, 21, 16)))
print(outcome(lambda: own.setsockopt(1, 20, b"short")), outcome(lambda: set(client, 20, 2000000)))
"#;
    let want = "EAGAIN\nEAGAIN\nEAGAIN\nEAGAIN\nEAGAIN\nETIMEDOUT (0, 32000)\nEINVAL EDOM\n";
    let printed = World::new().output(&mut python(script));
    // The kernel keeps timeouts in ticks, whose length is its own.
    let ticks = printed.find("(0, ").map(|at| {
        let digits = printed[at + 4..].split(')').next().unwrap();
        assert!(digits.parse::<u32>().unwrap() >= 30_000, "{printed}");
        digits.to_owned()
    });
    assert_eq!(printed, want.replace("32000", &ticks.unwrap_or_default()));
}

#[test]
fn a_port_is_free_again_as_soon_as_its_socket_is_closed() {
    let script = r#"
import socket, time
held = [socket.socket() for _ in range(200)]
late = 0
for _ in range(2000):
    s = socket.socket()
    try: s.bind(("127.0.0.1", 9000)); s.listen()
    # A process that another test is just starting holds the supervisor's descriptors until it executes.
    except OSError: late += 1; time.sleep(0.01)
    s.close()
assert late < 20, late
print("free")
"#;
    assert_eq!(World::new().output(&mut python(script)), "free\n");
}
