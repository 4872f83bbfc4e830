"""Path cleaning as Go's mux does it: `//`, `.` and `..` give a 301 to the path without them."""

import posixpath
from typing import Final
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

# Characters that Go leaves alone in a path (RFC 3986 pchar and "/").
_SAFE: Final = "/:@!$&'()*+,;=~-._"


class CleanPath:
    """ASGI middleware that redirects unclean paths; the redirect itself needs no account."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or redirect it."""
        if scope["type"] == "http":
            path = cleaned(scope["path"])
            if path != scope["path"]:
                query = scope["query_string"].decode("latin-1")
                location = quote(path, safe=_SAFE) + (f"?{query}" if query else "")
                await Response(status_code=301, headers={"Location": location})(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)


def cleaned(path: str) -> str:
    """`path` without empty, `.` and `..` segments, keeping a final slash; always absolute."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean
