"""Namespaces: list, read, create (201), replace and delete (202)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from starlette.responses import Response

from junctiond.domain import Namespace
from junctiond.errors import Reason
from junctiond.names import is_label
from provider import faults, gojson, names, reply, wire
from provider.call import Call
from provider.reply import Refusal

_OPENFAAS_LABEL: Final = "openfaas"
_MISMATCH: Final = "namespace in request body does not match namespace in URL"


async def list_namespaces(call: Call) -> Response:
    """GET /system/namespaces."""
    with faults.about():
        return reply.document(await call.host.list_namespaces())


async def get_namespace(call: Call) -> Response:
    """GET /system/namespace/NAME."""
    name = _named(call)
    with _about(name):
        found = await call.host.get_namespace(name)
    members = {"annotations": dict(found.annotations), "labels": dict(found.labels)}
    shown = {key: value for key, value in members.items() if value}
    return reply.document({"name": found.name} | shown, newline=True)


async def create_namespace(call: Call) -> Response:
    """POST /system/namespace/: the name comes in the body; 201, or 409 where it exists."""
    sent = _sent(call)
    if call.path["name"] not in ("", sent.name):
        raise Refusal(400, _MISMATCH)
    if not is_label(sent.name):
        text = f"namespace ({names.shown(sent.name)}) is invalid, must be a valid DNS entry"
        raise Refusal(400, text, "bad_name")
    with _about(sent.name):
        await call.host.create_namespace(Namespace(sent.name, sent.labels, sent.annotations))
    return reply.empty(201)


async def update_namespace(call: Call) -> Response:
    """PUT /system/namespace/NAME: replace labels and annotations; 202."""
    name, sent = _named(call), _sent(call)
    if sent.name != name:
        raise Refusal(400, _MISMATCH)
    with _about(name):
        await call.host.update_namespace(Namespace(name, sent.labels, sent.annotations))
    return reply.empty(202)


async def delete_namespace(call: Call) -> Response:
    """DELETE /system/namespace/NAME: remove it with its functions and secrets; 202."""
    name, sent = _named(call), _sent(call)
    if sent.name != name:
        raise Refusal(400, _MISMATCH)
    with _about(name):
        await call.host.delete_namespace(name)
    return reply.empty(202)


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Errors of a call about the namespace itself, where an unknown one is a 404."""
    try:
        with faults.about(name=name, namespace=name):
            yield
    except Refusal as refusal:
        if refusal.reason == Reason.NAMESPACE_UNKNOWN:
            raise _unknown(name) from refusal
        raise


def _unknown(name: str) -> Refusal:
    return Refusal(404, f"namespace {names.shown(name)} not found", Reason.NAMESPACE_UNKNOWN)


def _named(call: Call) -> str:
    name = call.path["name"]
    if not name:
        raise Refusal(400, "namespace not specified in URL")
    if not is_label(name):
        raise _unknown(name)
    return name


def _sent(call: Call) -> wire.FunctionNamespace:
    sent = gojson.decode(call.body, wire.FunctionNamespace)
    if sent.labels.get(_OPENFAAS_LABEL) != "1":
        raise Refusal(400, "request does not have openfaas=1 label")
    return sent
