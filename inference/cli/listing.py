"""`jsim scenarios` and `jsim policies`: what there is to run and to choose from."""

from dataclasses import MISSING, fields
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from inference.cli.session import out, print_json
from inference.policies.registry import DISAGGREGATION, ROUTING, Registry
from inference.scenarios.loader import load, shipped
from inference.scenarios.policies import BATCHING, POWER

KINDS: dict[str, Registry[Any, Any]] = {
    "routing": ROUTING,
    "batching": BATCHING,
    "transfer": DISAGGREGATION,
    "power": POWER,
}


def list_scenarios(*, as_json: bool) -> None:
    """Scenarios that come with the product."""
    found = [load(path) for path in shipped().values()]
    if as_json:
        rows = [{"name": one.name, "source": one.source, "seed": one.seed} for one in found]
        print_json(msgspec.json.encode(rows).decode())
        return
    table = Table("scenario", "what it is of")
    for one in found:
        table.add_row(Text(one.name), Text(one.source))
    out.print(table)


def list_policies(*, as_json: bool) -> None:
    """Policies by kind, with their settings and where each is described."""
    rows: list[dict[str, Any]] = [
        {
            "kind": kind,
            "policy": name,
            "settings": _settings(entry.parameters),
            "source": entry.source,
        }
        for kind, registry in KINDS.items()
        for name, entry in sorted(registry.entries.items())
    ]
    if as_json:
        print_json(msgspec.json.encode(rows).decode())
        return
    table = Table("kind", "policy", "settings", "described in")
    for row in rows:
        settings = ", ".join(f"{name}={value}" for name, value in row["settings"].items())
        table.add_row(row["kind"], Text(row["policy"]), Text(settings), Text(row["source"]))
    out.print(table)


def _settings(parameters: type[Any]) -> dict[str, Any]:
    return {
        field.name: "required" if field.default is MISSING else field.default
        for field in fields(parameters)
    }
