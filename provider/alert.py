"""The AlertManager web hook: scale up on `firing`, back to the minimum otherwise."""

from starlette.responses import Response

from junctiond.api.base import HostApi
from junctiond.errors import HostError, Reason
from junctiond.limits import REPLICAS_MAX
from provider import gojson, labels, names, reply, wire
from provider.call import Call
from provider.reply import Refusal

_ALERTS_MAX = 1000


async def post_alert(call: Call) -> Response:
    """POST /system/alert: 200, or 500 with one `[i] err` line for each alert that failed."""
    try:
        sent = gojson.decode(call.body, wire.PrometheusAlert)
    except Refusal:
        raise Refusal(400, "Unable to parse alert, bad format.") from None
    if len(sent.alerts) > _ALERTS_MAX:
        raise Refusal(400, f"an alert message may hold {_ALERTS_MAX} alerts at most")
    failures = []
    for number, alert in enumerate(sent.alerts):
        try:
            await _follow(call.host, alert, sent.status)
        except HostError as error:
            failures.append(f"[{number}] {error.message}")
    if failures:
        raise Refusal(500, "\n".join(failures), Reason.INTERNAL)
    return reply.empty()


async def _follow(host: HostApi, alert: wire.InnerAlert, status: str) -> None:
    """Scale for one alert; an alert about an unknown function is ignored, as in OpenFaaS."""
    found = names.resolve(alert.labels.function_name)
    try:
        names.known(found)
        function = await host.get(found.name, found.namespace)
    except (HostError, Refusal):
        return
    wanted = labels.after_alert(status, function.replicas, function.deployment.labels)
    if wanted is not None:
        await host.start(found.name, found.namespace, min(wanted, REPLICAS_MAX))
