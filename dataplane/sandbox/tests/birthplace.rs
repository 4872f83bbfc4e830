//! Goal: process 1 is born into a control group of version 2. Hosts with version 1 alone mount an empty hierarchy of
//! version 2 beside it as a rule, which is enough to try the mechanism on; where there is none, there is nothing to try.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use jd_sandbox::sys::clone::{exit_now, fork_into_cgroup, Side};
use rustix::process::{pidfd_send_signal, waitpid, Pid, Signal, WaitOptions};

fn hierarchy() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("proc");
    let mut rows = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let row = rows.find(|row| row[2] == "cgroup2")?;
    Some(PathBuf::from(row[1]))
}

#[test]
fn a_child_is_born_into_the_group() {
    let Some(mount) = hierarchy() else {
        eprintln!("no version 2 hierarchy is mounted");
        return;
    };
    let folder = mount.join(format!("jsandbox-birth-{}", std::process::id()));
    fs::create_dir(&folder).expect("root may make groups");
    let opened = File::open(&folder).expect("opened");
    match fork_into_cgroup(0, opened.as_fd()).expect("forked") {
        Side::Child => {
            // Only system calls: another thread of the test may have held a lock of the allocator at the fork.
            std::thread::sleep(Duration::from_secs(30));
            exit_now(0)
        }
        Side::Parent { pid, pidfd } => {
            let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"));
            pidfd_send_signal(&pidfd, Signal::KILL).expect("killed");
            waitpid(Pid::from_raw(pid), WaitOptions::empty()).expect("reaped");
            let name = folder
                .file_name()
                .expect("named")
                .to_string_lossy()
                .into_owned();
            fs::remove_dir(&folder).expect("empty again");
            let groups = groups.expect("it lives");
            assert!(
                groups
                    .lines()
                    .any(|line| line.starts_with("0::") && line.ends_with(&name)),
                "{groups}"
            );
        }
    }
}
