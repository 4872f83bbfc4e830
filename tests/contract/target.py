"""A gateway under test, spoken to as faas-cli does."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

ATTEMPTS_MAX = 30
ATTEMPT_WAIT_S = 0.75
CREATED = (200, 202)
WRITTEN = (200, 201, 202)


class Skipped(Exception):
    """The target lacks what a case needs."""


@dataclass(frozen=True)
class Target:
    """A gateway under test and the images that it can pull."""

    url: str
    user: str
    password: str
    image: str
    fork_image: str = ""
    namespace: str = "openfaas-fn"
    invokes: bool = True
    wait_s: float = ATTEMPT_WAIT_S

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """One request with the account; `body` as JSON."""
        content = b"" if body is None else json.dumps(body).encode()
        return httpx.request(
            method,
            self.url.rstrip("/") + path,
            content=options.pop("content", content),
            auth=None if options.pop("anonymous", False) else (self.user, self.password),
            timeout=60,
            trust_env=False,
            **options,
        )

    def until(self, wanted: int, method: str, path: str, **options: Any) -> httpx.Response:
        """Repeat a request until it has the wanted status; 401 is final."""
        for _ in range(ATTEMPTS_MAX):
            answer = self.call(method, path, **options)
            if answer.status_code == wanted:
                return answer
            assert answer.status_code != 401, "credentials refused"
            time.sleep(self.wait_s)
        raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text!r}, not {wanted}")

    def deploy(self, document: dict[str, Any]) -> None:
        """As faas-cli: PUT, and POST where that is a 404."""
        answer = self.call("PUT", "/system/functions", document)
        if answer.status_code == 404:
            answer = self.call("POST", "/system/functions", document)
        assert answer.status_code in CREATED, f"{answer.status_code} {answer.text}"
        assert answer.content == b""

    @contextmanager
    def deployed(self, **document: Any) -> Iterator[str]:
        """Deploy a function and remove it at the end; yields its name."""
        name = f"certify-{uuid.uuid4().hex[:12]}"
        self.deploy({"service": name, "image": self.image} | document)
        try:
            yield name
        finally:
            namespace = document.get("namespace", self.namespace)
            request = {"functionName": name, "namespace": namespace}
            assert self.call("DELETE", "/system/functions", request).status_code in CREATED

    def status(self, name: str) -> dict[str, Any]:
        """GET /system/function/NAME."""
        answer = self.call("GET", f"/system/function/{name}?namespace={self.namespace}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def listed(self, name: str) -> dict[str, Any]:
        """The function's entry in the list."""
        answer = self.call("GET", f"/system/functions?namespace={self.namespace}")
        assert answer.status_code == 200, answer.text
        (found,) = [one for one in answer.json() if one["name"] == name]
        assert isinstance(found, dict)
        return found

    def until_replicas(self, name: str, wanted: int) -> None:
        """Wait until a function has this many replicas, all of them available."""
        for _ in range(ATTEMPTS_MAX):
            found = self.status(name)
            counts = (found.get("replicas", 0), found.get("availableReplicas", 0))
            if counts == (wanted, wanted):
                return
            time.sleep(self.wait_s)
        raise AssertionError(f"{name} has {counts} replicas, not {wanted}")

    def needs(self, what: str) -> str:
        """The image of that field, or skip."""
        found: str = getattr(self, what)
        if not (self.invokes and found):
            raise Skipped(f"needs a data plane and --{what.replace('_', '-')}")
        return found
