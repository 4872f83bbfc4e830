//! Connections that guests make: inside the sandbox, to the gateway, out of the host.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::time::Duration;

use jd_port::{Egress, Platform};
use support::{python, World};

/// Stands for the world outside; documentation addresses (RFC 5737).
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn open_world() -> World {
    support::sys::own_network(OUTSIDE);
    let deny = vec!["198.51.100.0/24".parse().unwrap()];
    World::with(Platform {
        egress: Egress { allow: true, deny },
        ..Platform::default()
    })
}

#[test]
fn inside_the_sandbox_both_ends_see_the_right_addresses() {
    let script = r#"
import socket, threading
def run(family, bind, to):
    s = socket.socket(family); s.bind((bind, 0)); s.listen()
    port = s.getsockname()[1]
    c = socket.socket(family); c.connect((to, port))
    a, peer = s.accept()
    assert peer == c.getsockname(), (peer, c.getsockname())
    assert a.getpeername() == c.getsockname()
    assert a.getsockname() == c.getpeername()
    assert c.getpeername()[:2] == (to, port), c.getpeername()
    c.sendall(b"hello"); assert a.recv(9) == b"hello"
    c.shutdown(socket.SHUT_WR); assert a.recv(9) == b""
    a.sendall(b"back"); assert c.recv(9) == b"back"
    print(bind, to, c.getsockname()[0], a.getsockname()[0])
run(socket.AF_INET, "127.0.0.1", "127.0.0.1")
run(socket.AF_INET, "0.0.0.0", "127.0.0.1")
run(socket.AF_INET, "", "10.62.0.5")
run(socket.AF_INET6, "::", "::1")
d = socket.socket(socket.AF_INET6); d.bind(("::", 7000)); d.listen()
c = socket.create_connection(("127.0.0.1", 7000)); a, peer = d.accept()
print(peer[0], a.getsockname()[0], c.getpeername())
b = socket.socket(); b.bind(("127.0.0.1", 7777)); b.connect(("127.0.0.1", 7000))
print(d.accept()[1][:2])
"#;
    let printed = World::new().output(&mut python(script));
    let want = "127.0.0.1 127.0.0.1 127.0.0.1 127.0.0.1\n0.0.0.0 127.0.0.1 127.0.0.1 127.0.0.1\n 10.62.0.5 10.62.0.5 10.62.0.5\n:: ::1 ::1 ::1\n::ffff:127.0.0.1 ::ffff:127.0.0.1 ('127.0.0.1', 7000)\n('::ffff:127.0.0.1', 7777)\n";
    assert_eq!(printed, want);
}

#[test]
fn the_gateway_gets_the_other_end() {
    let world = World::new();
    let guest = world.launch(&mut python(
        r#"
import socket
s = socket.create_connection(("10.62.0.1", 8080))
print(s.getpeername(), s.getsockname()[0])
s.sendall(b"ping"); print(s.recv(9))
try: socket.create_connection(("10.62.0.1", 22))
except OSError as e: print(type(e).__name__)
"#,
    ));
    let (mut stream, peer) = world.recorder.gateway();
    assert_eq!(peer.ip().to_string(), "10.62.0.5");
    let mut ping = [0; 4];
    stream.read_exact(&mut ping).unwrap();
    stream.write_all(b"pong").unwrap();
    assert_eq!(&ping, b"ping");
    assert_eq!(
        guest.output(),
        "('10.62.0.1', 8080) 10.62.0.5\nb'pong'\nConnectionRefusedError\n"
    );
}

#[test]
fn the_gateway_sees_the_sandbox_whatever_the_guest_bound() {
    let world = World::new();
    let guest = world.launch(&mut python(
        r#"
import socket
s = socket.create_connection(("10.62.0.1", 8080), source_address=("127.0.0.77", 7777))
s.recv(1)
"#,
    ));
    let (stream, peer) = world.recorder.gateway();
    assert_eq!(peer.to_string(), "10.62.0.5:7777");
    drop(stream);
    guest.output();
}

#[test]
fn out_of_the_host_and_back_with_half_closes() {
    let world = open_world();
    let listener = TcpListener::bind((OUTSIDE, 9000)).unwrap();
    let guest = world.launch(&mut python(
        r#"
import socket
def exchange(s):
    s.sendall(b"x" * 3_000_000)
    s.shutdown(socket.SHUT_WR)
    got = 0
    while data := s.recv(65536): got += len(data)
    print(s.getpeername(), got)
exchange(socket.create_connection(("192.0.2.1", 9000)))
exchange(socket.create_connection(("192.0.2.1", 9000), timeout=5))
"#,
    ));
    for _ in 0..2 {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 3_000_000);
        stream.write_all(&all[..2_000_000]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    }
    assert_eq!(
        guest.output(),
        "('192.0.2.1', 9000) 2000000\n('192.0.2.1', 9000) 2000000\n"
    );
}

#[test]
fn resets_are_carried_over() {
    let world = open_world();
    let listener = TcpListener::bind((OUTSIDE, 9000)).unwrap();
    let guest = world.launch(&mut python(
        r#"
import socket
s = socket.create_connection(("192.0.2.1", 9000))
s.sendall(b"hello"); s.recv(2)
try: print(s.recv(9))
except ConnectionResetError: print("reset")
t = socket.create_connection(("192.0.2.1", 9000))
t.recv(1)
t.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"); t.close()
"#,
    ));
    let (mut stream, _) = listener.accept().unwrap();
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).unwrap();
    stream.write_all(b"ok").unwrap();
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    drop(stream);
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b"unread data").unwrap();
    let mut rest = Vec::new();
    let error = stream.read_to_end(&mut rest);
    assert_eq!(guest.output(), "reset\n");
    assert_eq!(
        error.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionReset
    );
}

#[test]
fn forbidden_destinations_are_refused_before_anything_is_sent() {
    let world = open_world();
    let _trap = TcpListener::bind((Ipv4Addr::LOCALHOST, 9000)).unwrap();
    let script = r#"
import socket, errno
for host, port in [("127.0.0.1", 9000), ("169.254.169.254", 80), ("198.51.100.7", 80), ("224.0.0.1", 80),
                   ("10.62.0.1", 443), ("255.255.255.255", 80)]:
    try: socket.create_connection((host, port), timeout=3); print(host, "connected")
    except OSError as e: print(host, errno.errorcode.get(e.errno))
s = socket.socket(socket.AF_INET6)
try: s.connect(("2001:db8::1", 80))
except OSError as e: print("v6", errno.errorcode[e.errno])
"#;
    let want = "127.0.0.1 ECONNREFUSED\n169.254.169.254 ECONNREFUSED\n198.51.100.7 ECONNREFUSED\n224.0.0.1 ENETUNREACH\n10.62.0.1 ECONNREFUSED\n255.255.255.255 ENETUNREACH\nv6 ENETUNREACH\n";
    assert_eq!(world.output(&mut python(script)), want);
    assert_eq!(
        world.supervisor.stats("one"),
        None,
        "the guest's end detaches it"
    );
}

#[test]
fn a_slow_connect_looks_like_one_of_tcp() {
    let world = open_world();
    // A listener that never accepts: the third handshake stays unanswered, and so does the connect.
    let listener = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    rustix::net::bind(&listener, &std::net::SocketAddr::from((OUTSIDE, 9001))).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _fill: Vec<_> = (0..2)
        .map(|_| {
            std::net::TcpStream::connect_timeout(
                &(OUTSIDE, 9001).into(),
                Duration::from_millis(200),
            )
        })
        .collect();
    let script = r#"
import socket, errno, select, time
s = socket.socket(); s.setblocking(False)
print(errno.errorcode[s.connect_ex(("192.0.2.1", 9001))])
p = select.poll(); p.register(s, select.POLLOUT)
print(p.poll(100), errno.errorcode[s.connect_ex(("192.0.2.1", 9001))])
try: s.send(b"x")
except OSError as e: print(errno.errorcode[e.errno])
try: s.getpeername()
except OSError as e: print(errno.errorcode[e.errno])
print(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
s.close()
s = socket.socket(); s.setblocking(False)
print(errno.errorcode[s.connect_ex(("192.0.2.1", 9002))])
p = select.poll(); p.register(s, select.POLLOUT)
events = p.poll(3000)[0][1]
print(events == select.POLLOUT | select.POLLERR | select.POLLHUP,
      errno.errorcode[s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)], s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
s = socket.socket(); s.settimeout(0.2)
try: s.connect(("192.0.2.1", 9001))
except TimeoutError: print("timeout")
b = socket.socket()
try: b.connect(("192.0.2.1", 9002))
except OSError as e: print(errno.errorcode[e.errno])
"#;
    let want = "EINPROGRESS\n[] EALREADY\nEAGAIN\nENOTCONN\n0\nEINPROGRESS\nTrue ECONNREFUSED 0\ntimeout\nECONNREFUSED\n";
    assert_eq!(world.output(&mut python(script)), want);
}

#[test]
fn a_full_backlog_delays_and_refuses_nothing() {
    let script = r#"
import socket, threading, time, errno, select
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(0)
to = s.getsockname()
first = socket.create_connection(to)
late = socket.socket(); late.setblocking(False)
print(errno.errorcode.get(late.connect_ex(to)))
p = select.poll(); p.register(late, select.POLLOUT)
print(p.poll(50))
def accept():
    time.sleep(0.2)
    for _ in range(3):
        c, a = s.accept(); c.sendall(b"hi"); c.close()
threading.Thread(target=accept).start()
blocking = socket.create_connection(to)
print(first.recv(2), blocking.recv(2))
print(p.poll(3000)[0][1] & select.POLLOUT, late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
late.setblocking(True); print(late.recv(2), late.getpeername() == to)
"#;
    let want = "EINPROGRESS\n[]\nb'hi' b'hi'\n4 0\nb'hi' True\n";
    assert_eq!(World::new().output(&mut python(script)), want);
}

/// A listener whose backlog is full, so that further connects take until somebody accepts.
fn slow_listener(port: u16) -> (TcpListener, Vec<std::net::TcpStream>) {
    let listener = TcpListener::bind((OUTSIDE, port)).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let patience = Duration::from_millis(100);
    let connect = |_| std::net::TcpStream::connect_timeout(&(OUTSIDE, port).into(), patience).ok();
    (listener, (0..2).filter_map(connect).collect())
}

#[test]
fn a_signal_leaves_a_blocking_connect_going_on() {
    let world = open_world();
    let (listener, fill) = slow_listener(9001);
    let guest = world.launch(&mut python(
        r#"
import ctypes, errno, select, signal, socket
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGALRM, lambda *a: None); signal.siginterrupt(signal.SIGALRM, True)
address = b"\2\0" + (9001).to_bytes(2, "big") + bytes([192, 0, 2, 1]) + bytes(8)
s = socket.socket()
signal.setitimer(signal.ITIMER_REAL, 0.1)
print(libc.connect(s.fileno(), address, 16), errno.errorcode[ctypes.get_errno()], flush=True)
s.setblocking(False)
print(errno.errorcode[s.connect_ex(("192.0.2.1", 9001))], flush=True)
poll = select.poll(); poll.register(s, select.POLLOUT)
print(poll.poll(10000)[0][1] & (select.POLLOUT | select.POLLERR), s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
print(s.getpeername(), errno.errorcode[s.connect_ex(("192.0.2.1", 9001))])
s.setblocking(True); s.sendall(b"hello"); print(s.recv(9))
"#,
    ));
    std::thread::sleep(Duration::from_millis(400));
    drop(fill);
    // The kernel's retry of the handshake finds room once the backlog is taken.
    let mut hello = Vec::new();
    while hello.is_empty() {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
        let mut bytes = [0; 9];
        let got = stream.read(&mut bytes).unwrap();
        hello = bytes[..got].to_vec();
        let _ = stream.write_all(b"back");
    }
    assert_eq!(hello, b"hello");
    let want = "-1 EINTR\nEALREADY\n4 0\n('192.0.2.1', 9001) EISCONN\nb'back'\n";
    assert_eq!(guest.output(), want);
}

#[test]
fn a_connect_that_is_given_up_frees_its_place() {
    let world = open_world();
    let (_listener, _fill) = slow_listener(9001);
    let script = r#"
import errno, socket
# More than may be under way at once, but each is closed before the next.
for _ in range(600):
    s = socket.socket(); s.setblocking(False)
    assert s.connect_ex(("192.0.2.1", 9001)) == errno.EINPROGRESS
    s.close()
import time; time.sleep(1)
held, refused = [], 0
for _ in range(300):
    s = socket.socket(); s.setblocking(False); held.append(s)
    s.connect_ex(("192.0.2.1", 9001))
time.sleep(1)
print(sum(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EADDRNOTAVAIL for s in held))
"#;
    // 256 may be under way; the others fail as if no port were left.
    assert_eq!(world.output(&mut python(script)), "44\n");
}

#[test]
fn the_resolver_takes_tcp_too() {
    let mut world = open_world();
    let upstream = TcpListener::bind((OUTSIDE, 0)).unwrap();
    let platform = Platform {
        dns_upstreams: vec![upstream.local_addr().unwrap()],
        ..(**world.platform.load()).clone()
    };
    world.platform.store(std::sync::Arc::new(platform));
    let guest = world.launch(&mut python(
        "import socket\ns = socket.create_connection(('10.62.0.1', 53)); print(s.getpeername(), s.recv(9))",
    ));
    let (mut stream, _) = upstream.accept().unwrap();
    stream.write_all(b"answer").unwrap();
    assert_eq!(guest.output(), "('10.62.0.1', 53) b'answer'\n");
    world = World::new();
    let refused = "import socket\ntry: socket.create_connection(('10.62.0.1', 53))\nexcept OSError as e: print(e.strerror)";
    assert_eq!(world.output(&mut python(refused)), "Connection refused\n");
}
