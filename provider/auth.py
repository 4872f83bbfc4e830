"""Basic authentication of everything below /system and /ui.

The check runs before routing, on the same decoded path that routing sees, so that no route, known or
unknown, answers an anonymous client there.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from provider import reply
from provider.credentials import Credentials

_PROTECTED: Final = ("/system/", "/ui/")
_HEADER_CHARS_MAX: Final = 8192
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_OWN_SITES: Final = frozenset({"", "same-origin", "none"})


class BasicAuth:
    """ASGI middleware: 401 `invalid credentials` unless the request carries the account."""

    def __init__(self, app: ASGIApp, credentials: Credentials) -> None:
        self._app = app
        self._user = _digest(credentials.user.encode())
        self._password = _digest(credentials.password.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and is_protected(scope["path"]):
            headers = Headers(scope=scope)
            if not self.accepts(headers.get("authorization", "")):
                await _refusal()(scope, receive, send)
                return
            if is_forged(scope["method"], headers.get("sec-fetch-site", "")):
                await reply.error(403, "request of another site refused")(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def accepts(self, header: str) -> bool:
        """Whether an `Authorization` header names the account; any odd header is simply wrong."""
        pair = _decoded(header)
        if pair is None:
            return False
        # Digests have one length, so neither comparison tells how long the secret is, and both
        # run whatever the first one gave.
        user_ok = hmac.compare_digest(_digest(pair[0]), self._user)
        password_ok = hmac.compare_digest(_digest(pair[1]), self._password)
        return user_ok and password_ok


def is_protected(path: str) -> bool:
    """Whether `path` needs the account; `/system` itself counts too."""
    return f"{path}/".startswith(_PROTECTED)


def is_forged(method: str, fetch_site: str) -> bool:
    """Whether a page of another site made a browser send this write with the account it remembers.

    Browsers say so in `Sec-Fetch-Site` (W3C Fetch Metadata); other clients do not send it.
    """
    return method not in _SAFE_METHODS and fetch_site not in _OWN_SITES


def _decoded(header: str) -> tuple[bytes, bytes] | None:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "basic" or len(token) > _HEADER_CHARS_MAX:
        return None
    try:
        user, colon, password = base64.b64decode(token, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _refusal() -> Response:
    headers = {
        "WWW-Authenticate": 'Basic realm="Restricted"',
        "Content-Type": "text/plain; charset=utf-8",
    }
    return Response(b"invalid credentials", status_code=401, headers=headers)
