//! An interpreter of the subset of classic BPF that [`super::assembler`] emits.
//!
//! It is the oracle of the tests and of `jsandbox check`; the kernel runs the real thing.

use super::assembler as bpf;
use super::assembler::Instruction;

/// What a filter sees (`struct seccomp_data`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Number of the call.
    pub number: u32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Arguments.
    pub arguments: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> Option<u32> {
        match offset {
            0 => Some(self.number),
            4 => Some(self.arch),
            16..=60 if offset % 4 == 0 => {
                let argument = *self
                    .arguments
                    .get(usize::try_from((offset - 16) / 8).ok()?)?;
                let shift = if offset % 8 == 0 { 0 } else { 32 };
                u32::try_from((argument >> shift) & 0xffff_ffff).ok()
            }
            _ => None,
        }
    }
}

/// Runs a program; `None` if it is malformed (leaves the program, unknown code, bad load).
#[must_use]
pub fn run(program: &[Instruction], call: &Call) -> Option<u32> {
    let (mut at, mut accumulator) = (0_usize, 0_u32);
    loop {
        let instruction = program.get(at)?;
        at += 1;
        let operand = instruction.operand;
        let holds = match instruction.code {
            bpf::LOAD => {
                accumulator = call.word(operand)?;
                continue;
            }
            bpf::AND => {
                accumulator &= operand;
                continue;
            }
            bpf::JUMP => {
                at = at.checked_add(usize::try_from(operand).ok()?)?;
                continue;
            }
            bpf::RETURN => return Some(operand),
            bpf::JUMP_EQUAL => accumulator == operand,
            bpf::JUMP_AT_LEAST => accumulator >= operand,
            bpf::JUMP_ANY_BIT => accumulator & operand != 0,
            _ => return None,
        };
        at += usize::from(if holds {
            instruction.jump_true
        } else {
            instruction.jump_false
        });
    }
}
