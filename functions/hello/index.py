"""The server behind the watchdog: keeps connections open and calls `handle(event, context)` for each request.

Same contract as the python3-http template: the handler gives a dictionary with statusCode, body and headers, or a text.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from function import handler

PORT = int(os.environ.get("PORT", "5000"))


class Event:
    """One request."""

    def __init__(self, method, path, query, headers, body):
        self.method, self.path, self.query = method, path, query
        self.headers, self.body = headers, body


class Context:
    """Facts about the replica."""

    hostname = os.uname().nodename


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps the connection
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def respond(self):
        url = urlsplit(self.path)
        event = Event(self.command, url.path, parse_qs(url.query), self.headers, self.read_body())
        status, headers, body = shape(handler.handle(event, Context))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = respond

    def read_body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(chunks)

    def log_message(self, format, *args):
        """The platform logs requests; a line here would double each."""


def shape(result):
    """The handler's answer as status, headers and bytes."""
    if not isinstance(result, dict):
        result = {"body": result}
    body, headers = result.get("body") or "", dict(result.get("headers") or {})
    if isinstance(body, dict | list):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    headers.setdefault("Content-Type", "text/plain; charset=utf-8")
    return (
        result.get("statusCode", 200),
        headers,
        body if isinstance(body, bytes) else body.encode(),
    )


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    server.daemon_threads = True
    print(f"listening on port {PORT}", flush=True)
    server.serve_forever()
