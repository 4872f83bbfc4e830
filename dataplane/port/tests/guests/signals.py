"""Signals that hit blocking calls; prints what each call did."""

import ctypes
import errno
import os
import signal
import socket
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
hits = []
to = ("127.0.0.1", 9100)


def handler(number, frame):
    hits.append(time.monotonic())


def blocking(name, restart, call):
    """Makes a blocking libc call; a signal comes after 0.1 s, its end after 0.6 s."""
    signal.signal(signal.SIGUSR1, handler)
    signal.siginterrupt(signal.SIGUSR1, not restart)
    hits.clear()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        time.sleep(0.1)
        os.kill(os.getppid(), signal.SIGUSR1)
        time.sleep(0.5)
        s = socket.socket()
        s.connect(to)
        os._exit(0)
    result = call()
    took = time.monotonic() - started
    error = errno.errorcode[ctypes.get_errno()] if result < 0 else "ok"
    os.waitpid(child, 0)
    print(name, "restart" if restart else "interrupt", error, "early" if took < 0.45 else "late",
          "handled" if hits else "missed", flush=True)


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(to)
listener.listen(8)
room = ctypes.create_string_buffer(16)
length = ctypes.c_int(16)


def accept():
    length.value = 16
    return libc.accept(listener.fileno(), room, ctypes.byref(length))


udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, b"\1\0\0\0\0\0\0\0" + bytes(8))


def receive():
    length.value = 16
    return libc.recvfrom(udp.fileno(), room, 9, 0, room, ctypes.byref(length))


blocking("accept", True, accept)
blocking("accept", False, accept)
blocking("timed receive", True, receive)

# A storm of signals: connects with SA_RESTART must all succeed.
signal.siginterrupt(signal.SIGUSR1, False)
for _ in range(3):
    listener.setblocking(False)
    try:
        listener.accept()
    except BlockingIOError:
        pass
listener.setblocking(True)


served = []


def serve():
    while True:
        listener.accept()[0].close()
        served.append(1)


server = threading.Thread(target=serve, daemon=True)
storm = os.fork()
if storm == 0:
    parent = os.getppid()
    while os.getppid() == parent:
        os.kill(parent, signal.SIGUSR1)
        time.sleep(0.0002)
    os._exit(0)
server.start()
failures = {}
hits.clear()
count = 0
while count < 100 or (len(hits) < 10 and count < 4_000):
    count += 1
    # The listener's backlog of 8 has room, so no connect waits: one that does may end with EINTR.
    while count - len(served) > 4:
        time.sleep(0.001)
    fd = libc.socket(2, 1, 0)
    address = b"\2\0" + to[1].to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
    if libc.connect(fd, address, 16) < 0:
        name = errno.errorcode[ctypes.get_errno()]
        failures[name] = failures.get(name, 0) + 1
    os.close(fd)
os.kill(storm, signal.SIGKILL)
os.waitpid(storm, 0)
print("storm", failures, "hit" if len(hits) >= 10 else "missed", flush=True)
