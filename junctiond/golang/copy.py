"""A copy of a Go program whose system calls pass by the shim."""

from junctiond.golang import elf, syscall_site


def make(original: bytes, shim: bytes) -> bytes:
    """The copy.

    Args:
        original: the program's file.
        shim: the file of `jgo` (dataplane/goshim); its entry is where the calls go.

    Raises:
        NotElf: the program is not a static Go program for x86-64 of a known kind, or the shim's addresses are taken.
    """
    program = elf.parse(original)
    guest = elf.parse(shim)
    at = syscall_site.find(original, program)
    for mine in guest.loads():
        for theirs in program.loads():
            if (
                mine.address < theirs.address + theirs.memory_bytes
                and theirs.address < mine.address + mine.memory_bytes
            ):
                raise elf.NotElf("the addresses that the shim needs are taken")
    image = bytearray(original)
    syscall_site.lead(image, at, guest.entry)
    elf.graft(image, program, shim, guest.loads())
    return bytes(image)
