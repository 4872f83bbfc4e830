"""The text of a gRPC status, cut to what its peer accepts.

A status travels in the trailers, of which a peer takes 8 KiB (gRPC's default `max_metadata_size`; what is longer makes
the whole call fail with another status), after every byte outside printable ASCII has become three (percent-encoding of
`grpc-message`, gRPC over HTTP/2). A function's last log lines, say in Chinese, are soon longer.
"""

ENCODED_BYTES_MAX = 6 * 1024
"""Leaves room for the other trailers."""

_HEAD_SHARE = 3
"""A third is kept of the beginning, which says what failed, the rest of the end: the newest log lines."""


def cut(text: str, bytes_max: int = ENCODED_BYTES_MAX) -> str:
    """The text, or its beginning and end around a note of how many characters are left out.

    Characters stay whole. Halves of surrogate pairs, which no protocol carries, become question marks.

    Args:
        text: of any length.
        bytes_max: of the text once it is percent-encoded; at least 200, so that the note has room.
    """
    text = text.encode(errors="replace").decode()
    if _encoded_length(text) <= bytes_max:
        return text
    room = bytes_max - _encoded_length(_note(len(text)))
    head = _fitting(text, room // _HEAD_SHARE)
    tail = _fitting(text[::-1], room - _encoded_length(text[:head]))
    return f"{text[:head]}{_note(len(text) - head - tail)}{text[len(text) - tail :]}"


def _note(characters: int) -> str:
    return f" [... {characters} characters left out here; the log has them ...] "


def _fitting(text: str, bytes_max: int) -> int:
    """How many characters of the beginning fit."""
    for count, character in enumerate(text):
        bytes_max -= _encoded_bytes(character)
        if bytes_max < 0:
            return count
    return len(text)


def _encoded_length(text: str) -> int:
    return sum(map(_encoded_bytes, text))


def _encoded_bytes(character: str) -> int:
    if " " <= character <= "~" and character != "%":
        return 1
    return 3 * len(character.encode())
