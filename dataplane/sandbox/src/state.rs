//! The state file: what junctiond reads about a sandbox, replaced by rename so that a reader never sees half.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Name of the file inside the run folder.
pub const FILE_NAME: &str = "state.json";

/// Where a sandbox is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The keeper runs, the program does not yet.
    Building,
    /// The program has been executed.
    Running,
    /// The program ran and is gone.
    Exited,
    /// The program was never executed; `error` says why.
    Failed,
}

/// Content of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version, see [`crate::spec::PROTOCOL`].
    pub protocol: u32,
    /// Name of the sandbox.
    pub id: String,
    /// Where it is in its life.
    pub status: Status,
    /// Process that keeps it.
    pub keeper_pid: u32,
    /// When that process started, in clock ticks since boot: with it a reused process id is told apart.
    #[serde(default)]
    pub keeper_start_ticks: Option<u64>,
    /// Its init, in the host's pid namespace, once there is one.
    pub init_pid: Option<u32>,
    /// When the program was executed, Unix nanoseconds.
    pub started_at_ns: Option<u64>,
    /// Exit code of the program.
    pub exit_code: Option<i32>,
    /// Signal that ended the program.
    pub signal: Option<i32>,
    /// Whether the kernel killed a process of it for want of memory.
    pub oom_killed: bool,
    /// Why it failed.
    pub error: Option<String>,
    /// CPU time that the sandbox has used, in nanoseconds, once it has ended and where the host counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ns: Option<u64>,
    /// What became of snapshots, where the specification asked for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<crate::snapshot::Outcome>,
}

impl State {
    /// A sandbox of which nothing is built.
    #[must_use]
    pub fn new(id: &str, keeper_pid: u32) -> Self {
        Self {
            protocol: crate::spec::PROTOCOL,
            id: id.to_owned(),
            status: Status::Building,
            keeper_pid,
            keeper_start_ticks: None,
            init_pid: None,
            started_at_ns: None,
            exit_code: None,
            signal: None,
            oom_killed: false,
            error: None,
            cpu_ns: None,
            snapshot: None,
        }
    }

    /// Replaces the file in `folder`.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn store(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self)?;
        let fresh = folder.join("state.json.new");
        let mut file = fs::File::create(&fresh)?;
        file.write_all(&text)?;
        file.write_all(b"\n")?;
        fs::rename(fresh, folder.join(FILE_NAME))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_documented_keys() {
        let folder = tempfile::tempdir().expect("folder");
        State::new("a", 7).store(folder.path()).expect("stored");
        let text = fs::read_to_string(folder.path().join(FILE_NAME)).expect("read");
        assert_eq!(
            text.trim(),
            r#"{"protocol":1,"id":"a","status":"building","keeper_pid":7,"keeper_start_ticks":null,"init_pid":null,"started_at_ns":null,"exit_code":null,"signal":null,"oom_killed":false,"error":null}"#
        );
    }
}
