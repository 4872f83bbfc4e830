"""An HTTP/1.1 echo on asyncio's own event loop: a protocol per connection, kept alive. POST a body and it comes back."""

import asyncio
import os
import re
import signal

BODY_BYTES_MAX = 16 << 20
HEAD_BYTES_MAX = 64 << 10
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%b"
)
REFUSAL = b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Echo(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport):
        self.transport = transport
        self.data = bytearray()

    def data_received(self, data):
        self.data += data
        while not self.transport.is_closing() and self.serve():
            pass

    def serve(self):
        """Answers the first request; false where it is not complete."""
        head, found, _ = self.data.partition(b"\r\n\r\n")
        if not found:
            if len(self.data) > HEAD_BYTES_MAX:
                self.refuse(b"431 Request Header Fields Too Large")
            return False
        stated = LENGTH.search(head)
        length = int(stated[1]) if stated else 0
        if CHUNKED.search(head) or length > BODY_BYTES_MAX:
            self.refuse(b"413 Content Too Large")
            return False
        start = len(head) + 4
        if len(self.data) < start + length:
            return False
        self.transport.write(ANSWER % (length, bytes(self.data[start : start + length])))
        del self.data[: start + length]
        if CLOSE.search(head):
            self.transport.close()
        return bool(self.data)

    def refuse(self, status):
        self.transport.write(REFUSAL % status)
        self.transport.close()


async def main():
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(Echo, "0.0.0.0", int(os.environ.get("PORT", "8080")))
    print("listening", flush=True)
    async with server:
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
