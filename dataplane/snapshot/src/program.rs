//! The steps from the restorer to the restored program, as a list of system calls. Pure.

use crate::format::{KernelMap, Map, Snapshot};
use crate::sys::jump::{Step, ANY, IGNORED, STORE};

/// End of the addresses that a program may have (x86-64, four-level tables).
pub const SPACE_END: u64 = 0x7fff_ffff_f000;
const ARCH_SET_GS: u64 = 0x1001;
const ARCH_SET_FS: u64 = 0x1002;
const MADV_POPULATE_WRITE: u64 = 23;
const GS_BASE: usize = 22;
const FS_BASE: usize = 21;

/// What the restorer knows at this moment.
#[derive(Clone, Debug)]
pub struct Present {
    /// Descriptor of the snapshot, and where its pages begin.
    pub pages: (u64, u64),
    /// Descriptors of the mapped files, by their index.
    pub files: Vec<u64>,
    /// The restorer's own descriptors are this one and higher.
    pub first_own: u64,
    /// The launchpad: first address and address behind its end.
    pub pad: (u64, u64),
    /// The kernel's mappings here.
    pub kernel_maps: Vec<KernelMap>,
    /// This thread's id.
    pub id: u32,
    /// Address of the prepared `struct prctl_mm_map`, and its length.
    pub space: (u64, u64),
    /// Address of the thread's name.
    pub name: u64,
    /// Addresses of the prepared actions, in the order of the snapshot's signals.
    pub actions: Vec<u64>,
}

/// A call whose every result but an error is right.
#[must_use]
pub fn call(number: libc::c_long, arguments: &[u64]) -> Step {
    let mut all = [0; 6];
    for (to, from) in all.iter_mut().zip(arguments) {
        *to = *from;
    }
    Step {
        number: number.unsigned_abs(),
        arguments: all,
        expected: ANY,
    }
}

fn exact(step: Step, expected: u64) -> Step {
    Step { expected, ..step }
}

/// Why there is no way: the two programs lie across each other, or the kernel's mappings differ.
pub type Obstacle = &'static str;

/// All steps but the last, which loads the registers.
///
/// # Errors
/// [`Obstacle`], rare: another try finds other addresses.
pub fn steps(snapshot: &Snapshot, present: &Present) -> Result<Vec<Step>, Obstacle> {
    let mut steps = Vec::with_capacity(64 + snapshot.maps.len() * 3);
    clear(snapshot, present, &mut steps)?;
    for map in &snapshot.maps {
        lay(map, present, &mut steps)?;
    }
    settle(snapshot, present, &mut steps);
    Ok(steps)
}

fn overlap(one: (u64, u64), other: (u64, u64)) -> bool {
    one.0 < other.1 && other.0 < one.1
}

/// Removes all of the restorer but the launchpad, and moves the kernel's mappings to where the program knows them.
fn clear(snapshot: &Snapshot, present: &Present, steps: &mut Vec<Step>) -> Result<(), Obstacle> {
    let here = &present.kernel_maps;
    let there = &snapshot.kernel_maps;
    let like = |one: &KernelMap, other: &KernelMap| {
        one.name == other.name && one.end - one.start == other.end - other.start
    };
    if here.len() != there.len() || !here.iter().zip(there).all(|(one, other)| like(one, other)) {
        return Err("the kernel's own mappings differ");
    }
    let taken = snapshot.maps.iter().map(|map| (map.start, map.end));
    let moved = there.iter().map(|map| (map.start, map.end));
    for range in taken.chain(moved) {
        if overlap(range, present.pad) || range.1 > SPACE_END {
            return Err("the launchpad is in the way");
        }
    }
    let mut kept: Vec<(u64, u64)> = here.iter().map(|map| (map.start, map.end)).collect();
    if there.iter().any(|map| {
        kept.iter()
            .any(|one| *one != (map.start, map.end) && overlap(*one, (map.start, map.end)))
    }) {
        return Err("the kernel's own mappings lie across each other");
    }
    kept.push(present.pad);
    kept.sort_unstable();
    let mut at = 0;
    for (start, end) in kept {
        if start > at {
            steps.push(call(libc::SYS_munmap, &[at, start - at]));
        }
        at = end;
    }
    if SPACE_END > at {
        steps.push(call(libc::SYS_munmap, &[at, SPACE_END - at]));
    }
    let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED)
        .unsigned_abs()
        .into();
    for (from, to) in here.iter().zip(there) {
        if from.start != to.start {
            let bytes = from.end - from.start;
            let step = call(
                libc::SYS_mremap,
                &[from.start, bytes, bytes, flags, to.start],
            );
            steps.push(exact(step, to.start));
        }
    }
    Ok(())
}

/// One mapping with its content.
fn lay(map: &Map, present: &Present, steps: &mut Vec<Step>) -> Result<(), Obstacle> {
    let bytes = map.end - map.start;
    let (descriptor, offset) = match map.file {
        None => (u64::MAX, 0),
        Some((index, offset)) => {
            let file = present
                .files
                .get(index as usize)
                .ok_or("a file is missing")?;
            (*file, offset)
        }
    };
    let write = libc::PROT_WRITE.unsigned_abs();
    let first = if map.fills.is_empty() {
        map.protection
    } else {
        map.protection | write
    };
    let flags = map.flags | libc::MAP_FIXED_NOREPLACE.unsigned_abs();
    let arguments = [
        map.start,
        bytes,
        first.into(),
        flags.into(),
        descriptor,
        offset,
    ];
    steps.push(exact(call(libc::SYS_mmap, &arguments), map.start));
    for advice in &map.advice {
        steps.push(call(
            libc::SYS_madvise,
            &[map.start, bytes, (*advice).into()],
        ));
    }
    let (pages, from) = present.pages;
    for fill in &map.fills {
        // All pages of a range at once instead of a fault for each (Linux 5.14); without it they come one by one.
        let populate = call(
            libc::SYS_madvise,
            &[fill.at, fill.bytes, MADV_POPULATE_WRITE],
        );
        steps.push(exact(populate, IGNORED));
        let step = call(
            libc::SYS_pread64,
            &[pages, fill.at, fill.bytes, from + fill.from],
        );
        steps.push(exact(step, fill.bytes));
    }
    if first != map.protection {
        steps.push(call(
            libc::SYS_mprotect,
            &[map.start, bytes, map.protection.into()],
        ));
    }
    Ok(())
}

/// What the kernel keeps about the thread and its memory. The last step lets go of the restorer's descriptors, which tells
/// the keeper that the program runs.
fn settle(snapshot: &Snapshot, present: &Present, steps: &mut Vec<Step>) {
    let thread = &snapshot.thread;
    let (at, bytes) = present.space;
    let set = |option: libc::c_int| u64::from(option.unsigned_abs());
    let space = [set(libc::PR_SET_MM), set(libc::PR_SET_MM_MAP), at, bytes];
    steps.push(call(libc::SYS_prctl, &space));
    steps.push(call(
        libc::SYS_prctl,
        &[set(libc::PR_SET_NAME), present.name],
    ));
    for (action, at) in snapshot.signals.iter().zip(&present.actions) {
        let signal = action.signal.unsigned_abs().into();
        steps.push(call(libc::SYS_rt_sigaction, &[signal, *at, 0, 8]));
    }
    for at in &thread.id_copies {
        steps.push(Step {
            number: STORE,
            arguments: [*at, present.id.into(), 0, 0, 0, 0],
            expected: ANY,
        });
    }
    steps.push(call(libc::SYS_set_tid_address, &[thread.id_address]));
    if thread.robust.0 != 0 {
        steps.push(call(
            libc::SYS_set_robust_list,
            &[thread.robust.0, thread.robust.1],
        ));
    }
    let (address, length, signature) = thread.sequences;
    if length != 0 {
        steps.push(call(
            libc::SYS_rseq,
            &[address, length.into(), 0, signature.into()],
        ));
    }
    let base = |index: usize| thread.registers.get(index).copied().unwrap_or(0);
    steps.push(call(libc::SYS_arch_prctl, &[ARCH_SET_FS, base(FS_BASE)]));
    if base(GS_BASE) != 0 {
        steps.push(call(libc::SYS_arch_prctl, &[ARCH_SET_GS, base(GS_BASE)]));
    }
    steps.push(call(
        libc::SYS_close_range,
        &[present.first_own, u32::MAX.into(), 0],
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Fill;

    fn kernels(start: u64) -> Vec<KernelMap> {
        vec![KernelMap {
            name: "[vdso]".to_owned(),
            start,
            end: start + 0x2000,
        }]
    }

    fn present() -> Present {
        Present {
            pages: (900, 0x3000),
            files: vec![901],
            first_own: 900,
            pad: (0x5000_0000, 0x5000_4000),
            kernel_maps: kernels(0x6000_0000),
            id: 2,
            space: (0x5000_1000, 104),
            name: 0x5000_1100,
            actions: vec![],
        }
    }

    fn snapshot() -> Snapshot {
        let fill = Fill {
            at: 0x10_0000,
            bytes: 0x1000,
            from: 0,
        };
        let map = Map {
            start: 0x10_0000,
            end: 0x10_2000,
            protection: 1,
            flags: 0x22,
            file: None,
            advice: vec![],
            fills: vec![fill],
        };
        Snapshot {
            maps: vec![map],
            kernel_maps: kernels(0x7000_0000),
            ..Snapshot::default()
        }
    }

    #[test]
    fn all_but_the_launchpad_goes_before_anything_comes() {
        let steps = steps(&snapshot(), &present()).expect("a way");
        let unmapped: Vec<(u64, u64)> = steps
            .iter()
            .filter(|step| step.number == libc::SYS_munmap.unsigned_abs())
            .map(|step| (step.arguments[0], step.arguments[0] + step.arguments[1]))
            .collect();
        let expected = [
            (0, 0x5000_0000),
            (0x5000_4000, 0x6000_0000),
            (0x6000_2000, SPACE_END),
        ];
        assert_eq!(unmapped, expected);
        let first_map = steps
            .iter()
            .position(|step| step.number == libc::SYS_mmap.unsigned_abs());
        let moved = steps
            .iter()
            .position(|step| step.number == libc::SYS_mremap.unsigned_abs());
        assert!(first_map > moved && moved >= Some(3));
    }

    #[test]
    fn read_only_memory_is_filled_before_it_is_closed() {
        let steps = steps(&snapshot(), &present()).expect("a way");
        let numbers: Vec<u64> = steps.iter().map(|step| step.number).collect();
        let at = numbers
            .iter()
            .position(|n| *n == libc::SYS_mmap.unsigned_abs())
            .expect("map");
        assert_eq!(steps[at].arguments[2], 3, "writable while it is filled");
        assert_eq!(numbers[at + 1], libc::SYS_madvise.unsigned_abs());
        assert_eq!(numbers[at + 2], libc::SYS_pread64.unsigned_abs());
        assert_eq!(numbers[at + 3], libc::SYS_mprotect.unsigned_abs());
        assert_eq!(steps[at + 3].arguments[2], 1);
    }

    #[test]
    fn a_launchpad_in_the_way_is_told() {
        let mut snapshot = snapshot();
        snapshot.maps[0].start = 0x5000_3000;
        snapshot.maps[0].end = 0x5000_5000;
        assert!(steps(&snapshot, &present()).is_err());
        snapshot.kernel_maps.clear();
        assert!(steps(&snapshot, &present()).is_err());
    }
}
