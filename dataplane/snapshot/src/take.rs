//! Taking a snapshot: one stopped guest, from outside, into one file.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::census;
use crate::error::{unfit, Part, Refusal};
use crate::files::Root;
use crate::fingerprint::fingerprint;
use crate::format::{Map, Snapshot, PAGE_BYTES};
use crate::maps::{self, Area};
use crate::outfit::{self, Baseline};
use crate::pages::{Copier, PageMap};
use crate::procfs;
use crate::remote::Remote;
use crate::traces::{self, Layer};

/// Flags of mappings that say nothing that must be carried (proc(5), `VmFlags`).
const PLAIN: [&str; 12] = [
    "rd", "wr", "ex", "sh", "mr", "mw", "me", "ms", "sd", "ac", "gd", "nr",
];
/// Flags that an advice gives again.
const ADVICE: [(&str, libc::c_int); 5] = [
    ("dd", libc::MADV_DONTDUMP),
    ("dc", libc::MADV_DONTFORK),
    ("hg", libc::MADV_HUGEPAGE),
    ("nh", libc::MADV_NOHUGEPAGE),
    ("wf", libc::MADV_WIPEONFORK),
];
/// Flags of the kernel's own mappings which keep them from being moved.
const SEALED: &str = "sl";

/// What to capture and where to.
#[derive(Debug)]
pub struct Request<'a> {
    /// The program's process on the host.
    pub pid: i32,
    /// What it was given.
    pub baseline: &'a Baseline,
    /// The sandbox's writable layer, to see what the start left behind; `None` outside of a sandbox.
    pub layer: Option<&'a Layer>,
    /// The file, replaced by rename.
    pub file: &'a Path,
    /// Most bytes of memory.
    pub bytes_max: u64,
}

/// A snapshot that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Memory in it, in bytes.
    pub bytes: u64,
}

/// Captures a guest that waits for its first connection. It goes on waiting afterwards.
///
/// # Errors
/// [`Refusal`]; no file is left then.
pub fn take(request: &Request<'_>) -> Result<Taken, Refusal> {
    let mut remote = Remote::stop(request.pid)?;
    let done = capture(request, &mut remote);
    remote.resume();
    done
}

fn capture(request: &Request<'_>, remote: &mut Remote) -> Result<Taken, Refusal> {
    let pid = request.pid;
    request.baseline.check(pid)?;
    let root = Root::of(pid)?;
    if let Some(layer) = request.layer {
        traces::check(&root, layer)?;
    }
    // Before the first call in its name, which needs a page of its own.
    let areas = maps::parse(&procfs::text(pid, "smaps")?)?;
    let mut snapshot = Snapshot {
        fingerprint: fingerprint().part(|| "the machine's fingerprint")?,
        folder: procfs::link(pid, "cwd")?,
        umask: outfit::umask(pid)?,
        ..Snapshot::default()
    };
    for area in &areas {
        if area.is_kernels() {
            if area.has(SEALED) {
                return unfit("this kernel seals its own mappings, which then cannot be moved");
            }
            snapshot.kernel_maps.push(area.as_kernels());
        } else {
            let map = describe(area, &root, &mut snapshot)?;
            snapshot.maps.push(map);
        }
    }
    snapshot.space = outfit::space(remote)?;
    outfit::questions(remote)?;
    snapshot.signals = outfit::signals(remote)?;
    snapshot.thread = outfit::thread(remote, &areas)?;
    snapshot.descriptors = census::take(remote, &root)?;
    store(request, remote, &areas, snapshot)
}

fn describe(area: &Area, root: &Root, snapshot: &mut Snapshot) -> Result<Map, Refusal> {
    let named = if area.name.is_empty() {
        "memory"
    } else {
        area.name.as_str()
    };
    if area.name.starts_with('[')
        && !["[heap]", "[stack]"].contains(&named)
        && !named.starts_with("[anon:")
    {
        return unfit(format!("it maps {named}"));
    }
    let mut advice = Vec::new();
    for flag in &area.flags {
        if let Some((_, value)) = ADVICE.iter().find(|(name, _)| name == flag) {
            advice.push(value.unsigned_abs());
        } else if !PLAIN.contains(&flag.as_str()) {
            return unfit(format!("its mapping of {named} has the flag {flag}"));
        }
    }
    let is_file = area.name.starts_with('/');
    if area.shared
        && (!is_file || area.protection & libc::PROT_WRITE.unsigned_abs() != 0 || area.has("mw"))
    {
        return unfit(format!("it shares {named}"));
    }
    let file = if is_file {
        Some((file_index(&area.name, root, snapshot)?, area.offset))
    } else {
        None
    };
    let flag = |set, value: libc::c_int| if set { value.unsigned_abs() } else { 0 };
    Ok(Map {
        start: area.start,
        end: area.end,
        protection: area.protection,
        flags: flag(area.shared, libc::MAP_SHARED)
            | flag(!area.shared, libc::MAP_PRIVATE)
            | flag(!is_file, libc::MAP_ANONYMOUS)
            | flag(area.has("gd"), libc::MAP_GROWSDOWN)
            | flag(area.has("nr"), libc::MAP_NORESERVE),
        file,
        advice,
        fills: Vec::new(),
    })
}

fn file_index(path: &str, root: &Root, snapshot: &mut Snapshot) -> Result<u32, Refusal> {
    let known = snapshot.files.iter().position(|file| file.path == path);
    let index = match known {
        Some(index) => index,
        None => {
            if path.ends_with(" (deleted)") {
                return unfit(format!("it maps {path}"));
            }
            let file = root.file(path)?;
            snapshot.files.push(file);
            snapshot.files.len() - 1
        }
    };
    Ok(u32::try_from(index).unwrap_or(u32::MAX))
}

/// Memory goes to a file of its own first: the description, which comes before it, tells where each page went.
fn store(
    request: &Request<'_>,
    remote: &Remote,
    areas: &[Area],
    mut snapshot: Snapshot,
) -> Result<Taken, Refusal> {
    let fresh = beside(request.file, "new");
    let heap = beside(request.file, "pages");
    let result = write_both(request, remote, areas, &mut snapshot, &fresh, &heap);
    let _ = fs::remove_file(&heap);
    if result.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    result
}

fn write_both(
    request: &Request<'_>,
    remote: &Remote,
    areas: &[Area],
    snapshot: &mut Snapshot,
    fresh: &Path,
    heap: &Path,
) -> Result<Taken, Refusal> {
    let mut pages = create(heap)?;
    let table = PageMap::open(request.pid)?;
    let mut copier = Copier::new(&mut pages, request.bytes_max);
    let guests = areas.iter().filter(|area| !area.is_kernels());
    for (area, map) in guests.zip(&mut snapshot.maps) {
        // Memory that a fork would lose is lost: random number generators notice forks by it.
        let wiped = map.advice.contains(&libc::MADV_WIPEONFORK.unsigned_abs());
        if area.shared || wiped {
            continue;
        }
        let ranges = table.own(area)?;
        map.fills = copier.copy(remote, &ranges, map.file.is_none())?;
    }
    let bytes = copier.written();
    let mut target = create(fresh)?;
    let from = snapshot
        .write(&mut target)
        .part(|| "writing the description")?;
    let mut buffer = vec![0; 256 * PAGE_BYTES];
    let mut at = 0;
    while at < bytes {
        let length = usize::try_from(bytes - at)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        pages
            .read_exact_at(&mut buffer[..length], at)
            .part(|| "reading pages back")?;
        target
            .write_all_at(&buffer[..length], from + at)
            .part(|| "writing pages")?;
        at += length as u64;
    }
    fs::rename(fresh, request.file).part(|| "naming the snapshot")?;
    Ok(Taken { bytes })
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Readable by root alone: the memory of a function holds its secrets.
fn create(path: &Path) -> Result<File, Refusal> {
    let _ = fs::remove_file(path);
    let opened = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    opened.part(|| format!("creating {}", path.display()))
}
