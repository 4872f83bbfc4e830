//! From decision trees to classic BPF (`Documentation/networking/filter.rst`).
//!
//! Only forward jumps exist and a conditional one reaches 255 instructions, so every question is
//! compiled as "test; ja over; yes…; no…" where the far jump is an unconditional one (32-bit reach).

use super::rule::{Rule, Test, Word};

/// One instruction, laid out as the kernel's `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when the test holds.
    pub jump_true: u8,
    /// Instructions to skip when it does not.
    pub jump_false: u8,
    /// Operand.
    pub operand: u32,
}

/// `BPF_LD | BPF_W | BPF_ABS`.
pub const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`.
pub const AND: u16 = 0x54;
/// `BPF_JMP | BPF_JA`.
pub const JUMP: u16 = 0x05;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
pub const JUMP_EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGE | BPF_K`.
pub const JUMP_AT_LEAST: u16 = 0x35;
/// `BPF_JMP | BPF_JSET | BPF_K`.
pub const JUMP_ANY_BIT: u16 = 0x45;
/// `BPF_RET | BPF_K`.
pub const RETURN: u16 = 0x06;

/// `BPF_MAXINSNS` of the kernel.
pub const INSTRUCTIONS_MAX: usize = 4096;

fn plain(code: u16, operand: u32) -> Instruction {
    Instruction {
        code,
        jump_true: 0,
        jump_false: 0,
        operand,
    }
}

/// Compiles a tree.
///
/// # Panics
/// If the tree needs more than [`INSTRUCTIONS_MAX`] instructions; trees are constants, so a test finds that.
#[must_use]
pub fn assemble(tree: &Rule) -> Vec<Instruction> {
    let mut program = Vec::with_capacity(512);
    emit(tree, None, &mut program);
    assert!(
        program.len() <= INSTRUCTIONS_MAX,
        "filter has {} instructions",
        program.len()
    );
    program
}

/// `held` is the word that the accumulator holds unchanged on entry; it saves loads.
fn emit(rule: &Rule, held: Option<Word>, program: &mut Vec<Instruction>) {
    let (word, test, yes, no) = match rule {
        Rule::Then(action) => return program.push(plain(RETURN, action.encode())),
        Rule::If(word, test, yes, no) => (*word, *test, yes, no),
    };
    if held != Some(word) {
        program.push(plain(LOAD, word.offset()));
    }
    let mut holds = Some(word);
    let (code, operand) = match test {
        Test::Masked(u32::MAX, value) => (JUMP_EQUAL, value),
        Test::Masked(mask, value) => {
            program.push(plain(AND, mask));
            holds = None;
            (JUMP_EQUAL, value)
        }
        Test::AtLeast(value) => (JUMP_AT_LEAST, value),
        Test::AnyBit(mask) => (JUMP_ANY_BIT, mask),
    };
    let question = program.len();
    program.push(plain(code, operand));
    program.push(plain(JUMP, 0));
    emit(yes, holds, program);
    let distance = program.len() - question - 2;
    program[question].jump_false = 0;
    program[question].jump_true = 1;
    program[question + 1].operand = u32::try_from(distance).unwrap_or(u32::MAX);
    emit(no, holds, program);
}
