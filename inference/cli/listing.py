"""`jsim scenarios` and `jsim policies`: what there is to run and to choose from, and what a scenario says."""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from inference.cli.session import CommandError, announce, out, print_json
from inference.policies.registry import DISAGGREGATION, ROUTING, Registry
from inference.scenarios.loader import Loaded, load, loaded, shipped
from inference.scenarios.policies import BATCHING, POWER, Dynamo
from inference.scenarios.reference import keys
from inference.scenarios.schema import closest

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


def show_scenario(name: str, *, as_json: bool) -> None:
    """Every key of a scenario with its value, and the file that sets it."""
    one = loaded(name)
    announce(one.scenario.name, one.scenario.seed, as_json=as_json)
    keys = dict(_flat("", one.scenario))
    origins = {key: _origin(key, one) for key in keys}
    if as_json:
        rows = [{"key": key, "value": keys[key], "set_in": origins[key]} for key in keys]
        print_json(msgspec.json.encode(rows).decode())
        return
    table = Table("key", "value", "set in")
    for key, value in keys.items():
        table.add_row(Text(key), Text(str(value)), Text(origins[key] or "default"))
    out.print(table)


def _flat(prefix: str, part: Any) -> Iterator[tuple[str, Any]]:
    """Values by dotted key; what is a table in the file is gone into."""
    named = (
        {one.name: getattr(part, one.name) for one in fields(part)} if is_dataclass(part) else part
    )
    for name, value in named.items():
        key = f"{prefix}{name}"
        if is_dataclass(value) or (isinstance(value, Mapping) and value):
            yield from _flat(f"{key}.", value)
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            yield from _flat(f"{key}.", {str(index): one for index, one in enumerate(value)})
        else:
            yield key, list(value) if isinstance(value, tuple) else value


def _origin(key: str, one: Loaded) -> str:
    """Name of the file that set a key, or the array that it is in; empty for a default."""
    parts = key.split(".")
    for end in range(len(parts), 0, -1):
        path = ".".join(parts[:end])
        if path in one.sources and (end == len(parts) or _is_array(path, one)):
            return Path(one.sources[path]).name
    return ""


def _is_array(path: str, one: Loaded) -> bool:
    value: Any = one.values
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return isinstance(value, list)


def list_keys(prefix: str, *, as_json: bool) -> None:
    """Keys that a scenario may have, with their values, defaults and meanings.

    Raises:
        CommandError: no key begins so.
    """
    found = [key for key in keys() if key.key.startswith(prefix)]
    if not found:
        known = closest(prefix, {key.key.split(".")[0] for key in keys()})
        raise CommandError(f"no key begins with {prefix!r}; {known}")
    if as_json:
        print_json(msgspec.json.encode(found).decode())
        return
    table = Table("key", "of kind", "values", "default", "meaning")
    for key in found:
        cells = (key.key, key.kind, key.values, key.default, key.meaning)
        table.add_row(*(Text(cell) for cell in cells))
    table.caption = (
        "NAME: yours to choose; N: from 0; of kind: only where the table's `kind` says so"
    )
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
    rows.append(
        {
            "kind": "routing",
            "policy": "dynamo",
            "settings": _settings(Dynamo),
            "source": "DynamoLLM: brings its managers, which scale, shard and clock the cluster",
        }
    )
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
