"""The OpenFaaS REST API as the measurements use it; one connection per call, so that none goes stale between rounds."""

import base64
import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

TIMEOUT_S = 90.0
SETTLE_S = 30.0
POLL_S = 0.005
RINGS_ANNOTATION = "com.junctiond.rings"
NONE: Mapping[str, str] = {}


class GatewayRefused(Exception):
    """The gateway answered with an error; the message holds what it said."""


class Status(msgspec.Struct, rename="camel"):
    """The part of a function's status that measurements wait for."""

    name: str
    replicas: int = 0
    available_replicas: int = 0


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway at HOST:PORT, with its basic authentication."""

    address: str
    user: str
    password: str = field(repr=False)

    def url(self, function: str) -> str:
        """Where a function is invoked."""
        return f"http://{self.address}/function/{function}"

    def deploy(
        self, function: str, image: str, *, rings: bool = True, labels: Mapping[str, str] = NONE
    ) -> None:
        """Creates a function, on the fd attachment alone where rings are unwanted; returns when the gateway does."""
        annotations = {} if rings else {RINGS_ANNOTATION: "false"}
        document = {"service": function, "image": image, "annotations": annotations}
        self.call("POST", "/system/functions", {**document, "labels": dict(labels)})

    def remove(self, function: str) -> None:
        """Deletes a function."""
        self.call("DELETE", "/system/functions", {"functionName": function})

    def scale(self, function: str, replicas: int) -> None:
        """Asks for a number of replicas; returns when the gateway does."""
        body = {"serviceName": function, "replicas": replicas}
        self.call("POST", f"/system/scale-function/{function}", body)

    def status(self, function: str) -> Status:
        """The present state of a function."""
        return msgspec.json.decode(self.call("GET", f"/system/function/{function}"), type=Status)

    def wait_for_replicas(self, function: str, available: int) -> None:
        """Waits until a function has exactly that many available replicas.

        Raises:
            GatewayRefused: it has another number after 30 s.
        """
        deadline_ns = time.monotonic_ns() + int(SETTLE_S * 1e9)
        while (found := self.status(function)).available_replicas != available:
            if time.monotonic_ns() > deadline_ns:
                raise GatewayRefused(
                    f"{function} has {found.available_replicas} replicas, not {available}"
                )
            time.sleep(POLL_S)

    def invoke(self, function: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of one invocation."""
        return self._exchange("POST", f"/function/{function}", body, {})

    def call(self, method: str, path: str, document: object = None) -> bytes:
        """One call of the API.

        Raises:
            GatewayRefused: the answer is no 2xx, or there is none.
        """
        secret = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/json"}
        body = msgspec.json.encode(document) if document is not None else b""
        status, answer = self._exchange(method, path, body, headers)
        if not 200 <= status < 300:
            said = answer.decode(errors="replace").strip()
            raise GatewayRefused(f"{method} {path}: {status} {said}")
        return answer

    def _exchange(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise GatewayRefused(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()
