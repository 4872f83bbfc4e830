"""Secrets: names out, values in; a value never leaves the host and is never logged."""

from starlette.responses import Response

from provider import faults, gojson, names, reply, wire
from provider.call import Call
from provider.reply import Refusal


async def list_secrets(call: Call) -> Response:
    """GET /system/secrets: names and namespaces."""
    namespace = names.checked_namespace(call.namespace)
    with faults.about(namespace=namespace):
        found = await call.host.list_secrets(namespace)
    return reply.document([{"name": name, "namespace": namespace} for name in found])


async def put_secret(call: Call) -> Response:
    """POST and PUT /system/secrets: write; both create or replace, as faasd does."""
    sent = gojson.decode(call.body, wire.Secret)
    name = names.checked_secret(sent.name)
    namespace = names.checked_namespace(sent.namespace or call.namespace)
    value = sent.raw_value or sent.value.encode(errors="replace")
    with faults.about(name, namespace):
        await call.host.put_secret(name, namespace, value)
    return reply.empty()


async def delete_secret(call: Call) -> Response:
    """DELETE /system/secrets: 404 where there is none; faas-cli takes 204 for an error."""
    sent = gojson.decode(call.body, wire.Secret)
    name = names.checked_secret(sent.name)
    namespace = names.checked_namespace(sent.namespace or call.namespace)
    try:
        with faults.about(name, namespace):
            await call.host.delete_secret(name, namespace)
    except Refusal as refusal:
        if refusal.reason == "secret_unknown":
            raise Refusal(404, f"unable to find secret: {name}", refusal.reason) from refusal
        raise
    return reply.empty()
