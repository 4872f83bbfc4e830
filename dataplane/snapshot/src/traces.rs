//! What a start left in the sandbox's files: a new sandbox would lack it.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, SystemTime};

use rustix::fs::{fgetxattr, openat, statat, AtFlags, Dir, FileType, Mode, OFlags};

use crate::error::{unfit, Part, Refusal};
use crate::files::Root;

const ENTRIES_MAX: usize = 20_000;
const DEPTH_MAX: usize = 48;
/// Folders that start empty in every sandbox and vanish with it.
const VOLATILE: [&str; 2] = ["/tmp", "/dev/shm"];
/// Attribute that overlayfs gives to what it copies up (kernel documentation, overlayfs, "Inode properties").
const ORIGIN: &str = "trusted.overlay.origin";
/// Python's cache of compiled modules: what is in memory needs it no more.
const BYTECODE: &str = "__pycache__";

/// The writable layer of a sandbox and when the guest could first write to it.
#[derive(Debug)]
pub struct Layer {
    /// Folder of what differs from the image.
    pub folder: OwnedFd,
    /// When the program was about to start.
    pub since: SystemTime,
}

/// Makes sure that the start left nothing behind.
///
/// # Errors
/// [`Refusal::Unfit`] names the first thing that it left.
pub fn check(root: &Root, layer: &Layer) -> Result<(), Refusal> {
    for folder in VOLATILE {
        if let Some(name) = root.names(folder, 1)?.first() {
            return unfit(format!("its start left {folder}/{name}"));
        }
    }
    let since = layer
        .since
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    walk(
        &layer.folder,
        "",
        since,
        DEPTH_MAX,
        &mut ENTRIES_MAX.clone(),
    )
}

fn walk(
    folder: &OwnedFd,
    path: &str,
    since: Duration,
    depth: usize,
    left: &mut usize,
) -> Result<(), Refusal> {
    let what = || format!("the writable layer at {path}/");
    for entry in Dir::read_from(folder.as_fd()).part(what)? {
        let entry = entry.part(what)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if *left == 0 || depth == 0 {
            return unfit("its start left too many files to look at");
        }
        *left -= 1;
        let here = format!("{path}/{}", name.to_string_lossy());
        let facts = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).part(what)?;
        let is_folder = FileType::from_raw_mode(facts.st_mode) == FileType::Directory;
        if is_folder && name.to_bytes() == BYTECODE.as_bytes() {
            continue;
        }
        if is_folder {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let inner = openat(folder, name, flags, Mode::empty()).part(what)?;
            // A copy of a folder of the image knows where it came from; another one was made by the start.
            let copied = fgetxattr(&inner, ORIGIN, &mut [0_u8; 256]).is_ok();
            if !copied && changed(&facts) > since {
                return unfit(format!("its start made {here}/"));
            }
            walk(&inner, &here, since, depth - 1, left)?;
        } else if changed(&facts) > since {
            return unfit(format!("its start wrote {here}"));
        }
    }
    Ok(())
}

fn changed(facts: &rustix::fs::Stat) -> Duration {
    let seconds = u64::try_from(facts.st_ctime).unwrap_or(0);
    let nanoseconds = u32::try_from(facts.st_ctime_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn layer_of(path: &std::path::Path, since: SystemTime) -> Layer {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        Layer {
            folder: rustix::fs::open(path, flags, Mode::empty()).expect("open"),
            since,
        }
    }

    fn judge(layer: &Layer) -> Result<(), Refusal> {
        let since = layer
            .since
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("now");
        walk(
            &layer.folder,
            "",
            since,
            DEPTH_MAX,
            &mut ENTRIES_MAX.clone(),
        )
    }

    #[test]
    fn bytecode_and_what_was_there_before_is_no_trace() {
        let folder = tempfile::tempdir().expect("folder");
        let before = SystemTime::now() - Duration::from_secs(1);
        fs::create_dir_all(folder.path().join("__pycache__")).expect("made");
        fs::write(folder.path().join("__pycache__/m.pyc"), "x").expect("written");
        assert!(judge(&layer_of(folder.path(), before)).is_ok());
        fs::write(folder.path().join("state"), "x").expect("written");
        let later = SystemTime::now() + Duration::from_secs(1);
        assert!(judge(&layer_of(folder.path(), later)).is_ok());
        let words = judge(&layer_of(folder.path(), before))
            .expect_err("left")
            .to_string();
        assert!(words.contains("/state"), "{words}");
    }

    #[test]
    fn a_new_folder_is_a_trace() {
        let folder = tempfile::tempdir().expect("folder");
        let before = SystemTime::now() - Duration::from_secs(1);
        fs::create_dir_all(folder.path().join("cache")).expect("made");
        let words = judge(&layer_of(folder.path(), before))
            .expect_err("made")
            .to_string();
        assert!(words.contains("/cache/"), "{words}");
    }
}
