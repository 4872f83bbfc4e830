"""Goal: the reference names every key that the loader takes, with a meaning, and no other."""

from dataclasses import fields

from inference.scenarios.loader import load, shipped
from inference.scenarios.reference import keys
from inference.scenarios.spec import GroupSpec, Scenario


def test_every_key_has_values_and_a_meaning():
    without = [key.key for key in keys() if not key.values]
    without += [key.key for key in keys() if not key.meaning and not key.key.endswith(".kind")]
    assert without == []


def test_every_field_is_a_key_and_every_key_once():
    found = [(key.key, key.kind) for key in keys()]
    assert len(found) == len(set(found))
    tops = {key.split(".")[0] for key, _ in found}
    assert tops == {field.name for field in fields(Scenario)}
    groups = {key for key, _ in found if key.startswith("replicas.NAME.")}
    assert groups == {f"replicas.NAME.{field.name}" for field in fields(GroupSpec)}


def test_ranges_sets_and_defaults_are_told():
    by_key = {(key.key, key.kind): key for key in keys()}
    assert by_key["replicas.NAME.tp", ""].values == "1 | 2 | 4 | 8"
    assert by_key["replicas.NAME.count", ""].default == "required"
    assert by_key["batching.tokens_max", ""].default == "2048"
    assert by_key["trace.sample", "csv"].values == "number above 0.0, at most 1.0"
    assert by_key["trace.services.NAME.share", "services"].default == "required"
    assert by_key["failures.N.factor", "slow_link"].values == "number from 1.0 to 1,000,000.0"


def test_shipped_scenarios_are_made_of_these_keys():
    assert all(load(path).name for path in shipped().values())
