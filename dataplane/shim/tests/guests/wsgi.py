"""gunicorn: a master that forks its workers, each with threads and an epoll set of its own."""

from gunicorn.app.base import BaseApplication


def answer(environ, start_response):
    """Echoes the body backwards, as the other servers here do."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if environ["PATH_INFO"] == "/child":
        body += b"child\n"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body[::-1]]


class Prefork(BaseApplication):
    """Two workers on a port that the kernel picks and that is printed."""

    def load_config(self):
        settings = {
            "bind": "127.0.0.1:0",
            "workers": 2,
            "worker_class": "gthread",
            "threads": 4,
            "keepalive": 60,
            "control_socket_disable": True,
            "loglevel": "error",
            "when_ready": lambda arbiter: print(
                arbiter.LISTENERS[0].sock.getsockname()[1], flush=True
            ),
        }
        for name, value in settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self):
        return answer


Prefork().run()
