"""A small page that lists the functions; static files that call the API with the browser's credentials."""

from functools import cache
from importlib import resources

from starlette.responses import Response

from provider.call import Call

# The page shows names that users chose: only its own script may run.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


async def get_root(call: Call) -> Response:
    """GET /: to the page, with the bytes of Go's `http.Redirect`."""
    headers = {"Location": "/ui/", "Content-Type": "text/html; charset=utf-8"}
    return Response(b'<a href="/ui/">Moved Permanently</a>.\n\n', 301, headers)


async def get_index(call: Call) -> Response:
    """GET /ui/."""
    return _file("index.html", "text/html; charset=utf-8")


async def get_script(call: Call) -> Response:
    """GET /ui/page.js."""
    return _file("page.js", "text/javascript; charset=utf-8")


async def get_style(call: Call) -> Response:
    """GET /ui/page.css."""
    return _file("page.css", "text/css; charset=utf-8")


def _file(name: str, content_type: str) -> Response:
    return Response(_content(name), headers={"Content-Type": content_type} | _HEADERS)


@cache
def _content(name: str) -> bytes:
    return resources.files("provider").joinpath("ui", name).read_bytes()
