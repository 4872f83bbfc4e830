//! The descriptors of a stopped guest: which are there, and whether each can be made again.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{pidfd_open, Pid, PidfdFlags};

use crate::error::{unfit, Part, Refusal};
use crate::files::Root;
use crate::format::{Descriptor, Kind};
use crate::procfs;
use crate::remote::Remote;
use crate::sys::{peer, trace};
use crate::wires::{self, Wire};

/// Most descriptors of a program that is captured.
const DESCRIPTORS_MAX: usize = 256;
/// Highest number: the restorer keeps its own above.
pub const NUMBER_MAX: i32 = 500;
/// Devices that are the same in every sandbox.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];
/// What `F_SETFL` changes.
const STATUS: u32 =
    (libc::O_NONBLOCK | libc::O_APPEND | libc::O_ASYNC | libc::O_DIRECT | libc::O_NOATIME)
        .unsigned_abs();

/// A descriptor as `/proc` tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub number: i32,
    pub target: String,
    pub info: String,
    pub flags: u32,
}

impl Seen {
    pub(crate) fn access(&self) -> u32 {
        self.flags & libc::O_ACCMODE.unsigned_abs()
    }
}

/// Everything about the guest that the descriptors are looked up with.
pub(crate) struct Guest<'a> {
    pub remote: &'a mut Remote,
    pub root: &'a Root,
    pub pidfd: OwnedFd,
}

impl Guest<'_> {
    pub(crate) fn copy(&self, seen: &Seen) -> Result<OwnedFd, Refusal> {
        let copied = peer::copy(self.pidfd.as_fd(), seen.number);
        copied.part(|| format!("looking at its descriptor {}", seen.number))
    }
}

/// All descriptors from 3 on; the first three must be the sandbox's own.
///
/// # Errors
/// [`Refusal::Unfit`] names the first descriptor that cannot be made again.
pub fn take(remote: &mut Remote, root: &Root) -> Result<Vec<Descriptor>, Refusal> {
    let pid = remote.pid;
    let raw = Pid::from_raw(pid).ok_or_else(|| Refusal::Unfit("no process".to_owned()))?;
    let pidfd = pidfd_open(raw, PidfdFlags::empty()).part(|| "opening its pidfd")?;
    let all = list(pid)?;
    let mut guest = Guest {
        remote,
        root,
        pidfd,
    };
    let mut found: Vec<Descriptor> = Vec::new();
    let mut wires = Vec::new();
    let mut epolls = Vec::new();
    for seen in &all {
        if seen.number < 3 {
            standard(seen)?;
            continue;
        }
        let kind = match twin(pid, seen, &all)? {
            Some(earlier) => Kind::Same(earlier),
            None => kind(&mut guest, seen, &mut wires, &mut epolls)?,
        };
        found.push(Descriptor {
            number: seen.number,
            close_on_exec: seen.flags & libc::O_CLOEXEC.unsigned_abs() != 0,
            status: seen.flags & STATUS,
            kind,
        });
    }
    if !found
        .iter()
        .any(|one| matches!(one.kind, Kind::Listener { .. }))
    {
        return Err(Refusal::Restless("it does not listen yet".to_owned()));
    }
    wires::join(&guest, &wires, &mut found)?;
    for number in epolls {
        watches(&all, number, &mut found)?;
    }
    Ok(found)
}

fn list(pid: i32) -> Result<Vec<Seen>, Refusal> {
    let mut numbers = BTreeMap::new();
    let folder = format!("/proc/{pid}/fd");
    for entry in std::fs::read_dir(&folder).part(|| &folder)? {
        let name = entry.part(|| &folder)?.file_name();
        let number: Option<i32> = name.to_str().and_then(|name| name.parse().ok());
        let Some(number) = number else { continue };
        if numbers.len() == DESCRIPTORS_MAX || number > NUMBER_MAX {
            return unfit(format!(
                "it has more than {DESCRIPTORS_MAX} descriptors, or high ones"
            ));
        }
        let target = procfs::link(pid, &format!("fd/{number}"))?;
        let info = procfs::text(pid, &format!("fdinfo/{number}"))?;
        let flags = u32::from_str_radix(procfs::value(&info, "flags"), 8).unwrap_or(u32::MAX);
        numbers.insert(
            number,
            Seen {
                number,
                target,
                info,
                flags,
            },
        );
    }
    Ok(numbers.into_values().collect())
}

/// Standard input is nothing and the outputs are pipes of the log: so is every sandbox's.
fn standard(seen: &Seen) -> Result<(), Refusal> {
    let right = match seen.number {
        0 => seen.target == "/dev/null",
        _ => seen.target.starts_with("pipe:") || seen.target == "/dev/null",
    };
    if right && seen.flags & STATUS == 0 {
        return Ok(());
    }
    unfit(format!(
        "it changed descriptor {} to {}",
        seen.number, seen.target
    ))
}

/// An earlier descriptor of the same open file.
fn twin(pid: i32, seen: &Seen, all: &[Seen]) -> Result<Option<i32>, Refusal> {
    let earlier = all.iter().take_while(|one| one.number < seen.number);
    for one in earlier.filter(|one| one.target == seen.target) {
        let same = trace::same_file(pid, one.number, seen.number);
        if same.part(|| "comparing its descriptors (kcmp)")? {
            return Ok(Some(one.number));
        }
    }
    Ok(None)
}

fn kind(
    guest: &mut Guest<'_>,
    seen: &Seen,
    wires: &mut Vec<Wire>,
    epolls: &mut Vec<i32>,
) -> Result<Kind, Refusal> {
    let number = seen.number;
    match seen.target.as_str() {
        "anon_inode:[eventpoll]" => {
            epolls.push(number);
            Ok(Kind::Epoll(Vec::new()))
        }
        "anon_inode:[eventfd]" => {
            let count = procfs::value(&seen.info, "eventfd-count").trim();
            let count = u64::from_str_radix(count, 16).unwrap_or(0);
            Ok(Kind::Event(
                count,
                procfs::value(&seen.info, "eventfd-semaphore") == "1",
            ))
        }
        target if target.starts_with("pipe:") => {
            wires.push(wires::pipe(guest, seen)?);
            // Joined with its other end once all are known.
            Ok(Kind::Pipe {
                id: 0,
                write: seen.access() != 0,
            })
        }
        target if target.starts_with("socket:") => wires::socket(guest, seen, wires),
        target if target.starts_with('/') => file(guest.root, seen),
        target => unfit(format!("its descriptor {number} is {target}")),
    }
}

fn file(root: &Root, seen: &Seen) -> Result<Kind, Refusal> {
    let path = seen.target.as_str();
    let device = DEVICES.contains(&path);
    let reading = seen.access() == libc::O_RDONLY.unsigned_abs();
    if path.ends_with(" (deleted)") || (path.starts_with("/proc/") || path.starts_with("/sys/")) {
        return unfit(format!("it holds {path} open"));
    }
    if !device && !reading {
        return unfit(format!("it holds {path} open for writing"));
    }
    if path.starts_with("/dev/") && !device {
        return unfit(format!("it holds the device {path} open"));
    }
    let folder = seen.flags & libc::O_DIRECTORY.unsigned_abs() != 0;
    let same = if device || folder {
        None
    } else {
        Some(root.file(path)?)
    };
    let kept = libc::O_ACCMODE | libc::O_DIRECTORY | libc::O_PATH | libc::O_NOFOLLOW;
    Ok(Kind::File {
        path: path.to_owned(),
        flags: seen.flags & kept.unsigned_abs(),
        at: procfs::value(&seen.info, "pos").parse().unwrap_or(0),
        same,
    })
}

/// What an epoll set watches: `tfd: N events: HEX data: HEX pos:… ino:HEX sdev:HEX` (proc(5)).
fn watches(all: &[Seen], number: i32, found: &mut [Descriptor]) -> Result<(), Refusal> {
    let Some(seen) = all.iter().find(|one| one.number == number) else {
        return Ok(());
    };
    let mut watched = Vec::new();
    for line in seen.info.lines().filter(|line| line.starts_with("tfd:")) {
        let Some((target, events, data)) = watch(line) else {
            return unfit("an epoll set of it cannot be read");
        };
        if !all.iter().any(|one| one.number == target) {
            return unfit(format!(
                "an epoll set of it watches descriptor {target}, which is closed"
            ));
        }
        watched.push((target, events, data));
    }
    if let Some(descriptor) = found.iter_mut().find(|one| one.number == number) {
        descriptor.kind = Kind::Epoll(watched);
    }
    Ok(())
}

fn watch(line: &str) -> Option<(i32, u32, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |key: &str| {
        let at = words.iter().position(|word| *word == key)?;
        words.get(at + 1).copied()
    };
    Some((
        after("tfd:")?.parse().ok()?,
        u32::from_str_radix(after("events:")?, 16).ok()?,
        u64::from_str_radix(after("data:")?, 16).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(number: i32, target: &str, flags: i32) -> Seen {
        Seen {
            number,
            target: target.to_owned(),
            info: "pos:\t0\nflags:\t02\n".to_owned(),
            flags: flags.unsigned_abs(),
        }
    }

    #[test]
    fn an_epoll_entry_is_read() {
        let line = "tfd:        6 events: 80000019 data:                6  pos:0 ino:1 sdev:9";
        assert_eq!(watch(line), Some((6, 0x8000_0019, 6)));
        assert_eq!(watch("tfd: x"), None);
    }

    #[test]
    fn files_for_writing_and_kernel_files_are_refused() {
        let root = Root::of(i32::try_from(std::process::id()).expect("a pid")).expect("root");
        for (path, flags) in [
            ("/etc/passwd", libc::O_RDWR),
            ("/proc/1/status", libc::O_RDONLY),
            ("/tmp/x (deleted)", libc::O_RDONLY),
            ("/dev/tty", libc::O_RDONLY),
        ] {
            assert!(file(&root, &seen(3, path, flags)).is_err(), "{path}");
        }
        assert!(file(&root, &seen(3, "/etc/passwd", libc::O_RDONLY)).is_ok());
        assert!(file(&root, &seen(3, "/dev/null", libc::O_RDWR)).is_ok());
    }

    #[test]
    fn replaced_outputs_are_refused() {
        assert!(standard(&seen(1, "pipe:[7]", 1)).is_ok());
        assert!(standard(&seen(1, "/var/log/x", 1)).is_err());
        assert!(standard(&seen(0, "socket:[7]", 2)).is_err());
    }
}
