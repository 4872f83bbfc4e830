//! The system call filter: which calls run natively, which are answered by jnetd, which are refused.
//!
//! * [`notify`] is the contract with the supervisor: one row per call that it has to answer.
//! * [`allow`] lists the calls that run natively.
//! * [`policy`] joins both and the refusals into one decision tree.
//! * [`assembler`] turns the tree into classic BPF; [`machine`] interprets that for the tests.

pub mod allow;
pub mod assembler;
pub mod machine;
pub mod notify;
pub mod policy;
pub mod rule;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tree_tests;

use std::sync::OnceLock;

/// The program that every payload gets, ready to install.
#[must_use]
pub fn program() -> &'static [assembler::Instruction] {
    static PROGRAM: OnceLock<Vec<assembler::Instruction>> = OnceLock::new();
    PROGRAM.get_or_init(|| assembler::assemble(&policy::tree()))
}
