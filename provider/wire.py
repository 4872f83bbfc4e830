"""The JSON types of the OpenFaaS API that come in; field order and names as in the contract, section 1.4.

Defaults are Go's zero values: an absent key, null and an empty value mean the same. What goes out is built
by the handlers, for a deployment is given back as it was sent.
"""

from typing import Annotated

import msgspec

Strings = dict[str, str]
UInt64 = Annotated[int, msgspec.Meta(ge=0)]


class Wire(msgspec.Struct, frozen=True, rename="camel"):
    """Base of all wire types: camel case on the wire."""


class FunctionResources(Wire, frozen=True):
    """Kubernetes quantities; other keys (GPUs) are kept in the document alone."""

    memory: str = ""
    cpu: str = ""


class FunctionDeployment(Wire, frozen=True):
    """Body of POST and PUT `/system/functions`."""

    service: str = ""
    image: str = ""
    namespace: str = ""
    env_process: str = ""
    env_vars: Strings = {}
    constraints: list[str] = []
    secrets: list[str] = []
    labels: Strings = {}
    annotations: Strings = {}
    limits: FunctionResources = FunctionResources()
    requests: FunctionResources = FunctionResources()
    read_only_root_filesystem: bool = False


class DeleteFunctionRequest(Wire, frozen=True):
    """Body of DELETE `/system/functions`."""

    function_name: str = ""
    namespace: str = ""


class ScaleServiceRequest(Wire, frozen=True):
    """Body of POST `/system/scale-function/NAME`."""

    service_name: str = ""
    replicas: UInt64 = 0
    namespace: str = ""


class Secret(Wire, frozen=True):
    """Body of the secret routes; `raw_value` is base64 on the wire and wins over `value`."""

    name: str = ""
    namespace: str = ""
    value: str = ""
    raw_value: bytes = b""


class FunctionNamespace(Wire, frozen=True):
    """Body of the namespace routes."""

    name: str = ""
    annotations: Strings = {}
    labels: Strings = {}


class InnerAlertLabel(msgspec.Struct, frozen=True):
    """Labels of one alert; `function_name` carries `name.namespace`."""

    alertname: str = ""
    function_name: str = ""


class InnerAlert(Wire, frozen=True):
    """One alert of an AlertManager web hook."""

    status: str = ""
    labels: InnerAlertLabel = InnerAlertLabel()


class PrometheusAlert(Wire, frozen=True):
    """Body of POST `/system/alert`."""

    status: str = ""
    receiver: str = ""
    alerts: list[InnerAlert] = []
