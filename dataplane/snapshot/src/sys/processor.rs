//! `cpuid`.

use std::arch::x86_64::{__cpuid_count, CpuidResult};

fn cpuid(leaf: u32, part: u32) -> CpuidResult {
    __cpuid_count(leaf, part)
}

/// Family, model and features, without what differs between cores or moments (the local APIC's id, bits of the system).
#[must_use]
pub fn words() -> Vec<u32> {
    const OSXSAVE: u32 = 1 << 27;
    const OSPKE: u32 = 1 << 4;
    let most = cpuid(0, 0).eax;
    let basic = cpuid(1, 0);
    let mut words = vec![most, basic.eax, basic.ecx & !OSXSAVE, basic.edx];
    if most >= 7 {
        let more = cpuid(7, 0);
        words.extend([more.ebx, more.ecx & !OSPKE, more.edx]);
    }
    if most >= 0xd {
        words.extend([cpuid(0xd, 0).ebx, cpuid(0xd, 1).eax]);
    }
    words
}

/// Where the state of an extended feature ends in an XSAVE area that is not compacted, in bytes.
#[must_use]
pub fn feature_end(feature: u32) -> usize {
    let found = cpuid(0xd, feature);
    (found.eax + found.ebx) as usize
}
