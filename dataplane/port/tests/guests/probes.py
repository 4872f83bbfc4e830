"""Calls whose outcome must be the same on kernel TCP and behind the supervisor; prints a transcript."""

import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
OWN = "10.62.0.5"
number = 0


def probe(name, what):
    """Prints what a probe gives or how it fails."""
    global number
    number += 1
    try:
        result = what()
    except OSError as error:
        result = errno.errorcode.get(error.errno, error.errno)
    print(f"{number:3} {name}: {result}", flush=True)


kept = []


def number_of(s):
    """The descriptor of a socket that stays open."""
    kept.append(s)
    return s.fileno()


def tcp(address=None, backlog=None, family=socket.AF_INET, **options):
    s = socket.socket(family)
    for option in options.get("options", ()):
        s.setsockopt(*option)
    if address is not None:
        s.bind(address)
    if backlog is not None:
        s.listen(backlog)
    return s


def pair(address=("127.0.0.1", 0), family=socket.AF_INET):
    listener = tcp(address, 5, family)
    client = socket.socket(family)
    to = (OWN if address[0] == OWN else {"::": "::1"}.get(address[0], address[0]), listener.getsockname()[1])
    client.connect(to)
    server, _ = listener.accept()
    return listener, client, server


REUSE = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
SHARE = (socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
ONLY6 = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def matrix():
    """Two binds of one port, in every combination that servers use."""
    v4, v6 = socket.AF_INET, socket.AF_INET6
    ends = {
        "any4": (v4, "0.0.0.0", ()), "lo4": (v4, "127.0.0.1", ()), "own4": (v4, OWN, ()),
        "any6": (v6, "::", ()), "lo6": (v6, "::1", ()), "only6": (v6, "::", (ONLY6,)),
        "any4r": (v4, "0.0.0.0", (REUSE,)), "lo4r": (v4, "127.0.0.1", (REUSE,)),
        "any4s": (v4, "0.0.0.0", (SHARE,)), "any6r": (v6, "::", (REUSE,)), "mapped": (v6, "::ffff:127.0.0.1", ()),
    }
    port = 20000
    for first, (family1, ip1, options1) in ends.items():
        for second, (family2, ip2, options2) in ends.items():
            for backlog in (None, 1):
                port += 1

                def both():
                    one = tcp((ip1, port), backlog, family1, options=options1)
                    two = tcp((ip2, port), None, family2, options=options2)
                    try:
                        two.listen()
                    except OSError as error:
                        return "listen " + errno.errorcode[error.errno]
                    finally:
                        one.close()
                        two.close()
                    return "both"

                probe(f"{first} {'listens' if backlog else 'bound'} then {second}", both)


def creation():
    probe("types", lambda: [(s := socket.socket(f)).getsockopt(socket.SOL_SOCKET, o)
                            for f in (socket.AF_INET, socket.AF_INET6)
                            for o in (socket.SO_TYPE, socket.SO_DOMAIN, socket.SO_PROTOCOL, socket.SO_ERROR)])
    probe("udp type", lambda: [socket.socket(socket.AF_INET, socket.SOCK_DGRAM).getsockopt(socket.SOL_SOCKET, o)
                               for o in (socket.SO_TYPE, socket.SO_DOMAIN, socket.SO_PROTOCOL)])
    probe("bad protocol", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 17))
    probe("bad type", lambda: socket.socket(socket.AF_INET, 9))
    probe("seqpacket", lambda: socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET))
    probe("socketpair", lambda: socket.socketpair(socket.AF_INET))
    probe("non-blocking", lambda: fcntl.fcntl(socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK),
                                              fcntl.F_GETFL) & os.O_NONBLOCK != 0)
    probe("close on exec", lambda: [os.get_inheritable(number_of(socket.socket(socket.AF_INET))),
                                    libc.fcntl(libc.socket(2, 1, 0), fcntl.F_GETFD)])
    probe("from descriptor", lambda: socket.socket(fileno=os.dup(number_of(socket.socket(socket.AF_INET6)))).family)


def names():
    probe("unbound name", lambda: (socket.socket().getsockname(), socket.socket(socket.AF_INET6).getsockname()))
    probe("no peer", lambda: socket.socket().getpeername())
    probe("bind twice", lambda: tcp(("127.0.0.1", 0)).bind(("127.0.0.1", 0)))
    probe("foreign address", lambda: tcp(("192.0.2.77", 0)))
    probe("foreign v6 address", lambda: tcp(("2001:db8::1", 0), family=socket.AF_INET6))
    probe("other loopback", lambda: tcp(("127.9.9.9", 4000)).getsockname())
    probe("bound name", lambda: tcp(("127.0.0.1", 4001)).getsockname())
    probe("mapped name", lambda: tcp(("::ffff:127.0.0.1", 4002), family=socket.AF_INET6).getsockname()[:2])
    probe("listen unbound", lambda: (s := tcp(backlog=1)).getsockname()[0] + str(s.getsockname()[1] > 1024))
    _, client, server = pair()
    probe("peers agree", lambda: (client.getpeername() == server.getsockname(), client.getsockname() == server.getpeername()))
    listener = tcp(("::", 0), 5, socket.AF_INET6)
    client = socket.create_connection(("127.0.0.1", listener.getsockname()[1]))
    server, peer = listener.accept()
    probe("mapped peer", lambda: (peer[0], server.getsockname()[0], server.family == socket.AF_INET6))
    own = pair((OWN, 0))
    probe("own address", lambda: (own[1].getsockname()[0], own[2].getpeername()[0]))
    probe("accepted domain", lambda: [server.getsockopt(socket.SOL_SOCKET, o) for o in (socket.SO_DOMAIN, socket.SO_PROTOCOL)])


def states():
    listener, client, server = pair()
    dead = tcp(("127.0.0.1", 0))
    port = dead.getsockname()[1]
    dead.close()
    probe("dead port", lambda: socket.socket().connect(("127.0.0.1", port)))
    probe("dead v6 port", lambda: socket.socket(socket.AF_INET6).connect(("::1", port)))
    probe("connect again", lambda: client.connect(listener.getsockname()))
    probe("connect a listener", lambda: listener.connect(("127.0.0.1", port)))
    probe("accept on none", lambda: socket.socket().accept())
    probe("accept on connected", lambda: client.accept())
    probe("listen connected", lambda: client.listen())
    probe("bind connected", lambda: client.bind(("127.0.0.1", 0)))
    probe("listen again", lambda: listener.listen(7))
    probe("send unconnected", lambda: (socket.socket().send(b"x")))
    probe("shutdown unconnected", lambda: socket.socket().shutdown(socket.SHUT_RD))
    listener.setblocking(False)
    probe("nothing to accept", lambda: listener.accept())
    listener.settimeout(0.05)
    probe("accept timeout", lambda: "timed out" if raises(TimeoutError, listener.accept) else "?")
    probe("tcp states", lambda: [s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) for s in (client, listener, socket.socket())])
    probe("wrong family", lambda: libc_call("connect", number_of(socket.socket()), b"\1\0/x" + bytes(12), 16))
    probe("wrong family v6", lambda: libc_call("bind", number_of(socket.socket(socket.AF_INET6)), b"\1\0/x" + bytes(24), 28))
    probe("v4 address on v6", lambda: libc_call("bind", number_of(socket.socket(socket.AF_INET6)), b"\2\0" + bytes(14), 16))
    probe("v6 only refuses v4", lambda: tcp(("::ffff:127.0.0.1", 0), family=socket.AF_INET6, options=(ONLY6,)))
    probe("short address", lambda: libc_call("bind", number_of(socket.socket()), b"\2\0\0\0", 4))
    probe("udp listen", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).listen())
    probe("udp accept", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).accept())


def raises(kind, what):
    try:
        what()
    except kind:
        return True
    return False


def libc_call(name, *arguments):
    result = getattr(libc, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def pointers():
    s = tcp(("127.0.0.1", 0), 1)
    fd = s.fileno()
    length = ctypes.c_int(16)
    room = ctypes.create_string_buffer(b"\xff" * 32, 32)
    probe("null name", lambda: libc_call("getsockname", fd, None, ctypes.byref(length)))
    probe("null length", lambda: libc_call("getsockname", fd, room, None))
    probe("bad length", lambda: libc_call("getsockname", fd, room, ctypes.c_void_p(16)))
    length.value = -1
    probe("negative length", lambda: libc_call("getsockname", fd, room, ctypes.byref(length)))
    length.value = 4
    probe("short room", lambda: (libc_call("getsockname", fd, room, ctypes.byref(length)), length.value, room.raw[:2], room.raw[4:8]))
    probe("bad address", lambda: libc_call("bind", number_of(socket.socket()), ctypes.c_void_p(8), 16))
    probe("huge address", lambda: libc_call("bind", number_of(socket.socket()), room, 4096))
    for call, arguments in {"bind": (room, 16), "listen": (1,), "connect": (room, 16), "getsockname": (room, ctypes.byref(length)),
                            "getpeername": (room, ctypes.byref(length)), "shutdown": (0,)}.items():
        probe(f"{call} on nothing", lambda: libc_call(call, 99, *arguments))
        with open("/dev/null") as file:
            probe(f"{call} on a file", lambda: libc_call(call, file.fileno(), *arguments))


def data():
    _, client, server = pair()
    client.sendall(b"hello")
    probe("peek", lambda: (server.recv(3, socket.MSG_PEEK), server.recv(9)))
    client.sendall(b"abc")
    threading.Timer(0.05, client.sendall, (b"def",)).start()
    probe("waitall", lambda: server.recv(6, socket.MSG_WAITALL))
    client.sendall(b"1234567")
    time.sleep(0.05)
    probe("readable bytes", lambda: struct.unpack("i", fcntl.ioctl(server, 0x541B, b"\0" * 4))[0])
    server.recv(9)
    client.sendall(b"xyz")
    probe("recvfrom of a stream", lambda: server.recvfrom(9))
    probe("sendto on a stream", lambda: client.sendmsg([b"a", b"bc"]))
    probe("and received", lambda: server.recvmsg(9)[0])
    server.setblocking(False)
    probe("nothing to read", lambda: server.recv(1))
    server.setblocking(True)
    client.shutdown(socket.SHUT_WR)
    probe("half closed", lambda: (server.recv(1), server.send(b"still"), client.recv(9)))
    probe("send after shutdown", lambda: client.send(b"x", socket.MSG_NOSIGNAL))
    _, client, server = pair()
    server.sendall(b"unread")
    client.close()
    time.sleep(0.02)
    _, client, server = pair()
    client.sendall(b"unread")
    time.sleep(0.02)
    server.close()
    time.sleep(0.02)
    probe("reset by unread data", lambda: client.recv(1))
    _, client, server = pair()
    client.shutdown(socket.SHUT_RD)
    probe("peer may send on", lambda: (server.send(b"x"), server.send(b"y")))
    _, client, server = pair()
    server.close()
    poll = select.poll()
    poll.register(client, select.POLLIN)
    probe("end of file polls", lambda: (poll.poll(1000)[0][1] & select.POLLIN, client.recv(1)))
    listener = tcp(("127.0.0.1", 0), 1)
    threading.Timer(0.05, listener.shutdown, (socket.SHUT_RDWR,)).start()
    probe("shutdown wakes accept", lambda: listener.accept())
    listener = tcp(("127.0.0.1", 0), 200)
    listener.setblocking(False)
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN | select.EPOLLET)
    clients = [socket.create_connection(listener.getsockname()) for _ in range(150)]
    def accept_all():
        taken = []
        while epoll.poll(0.2):
            while not raises(BlockingIOError, lambda: taken.append(listener.accept())):
                pass
        return len(taken), len({peer for _, peer in taken})
    probe("edge-triggered accepts", accept_all)
    del clients


def options():
    _, client, server = pair()
    s = socket.socket()
    for level, name, value in [("SOL_SOCKET", "SO_KEEPALIVE", 1), ("SOL_SOCKET", "SO_REUSEADDR", 1), ("SOL_SOCKET", "SO_REUSEPORT", 1),
                               ("IPPROTO_TCP", "TCP_NODELAY", 1), ("SOL_SOCKET", "SO_BROADCAST", 1), ("SOL_SOCKET", "SO_OOBINLINE", 1)]:
        def turn():
            s.setsockopt(getattr(socket, level), getattr(socket, name), value)
            return s.getsockopt(getattr(socket, level), getattr(socket, name)) != 0
        probe(name, turn)
    probe("linger", lambda: (s.setsockopt(1, socket.SO_LINGER, struct.pack("ii", 1, 7)), struct.unpack("ii", s.getsockopt(1, socket.SO_LINGER, 8))))
    probe("timeouts", lambda: (s.setsockopt(1, socket.SO_RCVTIMEO, struct.pack("ll", 3, 0)), struct.unpack("ll", s.getsockopt(1, socket.SO_RCVTIMEO, 16))))
    probe("peer credentials", lambda: struct.unpack("iii", client.getsockopt(1, socket.SO_PEERCRED, 12)))
    probe("accepts", lambda: [x.getsockopt(1, socket.SO_ACCEPTCONN) for x in (s, tcp(("127.0.0.1", 0), 1))])
    probe("v6 only", lambda: [x.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) for x in (tcp(family=10), tcp(family=10, options=(ONLY6,)))])
    probe("v6 only after bind", lambda: tcp(("::", 0), family=10).setsockopt(*ONLY6))
    probe("unknown option", lambda: s.getsockopt(1, 9999))
    probe("unknown level", lambda: s.getsockopt(12345, 1))
    probe("tcp of udp", lambda: socket.socket(2, 2).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    probe("short option", lambda: s.setsockopt(1, socket.SO_REUSEPORT, b"\1"))
    probe("ip defaults", lambda: [s.getsockopt(0, o) for o in (socket.IP_TOS, socket.IP_TTL)])
    probe("keep-alive defaults", lambda: [s.getsockopt(6, o) for o in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)])
    probe("one byte", lambda: s.getsockopt(1, socket.SO_TYPE, 1))


def interfaces():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ask = lambda command, name=b"lo": fcntl.ioctl(s, command, name.ljust(40, b"\0"))
    for name, command, start, end in [("flags", 0x8913, 16, 18), ("address", 0x8915, 16, 24), ("netmask", 0x891B, 16, 24),
                                      ("index", 0x8933, 16, 20), ("mtu", 0x8921, 16, 20), ("hardware", 0x8927, 16, 24)]:
        probe(f"interface {name}", lambda: ask(command)[start:end].hex())
    probe("no such interface", lambda: ask(0x8913, b"eth0"))
    probe("interface 1", lambda: fcntl.ioctl(s, 0x8910, struct.pack("16si20x", b"", 1))[:3])
    probe("interfaces", lambda: socket.if_nameindex())
    probe("socket ioctl on a file", lambda: fcntl.ioctl(open("/dev/null"), 0x8913, bytes(40)))
    one, two = socket.socketpair()
    probe("unix pair", lambda: (one.send(b"x"), two.recv(2), one.getsockname(), one.getsockopt(1, socket.SO_DOMAIN)))
    path = f"/tmp/probe-{os.getpid()}"
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(path)
    unix.listen()
    other = socket.socket(socket.AF_UNIX)
    other.connect(path)
    probe("unix by path", lambda: (unix.accept()[1], other.getpeername() == path))
    os.unlink(path)


if __name__ == "__main__":
    for part in (creation, names, states, pointers, data, options, interfaces, matrix):
        part()
