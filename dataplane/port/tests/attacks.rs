//! What a hostile guest tries. Each must reach nothing but itself.

mod support;

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use jd_port::Event;
use support::{get, guests, python, sys, Guest, World};

static ATTACKS: LazyLock<PathBuf> = LazyLock::new(|| {
    let built = std::env::temp_dir().join(format!("jd-port-attacks-{}", std::process::id()));
    let source = guests().join("attacks.c");
    let status = Command::new("cc")
        .args(["-O1", "-pthread", "-o"])
        .arg(&built)
        .arg(source)
        .status()
        .unwrap();
    assert!(status.success());
    built
});

fn attack(name: &str, tries: u32) -> Command {
    let mut command = Command::new(&*ATTACKS);
    command.args([name.to_owned(), tries.to_string()]);
    command
}

/// Names in the host's network namespace, which no guest may reach.
struct HostNames {
    stream: UnixListener,
    datagram: UnixDatagram,
}

impl HostNames {
    fn new() -> Self {
        // A namespace for each test, so that they do not meet; the supervisor lives in it.
        sys::own_network([192, 0, 2, 1].into());
        let stream = SocketAddr::from_abstract_name("host-service").unwrap();
        let datagram = SocketAddr::from_abstract_name("host-datagrams").unwrap();
        let (stream, datagram) = (
            UnixListener::bind_addr(&stream).unwrap(),
            UnixDatagram::bind_addr(&datagram).unwrap(),
        );
        stream.set_nonblocking(true).unwrap();
        datagram.set_nonblocking(true).unwrap();
        Self { stream, datagram }
    }

    fn assert_untouched(&self) {
        assert!(self.stream.accept().is_err(), "a guest reached a host name");
        assert!(
            self.datagram.recv(&mut [0; 9]).is_err(),
            "a guest's datagram reached a host name"
        );
    }
}

#[test]
fn host_names_are_out_of_reach() {
    let host = HostNames::new();
    let script = r#"
import ctypes, os, socket, struct, errno
libc = ctypes.CDLL(None, use_errno=True)
stream, datagrams = b"\0host-service", b"\0host-datagrams"
def un(name): return b"\1\0" + name
def outcome(result): return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]
for kind, name in ((socket.SOCK_STREAM, stream), (socket.SOCK_DGRAM, datagrams)):
    try: socket.socket(socket.AF_UNIX, kind).connect(name); print("connected")
    except OSError as e: print("own", errno.errorcode[e.errno])
    fd = libc.socket(2, kind, 0)
    print("injected", *(outcome(libc[call](fd, un(name), len(name) + 2)) for call in ("connect", "bind")))
    print("sendto", outcome(libc.sendto(fd, b"x", 1, 0, un(name), len(name) + 2)))
    low = os.dup(fd)  # a number whose messages the filter lets through
    assert low < 512
    address = ctypes.create_string_buffer(un(name), len(name) + 2)
    data = ctypes.create_string_buffer(b"x", 1)
    vector = ctypes.create_string_buffer(struct.pack("PN", ctypes.addressof(data), 1), 16)
    header = struct.pack("PI4xPNPNi4x", ctypes.addressof(address), len(name) + 2, ctypes.addressof(vector), 1, 0, 0, 0)
    print("sendmsg", outcome(libc.sendmsg(low, header, 0)) in ("ok", "ENOTCONN", "EOPNOTSUPP", "EPIPE", "EISCONN", "ENOTSUP"))
"#;
    let world = World::new();
    let want = "own ECONNREFUSED\ninjected EAFNOSUPPORT EAFNOSUPPORT\nsendto ENOTCONN\nsendmsg True\nown ECONNREFUSED\ninjected EAFNOSUPPORT EAFNOSUPPORT\nsendto EAFNOSUPPORT\nsendmsg True\n";
    assert_eq!(world.output(&mut python(script)), want);
    host.assert_untouched();
}

#[test]
fn a_swapped_descriptor_reaches_nothing() {
    let host = HostNames::new();
    let world = World::new();
    assert_eq!(
        world.output(&mut attack("race", 5000)),
        "connected 0, namespaces 0\n"
    );
    host.assert_untouched();
}

#[test]
fn a_flipped_address_is_read_once() {
    let host = HostNames::new();
    let world = World::new();
    assert_eq!(
        world.output(&mut attack("pointers", 1500)),
        "reached some, wrong 0, odd 0\n"
    );
    host.assert_untouched();
}

#[test]
fn other_doors_are_shut() {
    let world = World::new();
    assert_eq!(
        world.output(&mut attack("doors", 0)),
        "socketcall 1 socket32 1 x32 1 io_uring 1\n"
    );
}

#[test]
fn garbage_hurts_nobody() {
    let world = World::new();
    assert_eq!(world.output(&mut attack("garbage", 20_000)), "alive\n");
    let _guest = world.launch(&mut python(
        "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8080)",
    ));
    world.recorder.listening(8080);
    assert!(get(&mut world.dial(8080), "/").contains("200 OK"));
}

#[test]
fn interfaces_and_namespaces_are_not_handed_out() {
    let script = r#"
import errno, fcntl, os, socket, struct
def outcome(what):
    try: return what()
    except OSError as e: return errno.errorcode[e.errno]
for s in (socket.socket(), socket.socket(socket.AF_UNIX), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)):
    print(outcome(lambda: fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", 0))), outcome(lambda: fcntl.ioctl(s, 0x894C, 0)))
for family, kind in ((17, 3), (40, 1), (43, 1), (38, 5), (2, 3), (10, 3)):
    print(outcome(lambda: socket.socket(family, kind)))
print(outcome(lambda: socket.socket(2, 1, 262)))
s = socket.socket()
for option, value in ((36, 1), (16, 1), (25, b"lo\0"), (26, bytes(16)), (83, 1)):
    print(outcome(lambda: s.setsockopt(1, option, value)))
print(outcome(lambda: s.setsockopt(6, 31, b"tls\0")), outcome(lambda: s.getsockopt(1, 77, 4)))
"#;
    let world = World::new();
    let want = "EPERM EPERM\n".repeat(3)
        + &"EAFNOSUPPORT\n".repeat(4)
        + &"EPERM\n".repeat(2)
        + "EPROTONOSUPPORT\nEPERM\nENOPROTOOPT\nEPERM\nENOPROTOOPT\nENOPROTOOPT\nENOPROTOOPT ENOPROTOOPT\n";
    assert_eq!(world.output(&mut python(script)), want);
}

#[test]
fn descriptors_do_not_cross() {
    let world = World::new();
    let guest = world.launch(&mut python(
        r#"
import array, errno, os, socket
def send(s):
    try: s.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))]); return "sent"
    except OSError as e: return errno.errorcode[e.errno]
listener = socket.socket(); listener.bind(("127.0.0.1", 8081)); listener.listen()
client = socket.create_connection(("127.0.0.1", 8081)); server, _ = listener.accept()
print(send(client), send(server), send(socket.create_connection(("10.62.0.1", 8080))))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.connect(("10.62.0.1", 53)); low = socket.socket(fileno=os.dup(udp.fileno()))
print(send(low))
"#,
    ));
    let (mut gateway, _) = world.recorder.gateway();
    let printed = guest.output();
    // Before Linux 6.16 descriptors are sent, and dropped where nobody takes them.
    let old = printed.contains("sent");
    assert!(old || printed == "EPERM EPERM EPERM\nEPERM\n", "{printed}");
    let mut byte = Vec::new();
    assert!(gateway.read_to_end(&mut byte).unwrap_or(0) <= 1);
}

#[test]
fn a_namespace_of_its_own_gives_no_real_socket() {
    let script = r#"
import ctypes, os, socket
libc = ctypes.CDLL(None)
print(libc.unshare(0x40000000 | 0x10000000))
s = socket.socket(); s.bind(("127.0.0.1", 8080)); s.listen()
print(open("/proc/self/net/tcp").read().count("\n"), open("/proc/self/net/unix").read().count("8080"))
"#;
    let world = World::new();
    assert_eq!(world.output(&mut python(script)), "0\n1 0\n");
}

#[test]
fn nothing_of_the_host_is_visible_and_no_kernel_socket_serves() {
    let world = World::new();
    let mut guest = world.launch(&mut python(
        "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8080)",
    ));
    world.recorder.listening(8080);
    get(&mut world.dial(8080), "/");
    for table in ["tcp", "tcp6", "udp", "udp6", "raw", "packet"] {
        let listed =
            std::fs::read_to_string(format!("/proc/{}/net/{table}", guest.child.id())).unwrap();
        assert_eq!(listed.lines().count(), 1, "{listed}");
    }
    let _ = guest.child.kill();
}

#[test]
fn exhausted_descriptors_lose_no_connection() {
    let world = World::new();
    let mut guest = world.launch(&mut python(
        r#"
import errno, os, resource, socket, time
s = socket.socket(); s.bind(("", 8080)); s.listen()
held = []
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True: held.append(os.open("/dev/null", os.O_RDONLY))
except OSError: pass
for _ in range(3):
    try: s.accept()
    except OSError as e: print(errno.errorcode[e.errno], flush=True)
try: socket.socket()
except OSError as e: print(errno.errorcode[e.errno], flush=True)
os.close(held.pop())
c, peer = s.accept(); print(peer[0], c.recv(9), flush=True); c.sendall(b"served")
"#,
    ));
    world.recorder.listening(8080);
    let mut stream = world.dial(8080);
    stream.write_all(b"kept").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "served");
    guest.child.wait().unwrap();
    assert_eq!(
        guest.printed(),
        "EMFILE\nEMFILE\nEMFILE\nEMFILE\n10.62.0.1 b'kept'\n"
    );
}

#[test]
fn a_flood_leaves_the_others_their_share() {
    let world = World::threads(1, jd_port::Platform::default());
    let flood = Guest::start("flood", &mut attack("flood", 0), None);
    flood.attach(&world.supervisor);
    let polite = Guest::start(
        "polite",
        &mut python("import socket\nfor _ in range(500):\n  s = socket.socket(); s.bind(('127.0.0.1', 0)); s.close()\nprint('done')"),
        None,
    );
    polite.attach(&world.supervisor);
    assert_eq!(polite.output(), "done\n");
    // Both went on: the flood was not simply cut off, and a call of each was taken in turn.
    let flooded = world.supervisor.stats("flood").unwrap().counters;
    assert!(flooded.notifications > 100, "{flooded:?}");
}

#[test]
fn calls_that_wait_are_bounded_and_cost_no_threads() {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let world = World::new();
    let before = threads();
    let printed = world.output(&mut python(
        r#"
import errno, os, socket, threading, time
s = socket.socket(); s.bind(("127.0.0.1", 8080)); s.listen()
refused = []
def wait():
    try: s.accept()
    except OSError as e: refused.append(errno.errorcode[e.errno])
for _ in range(520): threading.Thread(target=wait, daemon=True).start()
end = time.monotonic() + 30
while len(refused) < 72 and time.monotonic() < end: time.sleep(0.05)
time.sleep(0.2)
socket.create_connection(("127.0.0.1", 8080))
print(len(refused), set(refused), flush=True); os._exit(0)
"#,
    ));
    assert_eq!(printed, "72 {'ENOBUFS'}\n");
    world.recorder.wait(
        |event| matches!(event, Event::Violation { kind, .. } if kind == "too many waiting calls"),
    );
    // Other tests of this process come and go; a thread per call would be hundreds.
    assert!(threads() < before + 100);
}

#[test]
fn a_server_out_of_descriptors_still_hears_of_its_connection() {
    let world = World::new();
    let mut guest = world.launch(&mut python(
        r#"
import os, resource, select, socket, time
s = socket.socket(); s.bind(("", 8080)); s.listen(); s.setblocking(False)
held = []
poll = select.poll(); poll.register(s, select.POLLIN)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True: held.append(os.open("/dev/null", os.O_RDONLY))
except OSError: pass
poll.poll(5000)
try: s.accept()
except OSError as e: print(e.strerror, flush=True)
os.close(held.pop())
print(poll.poll(5000) != [], flush=True)
c, peer = s.accept(); print(peer[0], c.recv(9), flush=True)
try: print(s.accept())
except BlockingIOError: print("no other")
"#,
    ));
    world.recorder.listening(8080);
    let mut stream = world.dial(8080);
    stream.write_all(b"kept").unwrap();
    guest.child.wait().unwrap();
    assert_eq!(
        guest.printed(),
        "Too many open files\nTrue\n10.62.0.1 b'kept'\nno other\n"
    );
}
