//! What keepers that were killed left behind: control groups and run folders.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{flock, FlockOperation};

use crate::cgroup;
use crate::keeper::LOCK_NAME;
use crate::state::{State, Status, FILE_NAME};

/// Removes what no living keeper owns and returns the paths. The state files of sandboxes that ended in order stay:
/// junctiond reads them.
///
/// # Errors
/// When the mounts of the host cannot be read.
pub fn sweep(run_dir: &Path, cgroup_parent: &str) -> io::Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for hierarchy in cgroup::hierarchies()? {
        for folder in folders(&hierarchy.mount.join(cgroup_parent)) {
            let Some(id) = folder.file_name() else {
                continue;
            };
            if !is_kept(&run_dir.join(id)) && cgroup::remove(&folder).is_ok() {
                removed.push(folder);
            }
        }
    }
    for folder in folders(run_dir) {
        if !is_kept(&folder) && !ended_in_order(&folder) && fs::remove_dir_all(&folder).is_ok() {
            removed.push(folder);
        }
    }
    Ok(removed)
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let folder = |entry: fs::DirEntry| {
        entry
            .file_type()
            .is_ok_and(|t| t.is_dir())
            .then(|| entry.path())
    };
    entries.flatten().filter_map(folder).collect()
}

/// Whether a living keeper holds the lock of this run folder.
fn is_kept(folder: &Path) -> bool {
    let Ok(lock) = File::open(folder.join(LOCK_NAME)) else {
        return false;
    };
    flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err()
}

fn ended_in_order(folder: &Path) -> bool {
    let state = fs::read(folder.join(FILE_NAME))
        .ok()
        .and_then(|text| serde_json::from_slice::<State>(&text).ok());
    state.is_some_and(|state| matches!(state.status, Status::Exited | Status::Failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(parent: &Path, id: &str, status: Status) -> PathBuf {
        let folder = parent.join(id);
        fs::create_dir(&folder).expect("folder");
        File::create(folder.join(LOCK_NAME)).expect("lock");
        let state = State {
            status,
            ..State::new(id, 1)
        };
        state.store(&folder).expect("state");
        folder
    }

    #[test]
    fn only_what_a_killed_keeper_left_goes() {
        let parent = tempfile::tempdir().expect("folder");
        let killed = sandbox(parent.path(), "killed", Status::Running);
        let ended = sandbox(parent.path(), "ended", Status::Exited);
        let alive = sandbox(parent.path(), "alive", Status::Running);
        let lock = File::open(alive.join(LOCK_NAME)).expect("lock");
        flock(&lock, FlockOperation::LockExclusive).expect("locked");
        let removed = sweep(parent.path(), "junctiond-sweep-test-absent").expect("swept");
        assert_eq!(removed, [killed]);
        assert!(ended.exists() && alive.exists());
    }
}
