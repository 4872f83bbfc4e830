//! Files of the guest, looked at from outside and from inside.

use std::fs::Metadata;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{openat2, Mode, OFlags, ResolveFlags};

use crate::error::{unfit, Part, Refusal};
use crate::format::File;

/// A file's path and what tells that it is the same one.
#[must_use]
pub fn identity(path: &str, facts: &Metadata) -> File {
    File {
        path: path.to_owned(),
        bytes: facts.size(),
        changed: (facts.mtime(), facts.mtime_nsec()),
    }
}

/// The root of a guest, entered by no path of its own: links in it lead nowhere else.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// The root of process `pid`.
    ///
    /// # Errors
    /// [`Refusal::Host`].
    pub fn of(pid: i32) -> Result<Self, Refusal> {
        let path = format!("/proc/{pid}/root");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&path, flags, Mode::empty());
        opened.map(Self).part(|| path)
    }

    fn open(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(
            &self.0,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
    }

    /// Identity of the regular file at `path`.
    ///
    /// # Errors
    /// [`Refusal::Unfit`] when there is no such file.
    pub fn file(&self, path: &str) -> Result<File, Refusal> {
        let Ok(opened) = self.open(path, OFlags::PATH) else {
            return unfit(format!("it uses {path}, which is not there any more"));
        };
        let facts = std::fs::File::from(opened).metadata().part(|| path)?;
        if facts.is_file() {
            Ok(identity(path, &facts))
        } else {
            unfit(format!("{path} is no file"))
        }
    }

    /// Names in a folder, at most `most` of them; none where it is not there.
    ///
    /// # Errors
    /// [`Refusal::Host`].
    pub fn names(&self, path: &str, most: usize) -> Result<Vec<String>, Refusal> {
        let Ok(folder) = self.open(path, OFlags::RDONLY | OFlags::DIRECTORY) else {
            return Ok(Vec::new());
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(folder.as_fd()).part(|| path)? {
            let entry = entry.part(|| path)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." && names.len() < most {
                names.push(name);
            }
        }
        Ok(names)
    }
}
