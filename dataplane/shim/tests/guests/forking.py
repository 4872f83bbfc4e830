"""Workers forked before they accept, as gunicorn's: each its own process on one listener."""

import os
import socket
import sys

listener = socket.create_server(("127.0.0.1", 0), backlog=64)
print(listener.getsockname()[1], flush=True)
for _ in range(2):
    if os.fork() == 0:
        break
else:
    os.wait()
    sys.exit(0)
while True:
    connection, _ = listener.accept()
    with connection, connection.makefile("rwb") as stream:
        while head := stream.readline():
            while line := stream.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = stream.read(length)
            if b" /child " in head:
                body += b"child\n"
            stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[::-1])
            stream.flush()
