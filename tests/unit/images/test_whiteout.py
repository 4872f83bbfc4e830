"""Goal: names of archive entries mean what layer.md says, and none leaves the layer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from junctiond.images.whiteout import Action, InvalidName, Target, translate


@pytest.mark.parametrize(
    ("name", "target"),
    [
        (b"a/b", Target(Action.KEEP, (b"a", b"b"))),
        (b"./a//b/", Target(Action.KEEP, (b"a", b"b"))),
        (b"./", Target(Action.SKIP, ())),
        (b"/", Target(Action.SKIP, ())),
        (b"a/.wh.b", Target(Action.REMOVE, (b"a", b"b"))),
        (b"a/.wh..wh..opq", Target(Action.OPAQUE, (b"a",))),
        (b".wh..wh..opq", Target(Action.OPAQUE, ())),
        (b".wh..wh.plnk", Target(Action.SKIP, ())),
        (b".wh..wh.aufs/x", Target(Action.SKIP, ())),
        (b"a/.whatever", Target(Action.KEEP, (b"a", b".whatever"))),
    ],
)
def test_names_mean_what_the_specification_says(name, target):
    assert translate(name, 256) == target


@pytest.mark.parametrize(
    "name",
    [
        b"../a",
        b"a/../../b",
        b"a/..",
        b"/etc/passwd",
        b"a\0b",
        b".wh.",
        b".wh..",
        b".wh...",
        b"x" * 256,
        b"a/" * 300,
    ],
)
def test_hostile_names_are_refused(name):
    with pytest.raises(InvalidName):
        translate(name, 256)


@given(st.binary(max_size=60))
def test_no_name_leaves_the_layer(name):
    try:
        target = translate(name, 16)
    except InvalidName:
        return
    assert len(target.parts) <= 16
    for part in target.parts:
        assert part not in (b"", b".", b"..")
        assert b"/" not in part
        assert b"\0" not in part
    if target.action is Action.KEEP:
        assert not target.parts[-1].startswith(b".wh.")


@given(
    st.lists(
        st.binary(min_size=1, max_size=8).filter(lambda p: b"/" not in p and b"\0" not in p),
        min_size=1,
    )
)
def test_a_whiteout_names_its_neighbour(parts):
    path = b"/".join(parts)
    try:
        kept = translate(path, 256)
    except InvalidName:
        return
    if kept.action is not Action.KEEP:
        return
    folder, _, last = b"/".join(kept.parts).rpartition(b"/")
    hidden = translate((folder + b"/" if folder else b"") + b".wh." + last, 256)
    assert hidden == Target(Action.REMOVE, kept.parts)
