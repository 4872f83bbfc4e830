//! The restorer's first half, while it is still an ordinary program: descriptors, files, folder.

use std::collections::HashMap;
use std::fmt::Display;
use std::io;

use crate::census::NUMBER_MAX;
use crate::format::{Descriptor, File, Kind, Snapshot};
use crate::sys::descriptor as sys;

/// The restorer's own descriptors are this one and higher: none of a snapshot's are.
pub const FIRST_OWN: i32 = NUMBER_MAX + 12;

/// Why it cannot go on.
pub type Failure = String;

fn named<T>(result: io::Result<T>, what: impl Display) -> Result<T, Failure> {
    result.map_err(|error| format!("{what}: {error}"))
}

/// Makes every descriptor of the snapshot, and takes over its folder and creation mask.
///
/// # Errors
/// [`Failure`] in words.
pub fn rebuild(snapshot: &Snapshot) -> Result<(), Failure> {
    named(
        std::env::set_current_dir(&snapshot.folder),
        &snapshot.folder,
    )?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(snapshot.umask & 0o777));
    let mut made: HashMap<i32, i32> = HashMap::new();
    let mut wires: HashMap<(u64, bool), i32> = HashMap::new();
    for one in &snapshot.descriptors {
        if !(3..=NUMBER_MAX).contains(&one.number) || one.status > i32::MAX.unsigned_abs() {
            return Err(format!("descriptor {} is out of range", one.number));
        }
        let source = match &one.kind {
            Kind::Same(earlier) if *earlier < 3 => *earlier,
            Kind::Same(earlier) => *made.get(earlier).ok_or("a descriptor has no origin")?,
            kind => {
                let fresh = named(
                    make(kind, &mut wires),
                    format_args!("descriptor {}", one.number),
                )?;
                named(sys::lift(fresh, FIRST_OWN), "lifting a descriptor")?
            }
        };
        made.insert(one.number, source);
    }
    for one in &snapshot.descriptors {
        let what = || format!("placing descriptor {}", one.number);
        let source = made.get(&one.number).copied().unwrap_or(-1);
        named(sys::place(source, one.number, one.close_on_exec), what())?;
        if !matches!(one.kind, Kind::Same(_)) {
            named(sys::set_status(one.number, one.status), what())?;
        }
    }
    for source in made.into_values().filter(|source| *source >= FIRST_OWN) {
        // Several numbers may share a source: closing it twice is harmless, nothing is opened in between.
        let _ = sys::close(source);
    }
    snapshot.descriptors.iter().try_for_each(watch)
}

fn make(kind: &Kind, wires: &mut HashMap<(u64, bool), i32>) -> io::Result<i32> {
    match kind {
        Kind::Same(_) => Err(io::ErrorKind::InvalidData.into()),
        Kind::File {
            path,
            flags,
            at,
            same,
        } => {
            let opened = sys::open(path, *flags)?;
            if let Some(same) = same {
                check(same, opened)?;
                sys::seek(opened, *at)?;
            }
            Ok(opened)
        }
        Kind::Listener {
            family,
            address,
            backlog,
            options,
        } => sys::listener(*family, address, *backlog, options),
        Kind::Epoll(_) => sys::epoll(),
        Kind::Event(count, semaphore) => sys::event(*count, *semaphore),
        Kind::Pipe { id, write } => end(wires, *id, *write, sys::pipe),
        // Pipes are named by inodes and pairs by small numbers of our own: these never meet.
        Kind::Pair {
            id,
            kind,
            end: index,
        } => end(wires, *id, *index == 1, || sys::pair(*kind)),
    }
}

/// One end of a pair that is made when its first end is asked for.
fn end(
    wires: &mut HashMap<(u64, bool), i32>,
    id: u64,
    second: bool,
    make: impl FnOnce() -> io::Result<[i32; 2]>,
) -> io::Result<i32> {
    if let Some(end) = wires.remove(&(id, second)) {
        return Ok(end);
    }
    let [mut first, mut other] = make()?;
    first = sys::lift(first, FIRST_OWN)?;
    other = sys::lift(other, FIRST_OWN)?;
    let (asked, kept) = if second {
        (other, first)
    } else {
        (first, other)
    };
    wires.insert((id, !second), kept);
    Ok(asked)
}

fn watch(one: &Descriptor) -> Result<(), Failure> {
    let Kind::Epoll(watched) = &one.kind else {
        return Ok(());
    };
    for (descriptor, events, data) in watched {
        let done = sys::watch(one.number, *descriptor, *events, *data);
        named(done, format_args!("watching descriptor {descriptor}"))?;
    }
    Ok(())
}

fn check(same: &File, opened: i32) -> io::Result<()> {
    if sys::facts(opened)? == (same.bytes, same.changed) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "the file changed since",
    ))
}

/// Opens the mapped files; returns their descriptors in order.
///
/// # Errors
/// [`Failure`] names the file that is not as it was.
pub fn files(snapshot: &Snapshot) -> Result<Vec<u64>, Failure> {
    let open = |file: &File| -> io::Result<u64> {
        let opened = sys::lift(sys::open(&file.path, 0)?, FIRST_OWN)?;
        check(file, opened)?;
        Ok(opened.unsigned_abs().into())
    };
    let opened = snapshot
        .files
        .iter()
        .map(|file| named(open(file), &file.path));
    opened.collect()
}
