"""The first syntax error of a JSON text, in the words of Go's scanner.

Read first: the state functions of Go's encoding/json/scanner.go describe the same machine; here the
position inside containers is a stack of brackets and each state a small method. Iterative, so that no
nesting can exhaust the interpreter's stack, and linear in the length of the text.
"""

import re
from typing import Final

UNEXPECTED_END: Final = "unexpected end of JSON input"
EXCEEDED_DEPTH: Final = "exceeded max depth"
DEPTH_MAX: Final = 10_000

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_PLAIN: Final = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS: Final = re.compile(rb"[0-9]*")
_HEX: Final = b"0123456789abcdefABCDEF"
_ESCAPES: Final = b'bfnrt\\/"'
_LITERALS: Final = {ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}


class _Fault(Exception):
    """Carries the error text out of the scanner."""


def syntax_error(text: bytes) -> str | None:
    """What Go's `json.Unmarshal` says about `text`; None where its syntax is right."""
    try:
        _Scanner(text).scan()
    except _Fault as fault:
        return str(fault)
    return None


class _Scanner:
    def __init__(self, text: bytes) -> None:
        self._text = text
        self._at = 0
        self._open: list[int] = []

    def scan(self) -> None:
        self._value()
        while self._open:
            self._after_value()
        self._skip(_SPACE)
        if self._at < len(self._text):
            raise self._invalid("after top-level value")

    def _value(self) -> None:
        """One scalar, or the opening of a container up to and including its first scalar."""
        while True:
            self._skip(_SPACE)
            char = self._next("looking for beginning of value")
            if char not in b"{[":
                self._scalar(char)
                return
            self._open.append(char)
            if len(self._open) > DEPTH_MAX:
                raise _Fault(EXCEEDED_DEPTH)
            self._skip(_SPACE)
            if self._peek() == char + 2:  # "}" and "]" follow their openings by two in ASCII
                self._at += 1
                self._open.pop()
                return
            if char == ord("{"):
                self._key()

    def _after_value(self) -> None:
        """A comma and the next member, or the end of the innermost container."""
        self._skip(_SPACE)
        in_object = self._open[-1] == ord("{")
        context = "after object key:value pair" if in_object else "after array element"
        char = self._next(context)
        if char == self._open[-1] + 2:
            self._open.pop()
        elif char == ord(","):
            if in_object:
                self._key()
            self._value()
        else:
            self._at -= 1
            raise self._invalid(context)

    def _key(self) -> None:
        self._skip(_SPACE)
        context = "looking for beginning of object key string"
        if self._next(context) != ord('"'):
            self._at -= 1
            raise self._invalid(context)
        self._string()
        self._skip(_SPACE)
        if self._next("after object key") != ord(":"):
            self._at -= 1
            raise self._invalid("after object key")

    def _scalar(self, char: int) -> None:
        if char == ord('"'):
            self._string()
        elif char in _LITERALS:
            self._literal(_LITERALS[char])
        elif char == ord("-") or char in b"0123456789":
            self._numeral(char)
        else:
            self._at -= 1
            raise self._invalid("looking for beginning of value")

    def _string(self) -> None:
        while True:
            self._skip(_PLAIN)
            char = self._next("in string literal")
            if char == ord('"'):
                return
            if char != ord("\\"):
                self._at -= 1
                raise self._invalid("in string literal")
            escape = self._require(_ESCAPES + b"u", "in string escape code")
            for _ in range(4 if escape == ord("u") else 0):
                self._require(_HEX, "in \\u hexadecimal character escape")

    def _literal(self, word: bytes) -> None:
        for expected in word[1:]:
            self._require(
                bytes([expected]), f"in literal {word.decode()} (expecting '{chr(expected)}')"
            )

    def _numeral(self, char: int) -> None:
        if char == ord("-"):
            char = self._require(b"0123456789", "in numeric literal")
        if char != ord("0"):
            self._skip(_DIGITS)
        if self._peek() == ord("."):
            self._at += 1
            self._require(b"0123456789", "after decimal point in numeric literal")
            self._skip(_DIGITS)
        if self._peek() in (ord("e"), ord("E")):
            self._at += 1
            if self._peek() in (ord("+"), ord("-")):
                self._at += 1
            self._require(b"0123456789", "in exponent of numeric literal")
            self._skip(_DIGITS)

    def _skip(self, pattern: re.Pattern[bytes]) -> None:
        match = pattern.match(self._text, self._at)
        if match is not None:
            self._at = match.end()

    def _peek(self) -> int | None:
        return self._text[self._at] if self._at < len(self._text) else None

    def _next(self, context: str) -> int:
        char = self._peek()
        if char is None:
            raise self._invalid(context)
        self._at += 1
        return char

    def _require(self, allowed: bytes, context: str) -> int:
        char = self._peek()
        if char is None:
            # At its end Go's scanner feeds itself one space to see whether the value was complete.
            raise _Fault(f"invalid character ' ' {context}")
        if char not in allowed:
            raise self._invalid(context)
        self._at += 1
        return char

    def _invalid(self, context: str) -> _Fault:
        char = self._peek()
        if char is None:
            return _Fault(UNEXPECTED_END)
        return _Fault(f"invalid character {_quoted(char)} {context}")


def _quoted(char: int) -> str:
    """One byte as Go quotes it in these errors: the code point of that number, escaped."""
    if char == ord("'"):
        return r"'\''"
    if char == ord('"'):
        return "'\"'"
    text = chr(char)
    if text.isprintable():
        return "'\\\\'" if text == "\\" else f"'{text}'"
    names = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r"}
    if char in names:
        return f"'\\{names[char]}'"
    return f"'\\x{char:02x}'" if char < 0x80 else f"'\\u{char:04x}'"
