"""Goal: the later file wins key by key, each key's file is known, and broken includes are refused."""

import pytest

from inference.errors import ScenarioError
from inference.scenarios.includes import Tables, override, read, value_of


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    return path


def test_later_files_win_key_by_key(tmp_path):
    base = write(tmp_path, "base.toml", "seed = 1\n[a]\nx = 1\ny = [1, 2]\n[a.deep]\nz = 1")
    over = write(tmp_path, "over.toml", 'include = ["base.toml"]\n[a]\ny = [3]\n[a.deep]\nw = 2')
    tables = read(over)
    assert tables.values == {"seed": 1, "a": {"x": 1, "y": [3], "deep": {"z": 1, "w": 2}}}
    assert tables.source_of(("a", "x"), "") == str(base)
    assert tables.source_of(("a", "y", "0"), "") == str(over)
    assert tables.source_of(("a", "deep", "missing"), "") == str(base)
    assert tables.source_of(("never",), "default") == "default"


def test_includes_come_in_order_and_may_share_a_base(tmp_path):
    write(tmp_path, "base.toml", "v = 0\nw = 0")
    write(tmp_path, "one.toml", 'include = ["base.toml"]\nv = 1')
    write(tmp_path, "two.toml", "v = 2")
    top = write(tmp_path, "top.toml", 'include = ["one.toml", "two.toml"]')
    assert read(top).values == {"v": 2, "w": 0}


def test_merging_leaves_the_first_table_alone():
    first = {"a": {"x": 1}}
    tables = Tables()
    tables.merge(first, "first")
    tables.merge({"a": {"x": 2}}, "second")
    assert first == {"a": {"x": 1}}


def test_another_kind_replaces_the_table_another_policy_drops_parameters():
    tables = Tables()
    trace = {"kind": "poisson", "rate_per_s": 3}
    routing = {"policy": "jsq", "parameters": {"a": 1}}
    tables.merge({"trace": trace, "routing": routing}, "first")
    tables.merge({"trace": {"kind": "azure"}, "routing": {"policy": "splitwise"}}, "second")
    assert tables.values == {"trace": {"kind": "azure"}, "routing": {"policy": "splitwise"}}
    assert tables.source_of(("trace", "rate_per_s"), "") == "second"


def test_a_cycle_is_named(tmp_path):
    write(tmp_path, "a.toml", 'include = ["b.toml"]')
    write(tmp_path, "b.toml", 'include = ["c.toml"]')
    write(tmp_path, "c.toml", 'include = ["b.toml"]')
    with pytest.raises(ScenarioError, match=r"include: .*cycle.*b\.toml -> c\.toml -> b\.toml"):
        read(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('include = ["gone.toml"]', r"include: expected a file beside top.toml.*'gone.toml'"),
        ("include = 3", r"include: expected \[\"base.toml\", …\], found 3"),
        ('include = "base.toml"', r"include: expected"),
        ('include = ["a\\u0000b"]', r"include: expected a file"),
        ("a = ", r"file: expected TOML"),
        ("a = 1\na = 2", r"file: expected TOML"),
        ("a = " + "[" * 5000, r"file: expected TOML"),
        ("a = " + "9" * 5000, r"file: expected TOML"),
    ],
)
def test_broken_files_are_refused(tmp_path, text, expected):
    path = write(tmp_path, "top.toml", text)
    with pytest.raises(ScenarioError, match=expected) as error:
        read(path)
    assert error.value.source == str(path)


def test_unreadable_files_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "gone.toml"):
        with pytest.raises(ScenarioError, match="expected a readable file"):
            read(path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'a = "\xff"')
    with pytest.raises(ScenarioError, match="expected TOML"):
        read(latin)
    (tmp_path / "huge.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ScenarioError, match="at most 1,048,576 bytes"):
        read(tmp_path / "huge.toml")


def test_a_traces_path_is_meant_beside_its_file(tmp_path):
    base = write(tmp_path / "inner", "base.toml", '[trace]\nkind = "csv"\npath = "t.csv"')
    top = write(tmp_path, "top.toml", 'include = ["inner/base.toml"]')
    assert read(top).values["trace"]["path"] == str(base.parent / "t.csv")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e2", 100.0),
        ("true", True),
        ("jsq", "jsq"),
        ('"jsq"', "jsq"),
        ("[1, 2]", [1, 2]),
        ('{kind = "azure"}', {"kind": "azure"}),
        ("a b", "a b"),
        ("", ""),
        ("1\nother = 2", "1\nother = 2"),
        ("[" * 5000, "[" * 5000),
    ],
)
def test_values_of_the_command_line(text, value):
    assert value_of(text) == value


def test_overrides_win_and_are_named_as_their_source():
    tables = Tables()
    tables.merge({"trace": {"kind": "poisson", "rate_per_s": 3}}, "file")
    override(tables, ["trace.rate_per_s=5", "seed = 4", "replicas.a.count=2"])
    assert tables.values["trace"] == {"kind": "poisson", "rate_per_s": 5}
    assert tables.values["replicas"] == {"a": {"count": 2}}
    assert tables.source_of(("seed",), "") == "argument --set"


@pytest.mark.parametrize("wrong", ["seed", "=3", ".a=3", "a..b=1", "include=[]"])
def test_malformed_overrides_are_refused(wrong):
    with pytest.raises(ScenarioError, match="argument --set"):
        override(Tables(), [wrong])
