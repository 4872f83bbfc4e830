import json
from dataclasses import replace

import pytest

from junctiond.domain import Deployment, Function, Resources, Usage
from provider import status

DOCUMENT = {
    "service": "aes",
    "image": "registry.example/fn/aes:v1",
    "envVars": {"A": "x=y"},
    "labels": {"tier": "gold"},
    "annotations": {},
    "limits": {"cpu": "100m"},
}
DEPLOYMENT = Deployment("aes", "registry.example/fn/aes:v1", document=json.dumps(DOCUMENT).encode())
FUNCTION = Function(DEPLOYMENT, 2, 1, 1_795_330_955_000_000_000, 1, invocations=3.0)


def test_as_sent_and_in_order() -> None:
    assert json.dumps(status.of(FUNCTION, counted=True)) == (
        '{"name": "aes", "image": "registry.example/fn/aes:v1", "namespace": "openfaas-fn", '
        '"envVars": {"A": "x=y"}, "labels": {"tier": "gold"}, "annotations": {}, '
        '"limits": {"cpu": "100m"}, "invocationCount": 3, "replicas": 2, "availableReplicas": 1, '
        '"createdAt": "2026-11-22T07:02:35Z"}'
    )


def test_absent_at_zero() -> None:
    asleep = replace(FUNCTION, replicas=0, replicas_available=0, invocations=0.0)
    found = status.of(asleep, counted=True)
    assert not {"replicas", "availableReplicas", "invocationCount"} & found.keys()
    assert "createdAt" in found


def test_only_lists_count() -> None:
    assert "invocationCount" not in status.of(FUNCTION, counted=False)


def test_usage() -> None:
    used = replace(FUNCTION, usage=Usage(12.5, 4096))
    assert status.of(used, counted=False)["usage"] == {"cpu": 12.5, "totalMemoryBytes": 4096}


@pytest.mark.parametrize("document", [b"", b"{", b"[]", b"1"])
def test_rebuilt_where_there_is_no_document(document: bytes) -> None:
    deployment = replace(
        DEPLOYMENT,
        document=document,
        env={"A": "1"},
        secrets=("s",),
        limits=Resources(memory="64Mi"),
        read_only_root=True,
    )
    found = status.of(replace(FUNCTION, deployment=deployment), counted=False)
    assert found["envVars"] == {"A": "1"}
    assert found["secrets"] == ["s"]
    assert found["limits"] == {"memory": "64Mi"}
    assert found["readOnlyRootFilesystem"] is True
    assert (found["labels"], found["annotations"]) == ({}, {})
    assert "requests" not in found
