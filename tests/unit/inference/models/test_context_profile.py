"""Context profiles are read whole or not at all, with the fault's place."""

import pytest

from inference.errors import ProfileError
from inference.models.context_profile import read_context_profile

TEXT = """[provenance]
origin = "modelled"
by = "us"
on = "a machine"
when = "2026"
source = "here"
licence = "MIT"
note = ""

[decode]
base_ns = 1000.0
per_request_ns = 10
context_ns = 0.5
lone_context_ns = 0.0

[prefill]
tokens = [1, 128, 256]
ns = [900.0, 1000.0, 1900.0]
cached_ns = 0.5
pair_ns = 0.1

[range]
tokens_min = 128
tokens_max = 256
batch_max = 8
context_max = 4096

[fit]
prefill_mape_percent = 1.0
decode_mape_percent = 2.0
"""


def read(folder, text):
    file = folder / "fit.toml"
    file.write_text(text)
    return read_context_profile(file)


def test_reads_all_of_it(tmp_path):
    profile = read(tmp_path, TEXT)
    assert profile.name == "fit.toml"
    assert (profile.base_ns, profile.per_request_ns, profile.context_ns) == (1000.0, 10.0, 0.5)
    assert profile.prefill_tokens == (1, 128, 256)
    assert (profile.tokens_max, profile.context_max) == (256, 4096)
    assert (profile.prefill_mape_percent, profile.decode_mape_percent) == (1.0, 2.0)
    assert profile.provenance.source == "here (MIT)"


def test_whoever_fitted_may_not_say_how_well(tmp_path):
    profile = read(tmp_path, TEXT[: TEXT.index("[fit]")])
    assert (profile.prefill_mape_percent, profile.decode_mape_percent) == (None, None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('by = "us"\n', "", r"provenance by: expected a line like by ="),
        ("[decode]", "[decoding]", r"decoding: unknown table"),
        ("base_ns", "base_ms", r"decode\.base_ns: expected this key"),
        ("pair_ns = 0.1", "pair_ns = 0.1\nmore = 1", r"prefill\.more: unknown key"),
        ("= 1000.0\n", "= nan\n", r"decode\.base_ns: expected a finite number .* found nan"),
        ("= 1000.0\n", "= -1.0\n", r"decode\.base_ns: expected a finite number .* found -1"),
        ("= 1000.0\n", '= "fast"\n', r"decode\.base_ns: expected a finite number .* found 'fast'"),
        ("batch_max = 8", "batch_max = 0", r"range\.batch_max: expected a whole number"),
        ("batch_max = 8", "batch_max = true", r"range\.batch_max: expected a whole number"),
        ("[1, 128, 256]", "[1, 128]", r"prefill\.tokens: expected as many"),
        ("[1, 128, 256]", "[2, 128, 256]", r"prefill\.tokens: expected 2 or more from 1 on"),
        ("[1, 128, 256]", "[1, 256, 128]", r"prefill\.tokens: expected them ascending"),
        ("1900.0", "950.0", r"prefill\.ns: expected at least 1, never falling"),
        ("decode_mape_percent = 2.0", "mape = 2.0", r"fit\.mape: unknown key"),
        ("decode_mape_percent = 2.0", "decode_mape_percent = -2", r"fit\.decode_mape_percent"),
        ("[fit]", "[fit", r"file: expected TOML"),
    ],
)
def test_a_fault_names_its_place(tmp_path, old, new, message):
    assert old in TEXT
    with pytest.raises(ProfileError, match=r"fit\.toml: " + message):
        read(tmp_path, TEXT.replace(old, new, 1))


def test_no_file_is_a_fault_too(tmp_path):
    with pytest.raises(ProfileError, match="no such file"):
        read_context_profile(tmp_path / "none.toml")
