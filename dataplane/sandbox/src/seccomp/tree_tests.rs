//! The compiled program against its tree, for any tree and any call.

use proptest::prelude::*;

use super::assembler::assemble;
use super::machine::{run, Call};
use super::policy::{self, NATIVE_ARCH};
use super::rule::{Action, Rule, Test, Word};

const ALLOW: Action = Action::Allow;
const NOTIFY: Action = Action::Notify;
const I386: u32 = 0x4000_0003;

/// An evaluator of trees that shares no code with the assembler.
fn decide(rule: &Rule, call: &Call) -> Action {
    match rule {
        Rule::Then(action) => *action,
        Rule::If(word, test, yes, no) => {
            let half = |argument: u8, shift: u32| {
                let value = call.arguments[usize::from(argument)] >> shift;
                u32::try_from(value % (1 << 32)).expect("32 bits")
            };
            let value = match word {
                Word::Number => call.number,
                Word::Arch => call.arch,
                Word::Low(argument) => half(*argument, 0),
                Word::High(argument) => half(*argument, 32),
            };
            let holds = match test {
                Test::Masked(mask, wanted) => value & mask == *wanted,
                Test::AtLeast(bound) => value >= *bound,
                Test::AnyBit(mask) => value & mask != 0,
            };
            decide(if holds { yes } else { no }, call)
        }
    }
}

fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..40,
        500_u64..530,
        0x8900_u64..0x8a00,
        Just(0),
        any::<u64>(),
        (0_u64..8).prop_map(|n| n << 32)
    ]
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        Just(Word::Number),
        Just(Word::Arch),
        (0_u8..6).prop_map(Word::Low),
        (0_u8..6).prop_map(Word::High)
    ]
}

fn question() -> impl Strategy<Value = Test> {
    let small = || prop_oneof![0_u32..8, any::<u32>()];
    prop_oneof![
        (prop_oneof![Just(u32::MAX), small()], small())
            .prop_map(|(mask, value)| Test::Masked(mask, value)),
        small().prop_map(Test::AtLeast),
        small().prop_map(Test::AnyBit),
    ]
}

/// Trees deep and wide enough that jumps pass 255 instructions.
fn any_tree() -> impl Strategy<Value = Rule> {
    let leaf = prop_oneof![
        Just(ALLOW),
        Just(NOTIFY),
        (0_u16..200).prop_map(Action::Errno)
    ]
    .prop_map(Rule::Then);
    leaf.prop_recursive(10, 600, 2, |inner| {
        (word(), question(), inner.clone(), inner)
            .prop_map(|(word, test, yes, no)| Rule::If(word, test, Box::new(yes), Box::new(no)))
    })
}

proptest! {
    #[test]
    fn any_tree_is_compiled_to_what_it_means(
        tree in any_tree(),
        numbers in proptest::array::uniform2(prop_oneof![0_u32..8, any::<u32>()]),
        arguments in proptest::array::uniform6(prop_oneof![0_u64..8, any::<u64>()]),
    ) {
        let call = Call { number: numbers[0], arch: numbers[1], arguments };
        prop_assert_eq!(run(&assemble(&tree), &call), Some(decide(&tree, &call).encode()));
    }

    #[test]
    fn the_compiled_program_decides_as_the_tree(
        number in prop_oneof![0_u32..500, any::<u32>()],
        arch in prop_oneof![5 => Just(NATIVE_ARCH), 1 => Just(I386), 1 => any::<u32>()],
        arguments in proptest::array::uniform6(argument()),
    ) {
        let tree = policy::tree();
        let call = Call { number, arch, arguments };
        prop_assert_eq!(run(&assemble(&tree), &call), Some(decide(&tree, &call).encode()));
    }
}
