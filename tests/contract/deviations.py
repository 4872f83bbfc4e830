"""Where the provider deliberately answers otherwise than the recorded incumbent, and why.

`TABLE` is keyed by the name of a recorded case and the method; what is not in it must be equal. `RULES` are
the differences that hold for a kind of answer everywhere. docs/contract.md tells the same to users.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Deviation:
    """Our answer where it is not the recorded one; None keeps the recorded part."""

    reason: str
    status: int | None = None
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


TEXT = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
JSON = {"content-type": "application/json"}
NDJSON = {"content-type": "application/x-ndjson"}

TABLE: dict[tuple[str, str], Deviation] = {
    ("namespace create", "POST"): Deviation(
        "the incumbent creates the namespace and then fails; 201 is its documented answer", 201, ""
    ),
    ("namespace create with label", "POST"): Deviation("as namespace create", 201, ""),
    ("namespace update", "PUT"): Deviation(
        "the incumbent updates and then fails; 202 is its documented answer", 202, ""
    ),
    ("namespace get", "GET"): Deviation(
        "annotations are kept and given back; the incumbent drops them",
        body='{"name":"certifier-test","annotations":{"openfaas":"1"},"labels":{"openfaas":"1"}}\n',
    ),
    ("namespace remove", "DELETE"): Deviation(
        "no leftover images or snapshots keep a namespace from being removed", 202, ""
    ),
    ("deploy --update=false (exists)", "POST"): Deviation(
        "no snapshots here; the text still ends in `already exists`",
        body='unable to create function: wire, error: "wire.openfaas-fn": already exists\n',
    ),
    ("deploy unknown image", "POST"): Deviation(
        "the registry's own words follow the same beginning",
        body="unable to pull image '127.0.0.1:5000/fn/nosuch:v1'\n",
    ),
    ("deploy bad name", "PUT"): Deviation(
        "names must be DNS labels, checked before anything else, as on Kubernetes",
        400,
        "validation failed: service: (Bad_Name) is invalid, must be a valid DNS entry\n",
    ),
    ("deploy bad name", "POST"): Deviation(
        "names must be DNS labels, as on Kubernetes and in faas-cli new",
        400,
        "validation failed: service: (Bad_Name) is invalid, must be a valid DNS entry\n",
        TEXT,
    ),
    ("list unknown namespace", "GET"): Deviation(
        "one newline ends an error; the incumbent's gateway adds a second one to its provider's",
        body="namespace not valid\n",
    ),
    ("logs (missing)", "GET"): Deviation("an empty log is still a log", headers=NDJSON),
    ("logs --tail=false", "GET"): Deviation(
        "the documented type, not a sniffed one", headers=NDJSON
    ),
    ("logs --lines 2", "GET"): Deviation("the documented type, not a sniffed one", headers=NDJSON),
    ("logs --since", "GET"): Deviation("the documented type, not a sniffed one", headers=NDJSON),
    ("curl logs", "GET"): Deviation("the documented type, not a sniffed one", headers=NDJSON),
    ("curl logs no name", "GET"): Deviation("an empty log is still a log", headers=NDJSON),
    ("secret list", "GET"): Deviation("JSON is labelled as JSON, not sniffed", headers=JSON),
    ("secret list in namespace", "GET"): Deviation("JSON is labelled as JSON", headers=JSON),
    ("curl secrets list", "GET"): Deviation("JSON is labelled as JSON", headers=JSON),
    ("secret remove (in use)", "DELETE"): Deviation(
        "equal: functions keep the copy they started with"
    ),
    ("secret remove in namespace", "DELETE"): Deviation(
        "the namespace of the body counts; the incumbent looks in the query alone and misses",
        200,
        "",
    ),
}

# The following of a log is not replayed as one exchange: tests/contract/test_logs.py follows for real.
NOT_REPLAYED = {"logs --tail (3s)": "never ends by itself"}

RULES = {
    "as sent": "image environment, limits and requests come back exactly as they were deployed",
    "available": "lists carry availableReplicas as status does",
    "count": "invocations are not part of these replays: the front door counts them",
    "scale to 0": "0 replicas is honoured; the incumbent keeps one",
    "order": "lists are sorted by name; the incumbent's order is random",
    "call id": "every answer carries X-Call-Id, so that it can be found in the log",
    "release": "the release strings of /system/info are ours; arch is never empty",
}

_AS_SENT = (
    "envProcess",
    "envVars",
    "constraints",
    "secrets",
    "limits",
    "requests",
    "readOnlyRootFilesystem",
)


def expected_status(
    recorded: dict[str, Any], sent: dict[str, Any], replicas: int
) -> dict[str, Any]:
    """The recorded FunctionStatus under the rules above; `createdAt` is compared by its form alone."""
    same = {key: recorded[key] for key in ("name", "image", "namespace", "labels", "annotations")}
    same |= {key: sent[key] for key in _AS_SENT if key in sent}
    if replicas:
        same |= {"replicas": replicas, "availableReplicas": replicas}
    return same
