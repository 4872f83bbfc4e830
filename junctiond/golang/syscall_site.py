"""The one function through which a Go program of today makes its system calls, and the jump put in its place.

`Syscall6` of `internal/runtime/syscall` (Go 1.19 to 1.26, asm_linux_amd64.s; in 1.26 the package's last element is
`linux`). It is recognised by its whole machine code, so that a future Go with another one is left alone. The raw fork
and the runtime's own futex, signal and clock calls have instructions of their own and stay as they are.
"""

from junctiond.golang.elf import EXECUTABLE, NotElf, Program

# mov r10,rsi; mov rdx,rdi; mov rsi,rcx; mov rdi,rbx; syscall; cmp rax,-4095; jbe +21;
# neg rax; mov rcx,rax; mov rax,-1; mov rbx,0; ret; mov rbx,rdx; mov rcx,0; ret
CODE = bytes.fromhex(
    "4989f2 4889fa 4889ce 4889df 0f05 483d01f0ffff 7615"
    "48f7d8 4889c1 48c7c0ffffffff 48c7c300000000 c3"
    "4889d3 48c7c100000000 c3"
)
_BUILD_INFO = b"\xff Go buildinf:"
# movabs r11, imm64; jmp r11. Both registers are the callee's to use in Go's convention.
_LOAD_R11 = b"\x49\xbb"
_JUMP_R11 = b"\x41\xff\xe3"


def find(image: bytes, program: Program) -> int:
    """Offset in the file of the function's first byte.

    Raises:
        NotElf: not a Go program, or one of a Go that does it otherwise.
    """
    if _BUILD_INFO not in image:
        raise NotElf("not a Go program")
    found: list[int] = []
    for segment in program.loads():
        if not segment.flags & EXECUTABLE:
            continue
        end = segment.offset + segment.file_bytes
        at = image.find(CODE, segment.offset, end)
        while at >= 0:
            found.append(at)
            at = image.find(CODE, at + 1, end)
    if len(found) != 1:
        raise NotElf(f"its Go makes system calls in another way ({len(found)} places found)")
    return found[0]


def lead(image: bytearray, at: int, to: int) -> None:
    """Puts a jump to address `to` where the function began."""
    jump = _LOAD_R11 + to.to_bytes(8, "little") + _JUMP_R11
    image[at : at + len(jump)] = jump
