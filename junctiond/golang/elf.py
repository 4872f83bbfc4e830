"""As much of ELF as grafting segments into a program needs (64 bit, little endian; gABI chapters 4 and 5)."""

import struct
from dataclasses import dataclass, replace

PAGE_BYTES = 4096
LOAD = 1
PROGRAM_HEADERS = 6
INTERPRETER = 3
EXECUTABLE = 1
_EXEC = 2
_AMD64 = 62
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_MAGIC = b"\x7fELF\x02\x01\x01"
_SEGMENTS_MAX = 64


class NotElf(Exception):
    """Not a program of the kind that is asked for; the message says what it is instead."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One program header; sizes and addresses in bytes."""

    kind: int
    flags: int
    offset: int
    address: int
    file_bytes: int
    memory_bytes: int
    alignment: int

    def contents(self, image: bytes | bytearray | memoryview) -> memoryview:
        """What the file holds of it."""
        return memoryview(image)[self.offset : self.offset + self.file_bytes]

    def _pack(self) -> bytes:
        return _SEGMENT.pack(
            self.kind,
            self.flags,
            self.offset,
            self.address,
            self.address,
            self.file_bytes,
            self.memory_bytes,
            self.alignment,
        )


@dataclass(frozen=True, slots=True)
class Program:
    """A program with fixed addresses, as its headers tell."""

    entry: int
    segments: tuple[Segment, ...]

    def loads(self) -> tuple[Segment, ...]:
        """What is mapped when it starts."""
        return tuple(segment for segment in self.segments if segment.kind == LOAD)


def parse(image: bytes) -> Program:
    """Reads the headers of an x86-64 program with fixed addresses and no interpreter.

    Raises:
        NotElf: it is something else, or its headers point outside of it.
    """
    if len(image) < _HEADER.size or not image.startswith(_MAGIC):
        raise NotElf("not a 64-bit little-endian ELF file")
    (_, kind, machine, _, entry, table, _, _, _, size, count, _, _, _) = _HEADER.unpack_from(image)
    if machine != _AMD64:
        raise NotElf(f"made for machine {machine}, not for x86-64")
    if kind != _EXEC:
        raise NotElf("not a program with fixed addresses")
    if size != _SEGMENT.size or not 0 < count <= _SEGMENTS_MAX:
        raise NotElf("its table of segments is malformed")
    if table + count * size > len(image):
        raise NotElf("its table of segments lies outside the file")
    segments = tuple(_segment(image, table + number * size) for number in range(count))
    if any(segment.kind == INTERPRETER for segment in segments):
        raise NotElf("it is dynamic: the preloaded library serves it")
    return Program(entry, segments)


def _segment(image: bytes, at: int) -> Segment:
    kind, flags, offset, address, _, file_bytes, memory_bytes, alignment = _SEGMENT.unpack_from(
        image, at
    )
    if kind == LOAD and (offset + file_bytes > len(image) or memory_bytes < file_bytes):
        raise NotElf("a segment lies outside the file")
    return Segment(kind, flags, offset, address, file_bytes, memory_bytes, alignment)


def graft(image: bytearray, program: Program, guest: bytes, segments: tuple[Segment, ...]) -> None:
    """Appends segments of another image to a program, in place; they keep their addresses.

    The table of segments moves to the end of the file, where it has room to grow. `PT_PHDR`, which would have to be
    mapped, is left out: the kernel does without it, and a static program has no loader that would look.
    """
    kept = [segment for segment in program.segments if segment.kind != PROGRAM_HEADERS]
    for segment in segments:
        _pad(image)
        placed = replace(segment, offset=len(image), alignment=PAGE_BYTES)
        if placed.address % PAGE_BYTES:
            raise NotElf("a segment to graft does not begin at a page")
        image += segment.contents(guest)
        kept.append(placed)
    _pad(image)
    table = len(image)
    loads_last = sorted(kept, key=lambda segment: (segment.kind == LOAD, segment.address))
    for segment in loads_last:
        image += segment._pack()
    header = list(_HEADER.unpack_from(image))
    header[5], header[10] = table, len(loads_last)
    # The section headers stay where they are: debuggers find the original's symbols.
    _HEADER.pack_into(image, 0, *header)


def _pad(image: bytearray) -> None:
    image += bytes(-len(image) % PAGE_BYTES)
