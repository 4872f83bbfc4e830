"""Reading and growing ELF files, with images made here."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from junctiond.golang import copy, elf, syscall_site

TEXT_AT = 0x1000
TEXT_ADDRESS = 0x401000
SHIM_ADDRESS = 0x100000000000
BUILD_INFO = b"\xff Go buildinf:"


def program(text: bytes, address: int = TEXT_ADDRESS, kind: int = 2, machine: int = 62) -> bytes:
    """A program with one segment of code."""
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01" + bytes(9),
        *(kind, machine, 1, address, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    segment = struct.pack(
        "<IIQQQQQQ", 1, 5, TEXT_AT, address, address, len(text), len(text), 0x1000
    )
    return (header + segment).ljust(TEXT_AT, b"\0") + text


GO_TEXT = b"\x90" * 64 + syscall_site.CODE + b"\x90" * 64 + BUILD_INFO
GO = program(GO_TEXT)
SHIM = program(b"\xcc" * 300, address=SHIM_ADDRESS)


def test_a_copy_has_the_shims_segment_and_the_originals() -> None:
    copied = elf.parse(copy.make(GO, SHIM))
    assert [segment.address for segment in copied.loads()] == [TEXT_ADDRESS, SHIM_ADDRESS]
    assert copied.entry == TEXT_ADDRESS


def test_a_copy_jumps_where_the_function_began_and_is_the_same_elsewhere() -> None:
    copied = copy.make(GO, SHIM)
    site = TEXT_AT + 64
    jump = b"\x49\xbb" + SHIM_ADDRESS.to_bytes(8, "little") + b"\x41\xff\xe3"
    assert copied[site : site + len(jump)] == jump
    assert copied[TEXT_AT:site] == GO[TEXT_AT:site]
    assert copied[site + len(jump) : len(GO)] == GO[site + len(jump) :]


def test_the_grafted_segment_is_page_aligned_and_whole() -> None:
    image = copy.make(GO, SHIM)
    grafted = elf.parse(image).loads()[-1]
    assert grafted.offset % elf.PAGE_BYTES == 0
    assert bytes(grafted.contents(image)) == b"\xcc" * 300


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "not a 64-bit"),
        (b"#!/bin/sh\n" + bytes(100), "not a 64-bit"),
        (program(GO_TEXT, kind=3), "fixed addresses"),
        (program(GO_TEXT, machine=183), "machine 183"),
        (program(b"\x90" * 64), "not a Go program"),
        (program(BUILD_INFO), "0 places"),
        (program(syscall_site.CODE * 2 + BUILD_INFO), "2 places"),
        (GO[:200], "outside the file"),
        (program(GO_TEXT, address=SHIM_ADDRESS), "taken"),
    ],
)
def test_what_is_not_a_known_go_program_is_refused(image: bytes, reason: str) -> None:
    with pytest.raises(elf.NotElf, match=reason):
        copy.make(image, SHIM)


@given(st.lists(st.tuples(st.integers(0, 119), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_headers_are_refused_or_harmless(damage: list[tuple[int, int]]) -> None:
    image = bytearray(GO)
    for at, value in damage:
        image[at] = value
    try:
        copied = copy.make(bytes(image), SHIM)
    except elf.NotElf:
        return
    assert len(copied) >= len(GO)
