//! Signals to the processes of a sandbox, from outside.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::process::{pidfd_open, pidfd_send_signal, Pid, PidfdFlags, Signal};

fn pid_namespace(pid: i32) -> Option<u64> {
    fs::metadata(format!("/proc/{pid}/ns/pid"))
        .ok()
        .map(|facts| facts.ino())
}

/// Every process id of the host, for hosts without control groups.
fn everyone() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Sends SIGTERM to each of `candidates` (or of the whole host) that lives in the pid namespace of `init`, `init`
/// excepted. The check comes after the pidfd is open, so a reused process id is never hit.
pub fn terminate(init: i32, candidates: Option<Vec<i32>>) {
    let Some(inside) = pid_namespace(init) else {
        return;
    };
    for pid in candidates.unwrap_or_else(everyone) {
        let Some(target) = Pid::from_raw(pid).filter(|_| pid != init) else {
            continue;
        };
        let Ok(pidfd) = pidfd_open(target, PidfdFlags::empty()) else {
            continue;
        };
        if pid_namespace(pid) == Some(inside) {
            let _ = pidfd_send_signal(&pidfd, Signal::TERM);
        }
    }
}
