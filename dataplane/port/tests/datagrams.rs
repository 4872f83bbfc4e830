//! UDP: the resolver, inside the sandbox, out of the host.

mod support;

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;

use jd_port::{Egress, Platform};
use support::{has, python, World};

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

#[test]
fn inside_the_sandbox_every_way_to_send_works() {
    let script = r#"
import socket
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(("127.0.0.1", 5000))
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print(512 <= a.fileno() < 1024, a.type == socket.SOCK_DGRAM, a.getsockname())
print(b.sendto(b"one", ("127.0.0.1", 5000)))
data, peer = a.recvfrom(99); print(data, peer == ("127.0.0.1", b.getsockname()[1]))
a.sendto(b"two", peer); print(b.recvfrom(99))
print(b.sendmsg([b"th", b"ree"], [], 0, ("127.0.0.1", 5000)))
data, anc, flags, peer = a.recvmsg(3); print(data, anc, flags & socket.MSG_TRUNC != 0, peer[0])
b.connect(("127.0.0.1", 5000)); b.send(b"four"); print(a.recv(99), b.getpeername())
b.send(b""); print(a.recvfrom(99)[0])
c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c.connect(("127.0.0.1", 5000))
c.send(b"five"); print(a.recvfrom(99)[1] == c.getsockname())
try: c2 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c2.bind(("0.0.0.0", 5000))
except OSError as e: print(e.strerror)
a.close()
import time; time.sleep(0.05)
c2.bind(("0.0.0.0", 5000)); print("free again")
c2.settimeout(0.05)
try: c2.recvfrom(9)
except TimeoutError: print("timeout")
c2.setblocking(False)
try: c2.recvfrom(9)
except BlockingIOError: print("again")
try: c2.sendto(b"x" * 70000, ("127.0.0.1", 5000))
except OSError as e: print(e.strerror)
import threading
d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); d.bind(("127.0.0.1", 5001))
threading.Timer(0.1, lambda: d.sendto(b"late", ("127.0.0.1", 5001))).start()
print(d.recvfrom(9)[0])
"#;
    let want = "True True ('127.0.0.1', 5000)\n3\nb'one' True\n(b'two', ('127.0.0.1', 5000))\n5\nb'thr' [] True 127.0.0.1\nb'four' ('127.0.0.1', 5000)\nb''\nTrue\nAddress already in use\nfree again\ntimeout\nagain\nMessage too long\nb'late'\n";
    assert_eq!(World::new().output(&mut python(script)), want);
}

#[test]
fn datagrams_leave_the_host_and_answers_come_back() {
    support::sys::own_network(OUTSIDE);
    let egress = Egress {
        allow: true,
        deny: Vec::new(),
    };
    let world = World::with(Platform {
        egress,
        ..Platform::default()
    });
    let outside = UdpSocket::bind((OUTSIDE, 7000)).unwrap();
    let stranger = UdpSocket::bind((OUTSIDE, 7001)).unwrap();
    let guest = world.launch(&mut python(
        r#"
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"ping", ("192.0.2.1", 7000)); print(s.recvfrom(99))
for to in [("169.254.169.254", 53), ("127.0.0.1", 1), ("224.0.0.1", 1)]:
    try: s.sendto(b"x", to); print("sent")
    except OSError as e: print(e.strerror)
"#,
    ));
    let mut bytes = [0; 16];
    let (got, from) = outside.recv_from(&mut bytes).unwrap();
    stranger.send_to(b"forged", from).unwrap();
    outside.send_to(b"pong", from).unwrap();
    assert_eq!(&bytes[..got], b"ping");
    let want = "(b'pong', ('192.0.2.1', 7000))\nConnection refused\nsent\nNetwork is unreachable\n";
    assert_eq!(guest.output(), want);
}

/// A resolver outside that knows one name and answers a forged id first.
fn upstream() -> std::net::SocketAddr {
    let socket = UdpSocket::bind((OUTSIDE, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((got, from)) = socket.recv_from(&mut query) {
            let mut answer = query[..got].to_vec();
            answer[2] |= 0x80;
            let question_end = 12 + answer[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
            let is_a = answer[question_end - 4..question_end - 2] == [0, 1];
            answer.truncate(question_end);
            answer[6..12].copy_from_slice(&[0, u8::from(is_a), 0, 0, 0, 0]);
            if is_a {
                answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 203, 0, 113, 9]);
            }
            let mut forged = answer.clone();
            forged[0] ^= 1;
            socket.send_to(&forged, from).unwrap();
            socket.send_to(&answer, from).unwrap();
        }
    });
    address
}

#[test]
fn the_resolver_serves_glibc_and_go() {
    support::sys::own_network(OUTSIDE);
    let egress = Egress {
        allow: true,
        deny: Vec::new(),
    };
    let world = World::with(Platform {
        egress,
        dns_upstreams: vec![upstream()],
        ..Platform::default()
    });
    let script = r#"
import socket, struct
def ask(name, kind, connected):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    q = struct.pack(">HHHHHH", 77, 0x100, 1, 0, 0, 0)
    q += b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0" + struct.pack(">HH", kind, 1)
    if connected: s.connect(("10.62.0.1", 53)); s.send(q); a = s.recv(512)
    else: s.sendto(q, ("10.62.0.1", 53)); a, peer = s.recvfrom(512); assert peer == ("10.62.0.1", 53)
    assert a[:2] == q[:2]
    return a[3] & 15, (socket.inet_ntoa(a[-4:]) if a[7] else None)
for name, kind in [("gateway", 1), ("one", 1), ("gateway", 28), ("nowhere", 1), ("example.com", 1), ("example.com", 28)]:
    print(name, kind, ask(name, kind, True), ask(name, kind, False))
"#;
    let want = "gateway 1 (0, '10.62.0.1') (0, '10.62.0.1')\none 1 (0, '10.62.0.5') (0, '10.62.0.5')\ngateway 28 (0, None) (0, None)\nnowhere 1 (3, None) (3, None)\nexample.com 1 (0, '203.0.113.9') (0, '203.0.113.9')\nexample.com 28 (0, None) (0, None)\n";
    assert_eq!(world.output(&mut python(script)), want);
}

#[test]
fn nodes_dgram_module_works() {
    if !has("node") {
        return;
    }
    let script = r#"
const dgram = require('dgram');
const a = dgram.createSocket('udp4'), b = dgram.createSocket('udp4');
a.on('message', (m, r) => { a.send('back ' + m, r.port, r.address); });
b.on('message', (m, r) => { console.log(String(m), r.address, r.port); a.close(); b.close(); });
a.bind(5000, '127.0.0.1', () => b.send('hello', 5000, '127.0.0.1'));
"#;
    let printed = World::new().output(Command::new("node").args(["-e", script]));
    assert_eq!(printed, "back hello 127.0.0.1 5000\n");
}

#[test]
fn a_socket_that_sends_no_more_keeps_nobody_busy() {
    let world = World::new();
    let mut guest = world.launch(&mut python(
        r#"
import socket, time
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); a.bind(("127.0.0.1", 5000))
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); b.connect(("127.0.0.1", 5000))
b.send(b"last"); b.shutdown(socket.SHUT_WR)
data, peer = a.recvfrom(9); a.sendto(b"answer", peer)
print(data, b.recv(9), flush=True)
time.sleep(0.5)
print("over", flush=True); time.sleep(60)
"#,
    ));
    let end = std::time::Instant::now() + support::PATIENCE;
    while !guest.printed().contains("over") && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(guest.printed(), "b'last' b'answer'\nover\n");
    // Who kept a worker busy all the time would have had to rest tens of times; a preempted worker
    // may take a call for a long one now and then.
    let rests = world.supervisor.stats("one").unwrap().counters.rests;
    assert!(rests < 10, "{rests}");
}
