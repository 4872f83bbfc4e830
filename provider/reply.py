"""The shapes an answer can have: Go's `http.Error`, an empty body, JSON.

faas-cli and scripts compare some of these bytes, so the headers are those of Go's net/http
(contract section 0): errors are text with one newline and `nosniff`; an empty body has no content type.
"""

from typing import Final

import msgspec
from starlette.responses import Response

NOT_FOUND_TEXT: Final = "404 page not found"
_JSON_ENCODER: Final = msgspec.json.Encoder()


class Refusal(Exception):
    """A request that is answered with a status and a text instead of a result.

    Args:
        status: HTTP status.
        text: what was wrong and how to mend it; a newline is added on the wire. Empty: empty body.
        reason: a word for the log line, from the host's reasons or `bad_request`.
    """

    def __init__(self, status: int, text: str, reason: str = "bad_request") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.reason = reason


def empty(status: int = 200) -> Response:
    """An answer without a body and without a content type."""
    return Response(status_code=status)


def error(status: int, text: str) -> Response:
    """The bytes of Go's `http.Error(w, text, status)`."""
    headers = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
    return Response(f"{text}\n".encode(errors="replace"), status_code=status, headers=headers)


def document(value: object, *, newline: bool = False) -> Response:
    """200 with `value` as JSON; `newline` ends it as Go's `json.Encoder` does."""
    body = _JSON_ENCODER.encode(value) + (b"\n" if newline else b"")
    return Response(body, media_type="application/json")


def not_found() -> Response:
    """What Go's mux answers where no route matches."""
    return error(404, NOT_FOUND_TEXT)
