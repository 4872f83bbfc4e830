//! Resource limits: one control group per sandbox, on version 1, version 2 or a mixture.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::process::{kill_process, Pid, Signal};

use crate::cgroup_parent::{inherit_cpus, Parent, Place};
use crate::spec::Limits;

/// Scheduling period of a CPU limit, in microseconds.
const PERIOD_US: u64 = 100_000;
/// Smallest quota that the kernel takes, in microseconds.
const QUOTA_US_MIN: u64 = 1_000;
/// A removed group may stay busy for the moment that the kernel needs to let the last task go.
const REMOVE_TRIES: u32 = 200;
const REMOVE_PAUSE: Duration = Duration::from_millis(5);

/// What a limit needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// Memory limit and count of kills.
    Memory,
    /// CPU quota.
    Cpu,
    /// Number of processes and threads.
    Pids,
    /// Version 1 only: CPU time used (version 2 counts it with [`Self::Cpu`]).
    Account,
    /// Version 1 only, never limited: the JVM believes in no limit unless it sees this hierarchy too.
    Cpuset,
}

impl Controller {
    /// Those that carry a limit.
    pub const LIMITS: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// All that a sandbox is put into.
    pub const ALL: [Self; 5] = [
        Self::Memory,
        Self::Cpu,
        Self::Pids,
        Self::Account,
        Self::Cpuset,
    ];

    /// Name in mount options and `cgroup.controllers`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
            Self::Account => "cpuacct",
            Self::Cpuset => "cpuset",
        }
    }
}

/// A mounted hierarchy and the controllers that are taken from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Mount point on the host.
    pub mount: PathBuf,
    /// Mount options that name its controllers (`cpu,cpuacct`); `None` is version 2.
    pub v1_options: Option<String>,
    /// Controllers that sandboxes use there.
    pub controllers: Vec<Controller>,
}

/// Finds where each controller lives. `mounts` is `/proc/self/mounts`; `v2_controllers` reads
/// `cgroup.controllers` of a version 2 mount.
#[must_use]
pub fn discover(mounts: &str, v2_controllers: impl Fn(&Path) -> String) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    let mut unified: Option<Hierarchy> = None;
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, mount, kind, options, ..] = fields[..] else {
            continue;
        };
        let mount = PathBuf::from(mount);
        if kind == "cgroup2" && unified.is_none() {
            unified = Some(Hierarchy {
                mount,
                v1_options: None,
                controllers: Vec::new(),
            });
        } else if kind == "cgroup" {
            let has = |controller: &Controller| options.split(',').any(|o| o == controller.name());
            let taken = |c: &Controller| found.iter().any(|h| h.controllers.contains(c));
            let controllers: Vec<_> = Controller::ALL
                .into_iter()
                .filter(|c| has(c) && !taken(c))
                .collect();
            if !controllers.is_empty() {
                let flags = [
                    "rw", "ro", "nosuid", "nodev", "noexec", "relatime", "noatime",
                ];
                let names: Vec<_> = options.split(',').filter(|o| !flags.contains(o)).collect();
                found.push(Hierarchy {
                    mount,
                    v1_options: Some(names.join(",")),
                    controllers,
                });
            }
        }
    }
    if let Some(mut unified) = unified {
        let names = v2_controllers(&unified.mount);
        let has = |c: &Controller| lists(&names, *c);
        let taken = |c: &Controller| found.iter().any(|h| h.controllers.contains(c));
        unified.controllers = Controller::LIMITS
            .into_iter()
            .filter(|c| has(c) && !taken(c))
            .collect();
        if !unified.controllers.is_empty() {
            found.push(unified);
        }
    }
    found
}

/// [`discover`] on this host.
///
/// # Errors
/// When `/proc` is not mounted.
pub fn hierarchies() -> io::Result<Vec<Hierarchy>> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    Ok(discover(&mounts, |mount| {
        fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default()
    }))
}

/// Means the writer itself in a `tasks` file.
pub const OURSELVES: &[u8] = b"0";

/// The group of one sandbox.
#[derive(Debug)]
pub struct Group {
    folders: Vec<(Hierarchy, PathBuf)>,
}

impl Group {
    /// Creates the group in every hierarchy and sets its limits. Returns warnings for what the host cannot limit.
    ///
    /// # Errors
    /// `NotFound` when the parent is gone; when a folder cannot be made or the kernel refuses a limit. What was made is
    /// removed again.
    pub fn create(parent: &Parent, id: &str, limits: &Limits) -> io::Result<(Self, Vec<String>)> {
        let mut group = Self {
            folders: Vec::new(),
        };
        let mut warnings = parent.warnings.clone();
        let mut places = parent.places.iter();
        let built = places
            .try_for_each(|place| group.join(place, id))
            .and_then(|()| group.limit(limits, &mut warnings));
        if let Err(error) = built {
            group.remove();
            return Err(error);
        }
        Ok((group, warnings))
    }

    fn join(&mut self, place: &Place, id: &str) -> io::Result<()> {
        let folder = place.folder.join(id);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                remove(&folder).and_then(|()| fs::create_dir(&folder))
            }
            other => other,
        }
        .map_err(|error| with_path(&folder, &error))?;
        if place.fills {
            inherit_cpus(&place.folder, &folder)?;
        }
        self.folders.push((place.hierarchy.clone(), folder));
        Ok(())
    }

    fn folder(&self, controller: Controller) -> Option<(&Path, bool)> {
        let mut folders = self.folders.iter();
        let (hierarchy, folder) = folders.find(|(h, _)| h.controllers.contains(&controller))?;
        Some((folder, hierarchy.v1_options.is_some()))
    }

    fn limit(&self, limits: &Limits, warnings: &mut Vec<String>) -> io::Result<()> {
        let mut absent = |controller: Controller| {
            let name = controller.name();
            warnings.push(format!(
                "no {name} limit: the host has no {name} cgroup controller; mount one"
            ));
        };
        match (self.folder(Controller::Pids), limits.pids_max) {
            (Some((folder, _)), most) => write(folder, "pids.max", &most.to_string())?,
            (None, _) => absent(Controller::Pids),
        }
        match (self.folder(Controller::Memory), limits.memory_bytes) {
            (Some((folder, true)), Some(bytes)) => {
                write(folder, "memory.limit_in_bytes", &bytes.to_string())?;
                // Absent without swap accounting; the limit above holds all the same.
                let _ = write(folder, "memory.memsw.limit_in_bytes", &bytes.to_string());
            }
            (Some((folder, false)), Some(bytes)) => {
                write(folder, "memory.max", &bytes.to_string())?;
                let _ = write(folder, "memory.swap.max", "0");
            }
            (None, Some(_)) => absent(Controller::Memory),
            (_, None) => {}
        }
        let quota_us =
            |millicores: u32| (u64::from(millicores) * PERIOD_US / 1000).max(QUOTA_US_MIN);
        match (
            self.folder(Controller::Cpu),
            limits.cpu_millicores.map(quota_us),
        ) {
            (Some((folder, true)), Some(quota_us)) => {
                write(folder, "cpu.cfs_period_us", &PERIOD_US.to_string())?;
                write(folder, "cpu.cfs_quota_us", &quota_us.to_string())?;
            }
            (Some((folder, false)), Some(us)) => {
                write(folder, "cpu.max", &format!("{us} {PERIOD_US}"))?
            }
            (None, Some(_)) => absent(Controller::Cpu),
            (_, None) => {}
        }
        Ok(())
    }

    /// Files through which a single-threaded process puts itself into the group by writing [`OURSELVES`], which is quick:
    /// moving *another* process makes the kernel wait for every CPU to pass through the scheduler (10 to 15 ms measured),
    /// moving oneself as a thread does not (`cgroup_procs_write_start` in the kernel's `cgroup.c`).
    ///
    /// Version 2 has no such file; there a process is born into its folder, see [`Self::birthplace`].
    ///
    /// # Errors
    /// A file cannot be opened.
    pub fn doors(&self) -> io::Result<Vec<File>> {
        let first = self.folders.iter().filter(|(h, _)| h.v1_options.is_some());
        let paths = first.map(|(_, folder)| folder.join("tasks"));
        paths
            .map(|path| {
                let opened = File::options().write(true).open(&path);
                opened.map_err(|error| with_path(&path, &error))
            })
            .collect()
    }

    /// The version 2 folder, if there is one, for `CLONE_INTO_CGROUP`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn birthplace(&self) -> io::Result<Option<File>> {
        let second = self.folders.iter().find(|(h, _)| h.v1_options.is_none());
        let opened =
            second.map(|(_, folder)| File::open(folder).map_err(|error| with_path(folder, &error)));
        opened.transpose()
    }

    /// Hierarchies that the guest may see read-only below `/sys/fs/cgroup`.
    #[must_use]
    pub fn visible(&self) -> Vec<Hierarchy> {
        self.folders
            .iter()
            .map(|(hierarchy, _)| hierarchy.clone())
            .collect()
    }

    /// Host process ids in the group, `None` if there is no group to ask.
    #[must_use]
    pub fn members(&self) -> Option<Vec<i32>> {
        self.folders.first().map(|(_, folder)| members(folder))
    }

    /// Whether the kernel killed a member for want of memory.
    #[must_use]
    pub fn oom_killed(&self) -> bool {
        let Some((folder, v1)) = self.folder(Controller::Memory) else {
            return false;
        };
        let file = if v1 {
            "memory.oom_control"
        } else {
            "memory.events"
        };
        fs::read_to_string(folder.join(file)).is_ok_and(|text| oom_kills(&text) > 0)
    }

    /// CPU time of all members so far, in nanoseconds; `None` where the host does not count it.
    #[must_use]
    pub fn cpu_ns(&self) -> Option<u64> {
        if let Some((folder, true)) = self.folder(Controller::Account) {
            let text = fs::read_to_string(folder.join("cpuacct.usage")).ok()?;
            return text.trim().parse().ok();
        }
        let (folder, _) = self.folder(Controller::Cpu)?;
        used_ns(&fs::read_to_string(folder.join("cpu.stat")).ok()?)
    }

    /// Removes the group. Left-over members are killed.
    pub fn remove(&self) {
        for (_, folder) in &self.folders {
            if let Err(error) = remove(folder) {
                eprintln!(
                    "jsandbox: {}: cannot remove: {error}; run jsandbox sweep",
                    folder.display()
                );
            }
        }
    }
}

/// Whether a `cgroup.controllers` or `cgroup.subtree_control` file names the controller.
pub(crate) fn lists(names: &str, controller: Controller) -> bool {
    names
        .split_whitespace()
        .any(|name| name == controller.name())
}

pub(crate) fn with_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

pub(crate) fn write(folder: &Path, file: &str, value: &str) -> io::Result<()> {
    let path = folder.join(file);
    fs::write(&path, value).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{}: writing {value}: {error}", path.display()),
        )
    })
}

fn members(folder: &Path) -> Vec<i32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Removes the folder of one group, killing what is still in it.
///
/// # Errors
/// `EBUSY` when a member does not go away.
pub fn remove(folder: &Path) -> io::Result<()> {
    let mut last = Ok(());
    for _ in 0..REMOVE_TRIES {
        last = fs::remove_dir(folder);
        match &last {
            Ok(()) => return last,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(_) => {}
        }
        for pid in members(folder) {
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        thread::sleep(REMOVE_PAUSE);
    }
    last
}

/// The `oom_kill` counter of `memory.events` or `memory.oom_control`.
#[must_use]
pub fn oom_kills(text: &str) -> u64 {
    let value = |line: &str| {
        line.strip_prefix("oom_kill ")
            .and_then(|n| n.trim().parse().ok())
    };
    text.lines().find_map(value).unwrap_or(0)
}

/// The `usage_usec` of `cpu.stat`, in nanoseconds.
fn used_ns(text: &str) -> Option<u64> {
    let used_us = text.lines().find_map(|l| l.strip_prefix("usage_usec "))?;
    used_us.trim().parse::<u64>().ok()?.checked_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_alone() {
        let found = discover("cgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n", |_| {
            "cpuset cpu io memory pids".into()
        });
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].v1_options, None);
        assert_eq!(found[0].controllers, Controller::LIMITS);
    }

    #[test]
    fn a_mixture_takes_each_controller_once() {
        let mounts = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n\
                      cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n\
                      cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let found = discover(mounts, |_| "pids memory".into());
        let seen: Vec<_> = found
            .iter()
            .map(|h| (h.v1_options.as_deref(), h.controllers.clone()))
            .collect();
        assert_eq!(
            seen,
            [
                (
                    Some("cpu,cpuacct"),
                    vec![Controller::Cpu, Controller::Account]
                ),
                (Some("memory"), vec![Controller::Memory]),
                (None, vec![Controller::Pids]),
            ]
        );
    }

    #[test]
    fn a_host_without_any_is_no_error() {
        assert!(discover("proc /proc proc rw 0 0\ngarbage\n", |_| String::new()).is_empty());
    }

    #[test]
    fn cpu_time_is_read() {
        assert_eq!(used_ns("usage_usec 12\nuser_usec 7\n"), Some(12_000));
        assert_eq!(used_ns("nr_periods 0\n"), None);
    }

    #[test]
    fn kills_are_counted_in_both_formats() {
        assert_eq!(
            oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
            3
        );
        assert_eq!(
            oom_kills("low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n"),
            1
        );
        assert_eq!(oom_kills(""), 0);
    }
}
