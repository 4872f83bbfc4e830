//! What a snapshot file holds.
//!
//! Layout: [`MAGIC`], length of the description (u64, little endian), the description as JSON, zeros up to a page, then
//! pages of memory. Offsets of [`Fill`] count from the first of those pages. The restorer runs with the guest's rights, so
//! a wrong description harms nobody but the guest that it came from.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

/// First bytes of a file; the last two are the version.
pub const MAGIC: [u8; 8] = *b"JDSNAP01";
/// Longest description, in bytes.
pub const DESCRIPTION_BYTES_MAX: u64 = 8 << 20;
/// Size of a page, in bytes.
pub const PAGE: u64 = 4096;
/// The same as a length in memory.
pub const PAGE_BYTES: usize = 4096;

/// A whole description.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Kernel, boot and processor that it is good for, see [`crate::fingerprint`].
    pub fingerprint: String,
    /// Files that are mapped.
    pub files: Vec<File>,
    /// Mappings in the order of addresses, without the kernel's own.
    pub maps: Vec<Map>,
    /// The kernel's own mappings (vdso and its data) in the order of addresses.
    pub kernel_maps: Vec<KernelMap>,
    /// Descriptors from 3 on.
    pub descriptors: Vec<Descriptor>,
    /// Signals with an action of their own.
    pub signals: Vec<Action>,
    /// The thread.
    pub thread: Thread,
    /// What the kernel knows of the address space.
    pub space: Space,
    /// Working folder.
    pub folder: String,
    /// File mode creation mask.
    pub umask: u32,
}

/// A file of the image, as it must be found again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Path inside the sandbox.
    pub path: String,
    /// Its length, in bytes.
    pub bytes: u64,
    /// Time of its last change, seconds and nanoseconds.
    pub changed: (i64, i64),
}

/// A mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// First address.
    pub start: u64,
    /// Address behind its end.
    pub end: u64,
    /// `PROT_*`.
    pub protection: u32,
    /// `MAP_*` without `MAP_FIXED`.
    pub flags: u32,
    /// Index into `files`, and offset in that file in bytes.
    pub file: Option<(u32, u64)>,
    /// `MADV_*` to be given again.
    pub advice: Vec<u32>,
    /// Content that differs from zeros or from the file.
    pub fills: Vec<Fill>,
}

/// Content of some pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Address.
    pub at: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// Where in the pages of the file.
    pub from: u64,
}

/// A mapping that the kernel makes in every program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelMap {
    /// `[vvar]`, `[vdso]` and the like.
    pub name: String,
    /// First address.
    pub start: u64,
    /// Address behind its end.
    pub end: u64,
}

/// A descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// Its number.
    pub number: i32,
    /// Whether it closes at exec.
    pub close_on_exec: bool,
    /// `O_*` that `F_SETFL` takes.
    pub status: u32,
    /// What it is.
    pub kind: Kind,
}

/// What a descriptor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The same open file as an earlier descriptor.
    Same(i32),
    /// A file, folder or harmless device, open for reading (or `/dev/null`).
    File {
        /// Path inside the sandbox.
        path: String,
        /// Flags for `open`.
        flags: u32,
        /// Position.
        at: u64,
        /// Length and time of change of a regular file.
        same: Option<File>,
    },
    /// A socket that listens.
    Listener {
        /// `AF_INET` or `AF_INET6`.
        family: i32,
        /// The address that `getsockname` gives.
        address: Vec<u8>,
        /// Queue length.
        backlog: i32,
        /// Options (level, name, value) that differ from a new socket's, to be set before `bind`.
        options: Vec<(i32, i32, i32)>,
    },
    /// An epoll set; what it watches by descriptor, events and data.
    Epoll(Vec<(i32, u32, u64)>),
    /// An eventfd: its counter, and whether it is a semaphore.
    Event(u64, bool),
    /// An end of an empty pipe whose other end is in this process too; `write`: the end for writing.
    Pipe {
        /// Names the pipe.
        id: u64,
        /// Which end.
        write: bool,
    },
    /// An end of an empty pair of AF_UNIX sockets whose other end is in this process too.
    Pair {
        /// Names the pair.
        id: u64,
        /// `SOCK_*`.
        kind: i32,
        /// 0 or 1.
        end: u8,
    },
}

/// The action of a signal (`struct sigaction` of the kernel).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Number of the signal.
    pub signal: i32,
    /// Handler, flags, restorer, mask.
    pub words: [u64; 4],
}

/// Registers and what else belongs to a thread.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thread {
    /// `struct user_regs_struct`, rewound to the system call that it waits in.
    pub registers: Vec<u64>,
    /// XSAVE area in the user's format.
    pub extended: Vec<u8>,
    /// Blocked signals.
    pub mask: u64,
    /// Alternate signal stack: address, flags, size.
    pub stack: [u64; 3],
    /// Address that the kernel clears when the thread ends.
    pub id_address: u64,
    /// What the thread believes its id to be.
    pub id: u32,
    /// Further addresses where it keeps that.
    pub id_copies: Vec<u64>,
    /// Robust futexes: head and length.
    pub robust: (u64, u64),
    /// Restartable sequences: address, length, signature; length 0: none.
    pub sequences: (u64, u32, u32),
    /// Its name.
    pub name: String,
}

/// `struct prctl_mm_map` without the descriptor.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Space {
    /// `start_code` to `env_end`, eleven words.
    pub words: [u64; 11],
    /// Auxiliary vector.
    pub auxiliary: Vec<u64>,
}

fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE)
}

impl Snapshot {
    /// Writes the part before the pages; returns its length in bytes.
    ///
    /// # Errors
    /// Those of the writer; `InvalidData` when the description is too long.
    pub fn write(&self, to: &mut impl Write) -> io::Result<u64> {
        let text = serde_json::to_vec(self)?;
        let bytes = text.len() as u64;
        if bytes > DESCRIPTION_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "too much to describe",
            ));
        }
        let head = 16 + bytes;
        to.write_all(&MAGIC)?;
        to.write_all(&bytes.to_le_bytes())?;
        to.write_all(&text)?;
        let gap = usize::try_from(padded(head) - head).unwrap_or(0);
        to.write_all(&vec![0; gap])?;
        Ok(padded(head))
    }

    /// Reads it back; also returns where the pages begin.
    ///
    /// # Errors
    /// `InvalidData` when it is no snapshot of this version.
    pub fn read(from: &mut impl Read) -> io::Result<(Self, u64)> {
        let bad = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
        let mut head = [0; 16];
        from.read_exact(&mut head)?;
        let (magic, length) = head.split_at(8);
        if magic != MAGIC {
            return Err(bad("not a snapshot of this version"));
        }
        let bytes = u64::from_le_bytes(length.try_into().map_err(|_| bad("cut off"))?);
        if bytes > DESCRIPTION_BYTES_MAX {
            return Err(bad("the description is too long"));
        }
        let mut text = vec![0; usize::try_from(bytes).map_err(|_| bad("too long"))?];
        from.read_exact(&mut text)?;
        Ok((serde_json::from_slice(&text)?, padded(16 + bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_survives_the_file() {
        let mut snapshot = Snapshot {
            umask: 0o22,
            ..Snapshot::default()
        };
        snapshot.thread.registers = vec![u64::MAX; 27];
        let mut bytes = Vec::new();
        let pages = snapshot.write(&mut bytes).expect("written");
        assert_eq!(pages % PAGE, 0);
        assert_eq!(pages, bytes.len() as u64);
        let (back, from) = Snapshot::read(&mut bytes.as_slice()).expect("read");
        assert_eq!((back.umask, from), (0o22, pages));
        assert_eq!(back.thread.registers, vec![u64::MAX; 27]);
    }

    #[test]
    fn other_files_are_refused() {
        assert!(Snapshot::read(&mut &b"JDSNAP99\0\0\0\0\0\0\0\0"[..]).is_err());
        let mut long = MAGIC.to_vec();
        long.extend(u64::MAX.to_le_bytes());
        assert!(Snapshot::read(&mut long.as_slice()).is_err());
        assert!(Snapshot::read(&mut &b"short"[..]).is_err());
    }
}
