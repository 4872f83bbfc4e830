"""Profiles are read whole or not at all, with the fault's place."""

import gzip

import pytest

from inference.errors import ProfileError
from inference.models.profile import DATA, read_profile
from inference.models.provenance import Origin

HEADER = """# origin = "measured"
# by = "us"
# on = "a machine"
# when = "2026"
# source = "here"
# licence = "MIT"
# note = ""
"""
TABLE = HEADER + "gpu,tokens,ms\na,1,0.5\na,2,0.75\nb,1,3\n"


def read(path, text):
    file = path / "profile.csv"
    file.write_text(text)
    return read_profile(file, ("tokens", "ms"), ("gpu",), ("gpu", "tokens"))


def test_reads_figures_and_where_they_come_from(tmp_path):
    profile = read(tmp_path, TABLE)
    assert profile.numbers["ms"].tolist() == [0.5, 0.75, 3.0]
    assert profile.labels["gpu"] == ("a", "a", "b")
    assert profile.provenance.origin is Origin.MEASURED
    assert profile.provenance.source == "here (MIT)"
    with pytest.raises(ValueError, match="read-only"):
        profile.numbers["ms"][0] = 1


def test_reads_gzip(tmp_path):
    file = tmp_path / "profile.csv.gz"
    file.write_bytes(gzip.compress(TABLE.encode()))
    assert read_profile(file, ("tokens", "ms"), ("gpu",)).name == "profile.csv.gz"
    file.write_bytes(gzip.compress(TABLE.encode())[:40])
    with pytest.raises(ProfileError, match=r"profile.csv.gz: file: expected readable"):
        read_profile(file, ("tokens", "ms"), ("gpu",))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (HEADER, "", r"header origin: expected a line like origin"),
        ('# licence = "MIT"\n', "", r"header licence: expected a line"),
        ('"measured"', '"guessed"', r"header origin: expected one of .*'guessed'"),
        ('"us"', "us", r"header: expected TOML"),
        ('"2026"', "2026", r"header when: expected a text, found 2026"),
        ("# when", '# mood = "fine"\n# when', r"header mood: unknown"),
        ("gpu,tokens,ms", "gpu,tokens,us", r"ms: expected this column"),
        ("gpu,tokens,ms", "gpu,tokens,ms,more", r"more: unknown column"),
        ("0.75", "nan", r"ms of row 2: expected a finite number, found 'nan'"),
        ("0.75", "much", r"ms of row 2: expected a finite number, found 'much'"),
        ("0.75", "", r"ms of row 2: expected a finite number, found ''"),
        ("a,2,0.75", "a,2", r"row 2: expected 3 fields, found 2"),
        ("a,2", "a,1", r"gpu, tokens of row 2: expected rows strictly ascending"),
        ("b,1", "a,0", r"gpu, tokens of row 3: expected rows strictly ascending"),
        ("a,1,0.5\na,2,0.75\nb,1,3\n", "", r"rows: expected at least one"),
    ],
)
def test_a_fault_names_its_place(tmp_path, old, new, message):
    assert old in TABLE
    with pytest.raises(ProfileError, match=r"profile\.csv: " + message):
        read(tmp_path, TABLE.replace(old, new, 1))


def test_no_file_is_a_fault_too(tmp_path):
    with pytest.raises(ProfileError, match="no such file"):
        read_profile(tmp_path / "none.csv", ("ms",))


def test_every_table_shipped_can_be_read():
    tables = sorted(DATA.glob("table_*.csv"))
    assert len(tables) == 12
    for path in tables:
        columns = ("batch_tokens", "prompt_ms", "token_ms", "repeats")
        profile = read_profile(path, columns, (), ("batch_tokens",))
        assert profile.numbers["batch_tokens"].tolist() == [128 * 2**power for power in range(9)]
