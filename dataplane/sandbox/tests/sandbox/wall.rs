//! What a guest can see and do: nothing of the host's, nothing of its neighbours.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::common::{Host, UID_BASE};
use rustix::mount::{MountFlags, UnmountFlags};
use serde_json::json;

fn facts(host: &Host) -> BTreeMap<String, String> {
    let pair = |line: String| {
        line.split_once(' ')
            .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
    };
    host.output().into_iter().filter_map(pair).collect()
}

#[test]
fn calls_that_could_reach_past_the_wall_are_refused() {
    for user in ["", "app"] {
        let mut host = Host::new().with("/process/user", user);
        host.run(&["calls"]);
        let found = facts(&host);
        let expected = [
            ("socket_raw", "EPERM"),
            ("socket_packet", "EAFNOSUPPORT"),
            ("socket_vsock", "EAFNOSUPPORT"),
            ("socket_alg", "EAFNOSUPPORT"),
            ("socket_unix", "ok"),
            ("socket_route", "ok"),
            ("socket_netfilter", "EPROTONOSUPPORT"),
            ("unshare_user", "EPERM"),
            ("unshare_net", "EPERM"),
            ("clone_user", "EPERM"),
            ("clone3", "ENOSYS"),
            ("setns", "EPERM"),
            ("mount", "EPERM"),
            ("umount", "EPERM"),
            ("fsopen", "EPERM"),
            ("chroot", "EPERM"),
            ("ptrace", "EPERM"),
            ("process_vm_readv", "EPERM"),
            ("pidfd_getfd", "EPERM"),
            ("io_uring", "ENOSYS"),
            ("bpf", "EPERM"),
            ("userfaultfd", "EPERM"),
            ("perf_event_open", "EPERM"),
            ("keyctl", "EPERM"),
            ("open_by_handle_at", "EPERM"),
            ("sethostname", "EPERM"),
            ("mknod_device", "EPERM"),
            ("init_memory", "EACCES"),
            ("init_environment", "EACCES"),
            ("setuid_other", "EPERM"),
            ("i386_getpid", "ENOSYS"),
            ("i386_socket", "ENOSYS"),
            ("x32_getpid", "ENOSYS"),
            ("x32_socket", "ENOSYS"),
        ];
        for (call, errno) in expected {
            assert_eq!(
                found.get(call).map(String::as_str),
                Some(errno),
                "{call} as {user:?}"
            );
        }
        for control in ["kernel_setting", "sysrq"] {
            assert!(
                matches!(found[control].as_str(), "EACCES" | "EROFS" | "ENOENT"),
                "{control}: {}",
                found[control]
            );
        }
    }
}

#[test]
fn the_network_is_a_loopback_with_the_functions_address() {
    let mut host = Host::new();
    host.supervise();
    host.run(&["interfaces"]);
    let mut output = host.output();
    output.sort();
    output.retain(|line| line != "lo ::1 up"); // Absent where the kernel has no IPv6.
    assert_eq!(output, ["lo 10.62.0.5 up", "lo 127.0.0.1 up", "lo link up"]);
}

#[test]
fn the_user_is_resolved_inside_and_shifted_outside() {
    let mut host = Host::new().with("/process/user", "app:staff");
    host.run(&["ids"]);
    assert_eq!(host.output(), ["pid 2 ids 100:50 50"]);

    let mut host = Host::new().with("/process/user", "app");
    let keeper = host.start(&["sleep"]);
    host.wait_for("ready");
    let init = keeper.running().init_pid.expect("init");
    let children =
        fs::read_to_string(format!("/proc/{init}/task/{init}/children")).expect("children");
    let payload = children.split_whitespace().next().expect("the program");
    let status = fs::read_to_string(format!("/proc/{payload}/status")).expect("status");
    let uid = UID_BASE + 100;
    let gid = UID_BASE + 101;
    for line in [
        format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}"),
        format!("Gid:\t{gid}\t{gid}\t{gid}\t{gid}"),
        "CapBnd:\t0000000000000000".to_owned(),
        "CapPrm:\t0000000000000000".to_owned(),
        "NoNewPrivs:\t1".to_owned(),
        "Seccomp:\t2".to_owned(),
    ] {
        assert!(status.contains(&line), "{line:?} in {status}");
    }
    let init_status = fs::read_to_string(format!("/proc/{init}/status")).expect("status");
    assert!(
        init_status.contains(&format!("Uid:\t{UID_BASE}\t")),
        "{init_status}"
    );
    assert!(
        init_status.contains("CapEff:\t0000000000000000"),
        "{init_status}"
    );
    for namespace in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let link =
            |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{namespace}")).expect("namespace");
        assert_ne!(link(payload), link("self"), "{namespace}");
    }
}

#[test]
fn owners_in_the_image_are_kept_and_new_files_are_shifted() {
    let mut host = Host::new();
    host.run(&[
        "stat",
        "/data/mine",
        "/bin/guest",
        "/etc/hosts",
        "/proc",
        "/tmp",
        "/dev/null",
        "/dev/sda",
    ]);
    let output = host.output();
    assert!(
        output.contains(&"/data/mine 100644 100:101".to_owned()),
        "{output:?}"
    );
    assert!(
        output.contains(&"/bin/guest 100755 0:0".to_owned()),
        "{output:?}"
    );
    assert!(
        output.contains(&"/etc/hosts 100644 0:0".to_owned()),
        "{output:?}"
    );
    assert!(output.contains(&"/tmp 41777 0:0".to_owned()), "{output:?}");
    assert!(
        output.contains(&"/dev/null 20666 0:0".to_owned()),
        "{output:?}"
    );
    assert!(output.contains(&"/dev/sda ENOENT".to_owned()), "{output:?}");
    let original = fs::metadata(host.path("layer/data/mine")).expect("file");
    assert_eq!(
        (original.uid(), original.gid()),
        (100, 101),
        "the shared layer is untouched"
    );
}

#[test]
fn what_is_written_stays_in_the_sandbox_and_is_bounded() {
    let mut host = Host::new();
    host.run(&["put", "/data/new", "1000"]);
    assert_eq!(host.output(), ["/data/new ok"]);
    assert!(!host.path("layer/data/new").exists());
    for (path, cause) in [
        ("/data/big", "ENOSPC"),
        ("/tmp/big", "ENOSPC"),
        ("/dev/big", "ENOSPC"),
        ("/dev/shm/big", "ENOSPC"),
    ] {
        let mut host = Host::new();
        host.run(&["put", path, "64000000"]);
        assert_eq!(host.output(), [format!("{path} {cause}")]);
    }
}

#[test]
fn a_read_only_root_still_has_a_tmp() {
    let host = || Host::new().with("/rootfs/read_only", true);
    for (path, outcome) in [
        ("/data/new", "EROFS"),
        ("/etc/hosts", "EROFS"),
        ("/tmp/new", "ok"),
        ("/dev/shm/new", "ok"),
    ] {
        let mut host = host();
        host.run(&["put", path, "10"]);
        assert_eq!(host.output(), [format!("{path} {outcome}")]);
    }
}

#[test]
fn secrets_are_for_the_functions_user_only() {
    let secret = |host: &Host| json!([{"name": "api-key", "source": host.path("secret")}]);
    let host = Host::new();
    let secrets = secret(&host);
    let mut host = host.with("/secrets", secrets).with("/process/user", "app");
    host.run(&["stat", "/var/openfaas/secrets/api-key"]);
    assert_eq!(
        host.output(),
        ["/var/openfaas/secrets/api-key 100400 100:100"]
    );

    let host = Host::new();
    let secrets = secret(&host);
    let mut host = host.with("/secrets", secrets).with("/process/user", "app");
    host.run(&["cat", "/var/openfaas/secrets/api-key"]);
    assert_eq!(host.output(), ["s3cret"]);

    let host = Host::new();
    let secrets = secret(&host);
    let mut host = host.with("/secrets", secrets);
    host.run(&["put", "/var/openfaas/secrets/api-key", "1"]);
    assert_eq!(host.output(), ["/var/openfaas/secrets/api-key EACCES"]);
}

#[test]
fn binds_appear_read_only_where_they_are_asked_for() {
    let host = Host::new();
    let binds = json!([{"source": host.path("secret"), "target": "/.junction/file"}]);
    let mut host = host.with("/binds", binds);
    host.run(&["cat", "/.junction/file"]);
    assert_eq!(host.output(), ["s3cret"]);

    let host = Host::new();
    let binds = json!([{"source": host.path("secret"), "target": "/.junction/file"}]);
    let mut host = host.with("/binds", binds);
    host.run(&["put", "/.junction/file", "1"]);
    assert_eq!(host.output(), ["/.junction/file EACCES"]);
}

#[test]
fn links_of_the_image_do_not_lead_to_the_host() {
    let mut host = Host::new();
    let trap = host.path("trap");
    fs::write(&trap, "untouched").expect("trap");
    let _ = fs::remove_file(host.path("layer/etc/resolv.conf"));
    std::os::unix::fs::symlink(&trap, host.path("layer/etc/resolv.conf")).expect("link");
    std::os::unix::fs::symlink("../../../../../../var/lib", host.path("layer/var")).expect("link");
    let secrets = json!([{"name": "api-key", "source": host.path("secret")}]);
    host = host.with("/secrets", secrets);
    let state = host.run(&["cat", "/etc/resolv.conf"]);
    assert_eq!(fs::read_to_string(&trap).expect("trap"), "untouched");
    assert!(!std::path::Path::new("/var/lib/openfaas").exists());
    // The dangling link for /var is the image's own fault and is said so.
    assert!(
        state.error.is_none_or(|error| error.contains("/var")),
        "only /var may fail"
    );
}

#[test]
fn memory_beyond_the_limit_kills_the_function_only() {
    let mut host = Host::new().with("/limits/memory_bytes", 32 << 20);
    let state = host.run(&["eat"]);
    assert_eq!((state.signal, state.oom_killed), (Some(9), true));
}

#[test]
fn the_guest_cannot_ask_to_be_spared_by_the_host() {
    let mut host = Host::new();
    host.run(&["put-text", "/proc/self/oom_score_adj", "-1"]);
    assert_eq!(host.output(), ["/proc/self/oom_score_adj EACCES"]);
    let mut host = Host::new();
    host.run(&["cat", "/proc/self/oom_score_adj"]);
    assert_eq!(host.output(), ["500"]);
}

#[test]
fn layers_that_cannot_be_shifted_still_run() {
    let mut host = Host::new();
    let ram = RamFs::over(&host.path("layer"));
    let keeper = host.start(&["stat", "/bin/guest", "/tmp"]);
    let (state, said) = keeper.end_and_said();
    drop(ram);
    assert_eq!(state.exit_code, Some(0), "{state:?}");
    assert!(said.contains("id-mapped mounts refused"), "{said}");
    assert_eq!(
        host.output(),
        ["/bin/guest 100755 65534:65534", "/tmp 41777 0:0"]
    );
}

/// A file system without id-mapped mounts (ramfs) in place of the layer.
struct RamFs(PathBuf);

impl RamFs {
    fn over(layer: &Path) -> Self {
        rustix::mount::mount("ramfs", layer, "ramfs", MountFlags::empty(), c"mode=0755")
            .expect("mounted");
        let mounted = Self(layer.to_owned());
        fs::create_dir(layer.join("bin")).expect("folder");
        fs::copy(crate::common::guest(), layer.join("bin/guest")).expect("guest");
        mounted
    }
}

impl Drop for RamFs {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn processes_are_limited() {
    let mut host = Host::new().with("/limits/pids_max", 10);
    host.run(&["forks"]);
    // Process 1 and the program count too.
    assert_eq!(host.output(), ["forks 8 EAGAIN"]);
}

#[test]
fn the_environment_is_the_specifications_and_a_home() {
    let mut host = Host::new().with("/process/user", "app");
    host.run(&["env"]);
    assert_eq!(
        host.output(),
        ["PATH=/usr/bin:/bin", "A=b", "HOME=/home/app"]
    );
}

#[test]
fn neighbours_do_not_see_each_other() {
    let mut first = Host::new();
    first.supervise();
    let keeper = first.start(&["names", "bind"]);
    first.wait_for("listen ok");
    let mut second = Host::new();
    second.supervise();
    second.run(&["names", "connect"]);
    assert_eq!(second.output(), ["connect ECONNREFUSED"]);
    let mut third = Host::new();
    third.run(&["stat", "/proc/1", "/proc/2", "/proc/3", "/proc/4"]);
    let seen = third.output();
    assert!(seen[1].starts_with("/proc/2 40555"), "{seen:?}");
    assert_eq!(seen[2..], ["/proc/3 ENOENT", "/proc/4 ENOENT"]);
    drop(keeper);
}
