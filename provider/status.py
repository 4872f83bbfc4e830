"""A function as the API shows it: the deployment as it was sent, and its present state."""

from typing import Any, Final

from junctiond.domain import Deployment, Function, Usage
from provider import gojson, gotime, wire
from provider.reply import Refusal

# The order of Go's struct, so that two outputs can be compared as text.
_AS_SENT: Final = (
    "envProcess",
    "envVars",
    "constraints",
    "secrets",
    "labels",
    "annotations",
    "limits",
    "requests",
    "readOnlyRootFilesystem",
)


def of(function: Function, *, counted: bool) -> dict[str, Any]:
    """The FunctionStatus of `function`; `counted` adds the invocations, which only lists carry.

    Labels and annotations are always objects, replicas and invocations vanish at 0, `createdAt` never
    does (contract section 1.4). Values come back exactly as they were sent, GPU limits included.
    """
    deployment = function.deployment
    sent = _sent(deployment)
    shown: dict[str, Any] = {
        "name": deployment.name,
        "image": deployment.image,
        "namespace": deployment.namespace,
    }
    shown |= {key: sent[key] for key in _AS_SENT if key in sent}
    if counted and function.invocations:
        shown["invocationCount"] = _number(function.invocations)
    if function.replicas:
        shown["replicas"] = function.replicas
    if function.replicas_available:
        shown["availableReplicas"] = function.replicas_available
    shown["createdAt"] = gotime.written(function.created_at_ns)
    if function.usage is not None:
        shown["usage"] = _usage(function.usage)
    return shown


def _sent(deployment: Deployment) -> dict[str, Any]:
    try:
        sent = gojson.canonical(deployment.document, wire.FunctionDeployment)
    except Refusal:
        # Deployed by another program than this one, which kept no document.
        sent = _rebuilt(deployment)
    return {"labels": {}, "annotations": {}} | sent


def _rebuilt(deployment: Deployment) -> dict[str, Any]:
    members: dict[str, Any] = {
        "envProcess": deployment.env_process,
        "envVars": dict(deployment.env),
        "constraints": list(deployment.constraints),
        "secrets": list(deployment.secrets),
        "labels": dict(deployment.labels),
        "annotations": dict(deployment.annotations),
        "limits": _resources(deployment.limits.memory, deployment.limits.cpu),
        "requests": _resources(deployment.requests.memory, deployment.requests.cpu),
        "readOnlyRootFilesystem": deployment.read_only_root,
    }
    return {key: value for key, value in members.items() if value}


def _resources(memory: str, cpu: str) -> dict[str, str]:
    return {key: value for key, value in (("memory", memory), ("cpu", cpu)) if value}


def _usage(usage: Usage) -> dict[str, float]:
    shown = {"cpu": usage.cpu_millicores, "totalMemoryBytes": float(usage.memory_bytes)}
    return {key: _number(value) for key, value in shown.items() if value}


def _number(value: float) -> float:
    """A whole number without a fraction, as Go writes a float64."""
    return int(value) if value.is_integer() else value
