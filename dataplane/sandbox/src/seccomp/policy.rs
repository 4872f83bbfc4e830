//! The whole decision: architecture, number, then the arguments of that call.

use std::collections::BTreeMap;

use super::allow;
use super::notify;
use super::rule::{at_least, equals, errno, Rule, Word, ALLOW};

/// `AUDIT_ARCH_*` of this machine's native entry.
#[cfg(target_arch = "x86_64")]
pub const NATIVE_ARCH: u32 = 0xc000_003e;
/// `AUDIT_ARCH_*` of this machine's native entry.
#[cfg(target_arch = "aarch64")]
pub const NATIVE_ARCH: u32 = 0xc000_00b7;

/// The x32 bit of a call number.
pub const X32_BIT: u32 = 0x4000_0000;

/// The rule of every call that is not simply refused.
#[must_use]
pub fn rules() -> BTreeMap<u32, Rule> {
    let always = allow::ALWAYS
        .iter()
        .chain(allow::LEGACY)
        .map(|number| (*number, ALLOW));
    let rows = always.chain(allow::conditional()).chain(notify::rows());
    rows.filter_map(|(number, rule)| Some((u32::try_from(number).ok()?, rule)))
        .collect()
}

/// The tree behind the filter. Entries of other architectures (`int 0x80`) and the x32 entry see numbers of
/// another table, so they are closed before any number is looked at.
#[must_use]
pub fn tree() -> Rule {
    let rules = rules();
    let numbers = by_number(&ranges(&rules));
    let native = at_least(Word::Number, X32_BIT, errno(libc::ENOSYS), numbers);
    equals(Word::Arch, NATIVE_ARCH, native, errno(libc::ENOSYS))
}

/// Neighbouring numbers with the same rule, each as (first number, rule); the last range has no end.
fn ranges(rules: &BTreeMap<u32, Rule>) -> Vec<(u32, Rule)> {
    let mut ranges: Vec<(u32, Rule)> = Vec::new();
    for number in 0..=allow::KNOWN_MAX + 1 {
        let rule = match rules.get(&number) {
            Some(rule) => rule.clone(),
            None if number > allow::KNOWN_MAX => errno(libc::ENOSYS),
            None => errno(libc::EPERM),
        };
        if ranges.last().is_none_or(|(_, last)| *last != rule) {
            ranges.push((number, rule));
        }
    }
    ranges
}

/// Binary search over the ranges.
fn by_number(ranges: &[(u32, Rule)]) -> Rule {
    match ranges {
        [] => errno(libc::ENOSYS),
        [(_, rule)] => rule.clone(),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            at_least(Word::Number, high[0].0, by_number(high), by_number(low))
        }
    }
}
