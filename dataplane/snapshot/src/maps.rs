//! `/proc/PID/smaps`: what is mapped and how (proc(5)). Pure.

use crate::error::{unfit, Refusal};
use crate::format::KernelMap;

/// Most mappings of a program that is captured.
pub const MAPS_MAX: usize = 4096;
/// Most bytes mapped; more would take long to look through.
pub const MAPPED_BYTES_MAX: u64 = 16 << 30;

/// One mapping as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// First address.
    pub start: u64,
    /// Address behind its end.
    pub end: u64,
    /// `PROT_*`.
    pub protection: u32,
    /// `MAP_SHARED`.
    pub shared: bool,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Path of a file, or a name in brackets, or nothing.
    pub name: String,
    /// Inode; 0 for anonymous memory.
    pub inode: u64,
    /// Two-letter flags.
    pub flags: Vec<String>,
}

impl Area {
    /// Whether a flag of `VmFlags` is set.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|one| one == flag)
    }

    /// Whether the kernel itself made it, as it does in every program.
    #[must_use]
    pub fn is_kernels(&self) -> bool {
        self.name.starts_with("[vvar") || self.name == "[vdso]"
    }

    /// As the description has it.
    #[must_use]
    pub fn as_kernels(&self) -> KernelMap {
        KernelMap {
            name: self.name.clone(),
            start: self.start,
            end: self.end,
        }
    }
}

/// Reads the whole file; the page of `vsyscall`, which is no mapping, is left out.
///
/// # Errors
/// [`Refusal::Unfit`] when there is more than a snapshot may hold, or a line that does not parse.
pub fn parse(text: &str) -> Result<Vec<Area>, Refusal> {
    let mut areas: Vec<Area> = Vec::new();
    for line in text.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            if let Some(last) = areas.last_mut() {
                last.flags = flags.split_whitespace().map(str::to_owned).collect();
            }
        } else if let Some(area) = head(line) {
            if areas.len() == MAPS_MAX {
                return unfit(format!("it has more than {MAPS_MAX} mappings"));
            }
            areas.push(area);
        }
    }
    areas.retain(|area| area.name != "[vsyscall]");
    if areas.is_empty() || areas.iter().any(|area| area.flags.is_empty()) {
        return unfit("its mappings cannot be read");
    }
    if areas.windows(2).any(|pair| pair[0].end > pair[1].start) {
        return unfit("its mappings overlap");
    }
    let mapped: u64 = areas.iter().map(|area| area.end - area.start).sum();
    if mapped > MAPPED_BYTES_MAX {
        return unfit(format!("it maps more than {} GiB", MAPPED_BYTES_MAX >> 30));
    }
    Ok(areas)
}

/// The first line of an entry; other lines begin with a key and a colon.
fn head(line: &str) -> Option<Area> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let (start, end) = (hex(start)?, hex(end)?);
    let mut words = rest.splitn(4, ' ');
    let (rights, offset, _device) = (words.next()?.as_bytes(), words.next()?, words.next()?);
    let rest = words.next()?;
    let (inode, name) = rest.split_once(' ').unwrap_or((rest, ""));
    let right = |at: usize, letter, value: i32| {
        if rights.get(at) == Some(&letter) {
            value.unsigned_abs()
        } else {
            0
        }
    };
    let protection = right(0, b'r', libc::PROT_READ)
        | right(1, b'w', libc::PROT_WRITE)
        | right(2, b'x', libc::PROT_EXEC);
    (start < end).then_some(Area {
        start,
        end,
        protection,
        shared: rights.get(3) == Some(&b's'),
        offset: hex(offset)?,
        name: name.trim_start().to_owned(),
        inode: inode.parse().ok()?,
        flags: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "\
00400000-00401000 r-xp 00001000 fe:00 18500                              /usr/bin/a b
Size:                  4 kB
VmFlags: rd ex mr mw me sd
7ffc0000-7ffd0000 rw-p 00000000 00:00 0                                  [stack]
VmFlags: rd wr mr mw me gd ac
7ffe0000-7ffe2000 r-xp 00000000 00:00 0                                  [vdso]
VmFlags: rd ex mr mw me de sd
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
VmFlags: ex
";

    #[test]
    fn entries_are_read() {
        let areas = parse(TEXT).expect("valid");
        assert_eq!(areas.len(), 3);
        assert_eq!(
            (areas[0].name.as_str(), areas[0].offset),
            ("/usr/bin/a b", 0x1000)
        );
        assert_eq!(areas[0].protection, 5);
        assert!(areas[1].has("gd") && !areas[1].shared && areas[2].is_kernels());
    }

    #[test]
    fn more_than_may_be_is_refused() {
        let huge = "1000-7fffffff0000 rw-p 00000000 00:00 0 \nVmFlags: rd\n";
        assert!(parse(huge).is_err());
        assert!(parse("").is_err());
        let overlap =
            "1000-3000 rw-p 0 00:00 0 \nVmFlags: rd\n2000-4000 rw-p 0 00:00 0 \nVmFlags: rd\n";
        assert!(parse(overlap).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-f: \\-rwxps\n\\[\\]]{0,300}") {
            let _ = parse(&text);
        }
    }
}
