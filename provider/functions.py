"""Functions: list, status, deploy, update, delete, scale."""

from starlette.responses import Response

from junctiond.domain import Deployment, Function, Resources
from junctiond.errors import HostError
from junctiond.limits import REPLICAS_MAX
from provider import faults, gojson, labels, names, reply, status, wire
from provider.call import Call
from provider.limits import DEPLOYMENT_BYTES_MAX
from provider.reply import Refusal


async def list_functions(call: Call) -> Response:
    """GET /system/functions: every function of a namespace, with its invocation count."""
    namespace = names.checked_namespace(call.namespace)
    with faults.about(namespace=namespace):
        functions = await call.host.list_functions(namespace)
    return reply.document([status.of(function, counted=True) for function in functions])


async def get_function(call: Call) -> Response:
    """GET /system/function/NAME: one function; 404 without a body where it is unknown."""
    found = names.resolve(call.path["name"], query=call.namespace)
    names.checked_namespace(found.namespace)
    usage = call.query.get("usage", "") in ("1", "true")
    try:
        with faults.about(*names.known(found)):
            function = await call.host.get(found.name, found.namespace, usage=usage)
    except Refusal as refusal:
        if refusal.status == 404:
            raise Refusal(404, "", refusal.reason) from refusal
        raise
    return reply.document(status.of(function, counted=False))


async def deploy(call: Call) -> Response:
    """POST /system/functions: create; 200 once the first replica accepts connections."""
    deployment = _deployment(call)
    with faults.about(deployment.name, deployment.namespace, deployment.image):
        function = await call.host.create(deployment)
        try:
            await _reach_minimum(call, function)
        except HostError:
            # A refused deployment leaves nothing behind.
            await call.host.delete(deployment.name, deployment.namespace)
            raise
    return reply.empty()


async def update(call: Call) -> Response:
    """PUT /system/functions: replace; the 404 for an unknown one makes faas-cli create it."""
    deployment = _deployment(call)
    with faults.about(deployment.name, deployment.namespace, deployment.image):
        function = await call.host.update(deployment)
        await _reach_minimum(call, function)
    return reply.empty()


async def delete(call: Call) -> Response:
    """DELETE /system/functions: the name comes in the body."""
    asked = gojson.decode(call.body, wire.DeleteFunctionRequest)
    found = names.resolve(asked.function_name, body=asked.namespace, query=call.namespace)
    names.checked_namespace(found.namespace)
    with faults.about(*names.known(found)):
        await call.host.delete(found.name, found.namespace)
    return reply.empty()


async def scale(call: Call) -> Response:
    """POST /system/scale-function/NAME: set the wanted replicas, 0 included."""
    asked = gojson.decode(call.body, wire.ScaleServiceRequest)
    name = asked.service_name or call.path["name"]
    found = names.resolve(name, body=asked.namespace, query=call.namespace)
    names.checked_namespace(found.namespace)
    if asked.replicas > REPLICAS_MAX:
        raise Refusal(400, f"replicas must be between 0 and {REPLICAS_MAX}", "limits_invalid")
    with faults.about(*names.known(found)):
        if asked.replicas == 0:
            await call.host.stop(found.name, found.namespace)
        else:
            await call.host.start(found.name, found.namespace, asked.replicas)
    return reply.empty()


def _deployment(call: Call) -> Deployment:
    if not call.body:
        raise Refusal(400, "expected a body")
    if len(call.body) > DEPLOYMENT_BYTES_MAX:
        raise Refusal(413, f"a deployment may have {DEPLOYMENT_BYTES_MAX} bytes at most")
    sent = gojson.decode(call.body, wire.FunctionDeployment)
    namespace = names.checked_namespace(sent.namespace or call.namespace)
    return Deployment(
        name=names.checked_service(sent.service),
        image=sent.image,
        namespace=namespace,
        env_process=sent.env_process,
        env=sent.env_vars,
        secrets=tuple(sent.secrets),
        labels=sent.labels,
        annotations=sent.annotations,
        limits=Resources(sent.limits.memory, sent.limits.cpu),
        requests=Resources(sent.requests.memory, sent.requests.cpu),
        read_only_root=sent.read_only_root_filesystem,
        constraints=tuple(sent.constraints),
        document=call.body,
    )


async def _reach_minimum(call: Call, function: Function) -> None:
    deployment = function.deployment
    wanted = min(labels.replicas_min(deployment.labels), REPLICAS_MAX)
    if function.replicas < wanted:
        await call.host.start(deployment.name, deployment.namespace, wanted)
