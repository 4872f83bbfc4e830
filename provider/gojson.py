"""JSON as Go's encoding/json reads it: case-insensitive keys, unknown ones ignored, Go's error texts.

`decode()` gives a wire type. The parser is msgspec's; only after it refused a body does the scanner of
`provider.gosyntax` look for what Go would have said. Fitting values into the type is done here rather than by
`msgspec.convert`, because Go's rules differ: keys match without case, null leaves the zero value, and an
error names the field as the Go program would.

Source: documentation of Go's encoding/json, `Unmarshal`; compared with the decoder of Go 1.26 on mutated documents.
One difference is left: of two spellings of one map's key (`envVars`, `ENVVARS`) the later wins, where Go merges.
"""

import base64
import binascii
import functools
from typing import Any, Final, NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect

from provider.gosyntax import EXCEEDED_DEPTH, syntax_error
from provider.reply import Refusal

T = TypeVar("T", bound=msgspec.Struct)

UINT64_MAX: Final = 2**64 - 1
_GO_NAMES: Final = {
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
    dict: "object",
    list: "array",
}


class _Place(NamedTuple):
    """Where a value stands, as Go tells it: the innermost struct and the path of keys from the top."""

    struct: str
    path: str

    def __str__(self) -> str:
        return f"{self.struct}{self.path}"


def decode(body: bytes, kind: type[T]) -> T:
    """Decode `body` into the wire type `kind`.

    Raises:
        Refusal: 400 with the text Go's decoder would give.
    """
    info = _info(kind)
    value = parse(body)
    if not isinstance(value, dict | None):
        raise _mismatch(value, f"Go value of type types.{kind.__name__}")
    return kind(**_fields(value or {}, info, ""))


def canonical(document: bytes, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The members of `document` that `kind` knows, under their proper names, values untouched.

    Raises:
        Refusal: 400 where `document` is not a JSON object.
    """
    value = parse(document)
    if not isinstance(value, dict):
        raise _mismatch(value, f"Go value of type types.{kind.__name__}")
    return {name: member for name, member in _matched(value, _info(kind)) if member is not None}


def parse(body: bytes) -> Any:
    """Parse JSON into Python values; bytes that are not UTF-8 become U+FFFD, as in Go.

    Raises:
        Refusal: 400 with Go's text.
    """
    try:
        return msgspec.json.decode(body.decode(errors="replace"))
    except RecursionError:
        raise Refusal(400, EXCEEDED_DEPTH) from None
    except msgspec.DecodeError as fault:
        raise Refusal(400, syntax_error(body) or f"invalid JSON: {fault}") from None


@functools.cache
def _info(kind: type[msgspec.Struct]) -> inspect.StructType:
    return cast("inspect.StructType", inspect.type_info(kind))


def _matched(value: dict[str, Any], info: inspect.StructType) -> list[tuple[str, Any]]:
    """Pair members with the encoded field names of `info`; later members win, as in Go."""
    exact = {field.encode_name for field in info.fields}
    folded = {name.casefold(): name for name in exact}
    pairs = []
    for key, member in value.items():
        name = key if key in exact else folded.get(key.casefold())
        if name is not None:
            pairs.append((name, member))
    return pairs


def _fields(value: dict[str, Any], info: inspect.StructType, path: str) -> dict[str, Any]:
    by_name = {field.encode_name: field for field in info.fields}
    fields = {}
    for name, member in _matched(value, info):
        if member is not None:
            field = by_name[name]
            where = f"{path}.{name}"
            fields[field.name] = _fit(member, field.type, _Place(info.cls.__name__, where))
    return fields


def _fit(value: Any, info: inspect.Type, path: _Place) -> Any:
    """Check `value` against one field's type; null gives the type's zero value."""
    match info:
        case inspect.StrType():
            return "" if value is None else _checked(value, str, "string", path)
        case inspect.BoolType():
            return False if value is None else _checked(value, bool, "bool", path)
        case inspect.IntType():
            return _uint64(value, path)
        case inspect.BytesType():
            return _bytes(_checked(value, str, "[]uint8", path))
        case inspect.ListType():
            kind = f"[]{_go_type(info.item_type)}"
            return [_fit(item, info.item_type, path) for item in _checked(value, list, kind, path)]
        case inspect.DictType():
            members = _checked(value, dict, "map[string]string", path)
            return {key: _fit(member, info.value_type, path) for key, member in members.items()}
        case inspect.StructType():
            members = {} if value is None else _checked(value, dict, _go_type(info), path)
            return info.cls(**_fields(members, info, path.path))
        case _:
            raise TypeError(f"wire field {path} has a type without a Go counterpart: {info}")


def _checked(value: Any, wanted: type, go_type: str, path: _Place) -> Any:
    if type(value) is not wanted:
        raise _mismatch(value, f"Go struct field {path} of type {go_type}")
    return value


def _uint64(value: Any, path: _Place) -> int:
    where = f"Go struct field {path} of type uint64"
    if type(value) not in (int, float):
        raise _mismatch(value, where)
    if type(value) is float or not 0 <= value <= UINT64_MAX:
        raise Refusal(400, f"json: cannot unmarshal number {_number(value)} into {where}")
    return cast("int", value)


def _number(value: int | float) -> str:
    # A number may have thousands of digits, and Python refuses to print those.
    return f"{value:.6g}" if abs(value) < 1e18 else "out of range"


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split("\n")), validate=True)
    except (binascii.Error, ValueError):
        # The position Go names would be inside the secret value; it helps nobody.
        raise Refusal(400, "illegal base64 data in rawValue") from None


def _mismatch(value: Any, where: str) -> Refusal:
    found = "null" if value is None else _GO_NAMES[type(value)]
    return Refusal(400, f"json: cannot unmarshal {found} into {where}")


def _go_type(info: inspect.Type) -> str:
    if isinstance(info, inspect.StructType):
        return f"types.{info.cls.__name__}"
    return "string"
