//! Launch, output, end and cleaning up, with the real program and a real guest.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{eventually, Host};
use jd_sandbox::state::Status;
use rustix::process::Signal;
use serde_json::json;

#[test]
fn exit_codes_and_signals_reach_the_state_file() {
    for code in [0, 3, 255] {
        let state = Host::new().run(&["exit", &code.to_string()]);
        assert_eq!(
            (state.status, state.exit_code, state.signal),
            (Status::Exited, Some(code), None)
        );
    }
    let state = Host::new().run(&["signal", "11"]);
    assert_eq!(
        (state.exit_code, state.signal, state.oom_killed),
        (None, Some(11), false)
    );
    assert!(state.started_at_ns.is_some() && state.init_pid.is_some());
}

#[test]
fn both_streams_reach_the_log_and_nothing_is_left_behind() {
    let mut host = Host::new();
    let state = host.run(&["say", "hello"]);
    assert_eq!(state.error, None);
    let mut log = host.log();
    log.sort();
    assert_eq!(
        log,
        [
            ("err".into(), "to errors".into()),
            ("out".into(), "hello".to_owned())
        ]
    );
    assert_eq!(host.cgroups(), Vec::<std::path::PathBuf>::new());
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    assert!(!mounts.contains(&host.id), "a mount is left on the host");
}

#[test]
fn the_program_starts_on_the_cores_it_is_given() {
    let allowed = |mut host: Host| {
        host.run(&["cat", "/proc/self/status"]);
        let lines = host.output();
        let line = lines
            .iter()
            .find(|line| line.starts_with("Cpus_allowed_list:"));
        line.expect("a line of cores").clone()
    };
    let mine = fs::read_to_string("/proc/self/status").expect("status");
    assert!(mine.contains(&allowed(Host::new())));
    assert_eq!(
        allowed(Host::new().with("/cores", json!([0]))),
        "Cpus_allowed_list:\t0"
    );
    // A core that the host does not have: said, and the function starts all the same.
    assert!(mine.contains(&allowed(Host::new().with("/cores", json!([1000])))));
}

#[test]
fn a_line_of_a_mebibyte_is_kept_whole() {
    let mut host = Host::new();
    host.run(&["line", "1048576"]);
    let output = host.output();
    assert_eq!(output.len(), 2);
    assert_eq!(output[0].len(), 1 << 20);
    assert_eq!(output[1], "last line");
}

#[test]
fn the_program_is_looked_up_and_failures_name_their_cause() {
    let failures = [
        (
            Host::new().with("/process/argv", json!(["nope"])),
            "executing nope: program not found in the image",
        ),
        (
            Host::new().with("/process/argv", json!(["/etc/passwd"])),
            "is it executable for user 0?",
        ),
        (
            Host::new().with("/process/cwd", "/nowhere"),
            "working folder /nowhere as user 0",
        ),
        (
            Host::new().with("/process/user", "stranger"),
            "unknown user \"stranger\"",
        ),
        (
            Host::new().with("/process/user", "app:strangers"),
            "unknown group \"strangers\"",
        ),
        (
            Host::new().with("/rootfs/layers", json!(["/nowhere/layer"])),
            "opening layer /nowhere/layer",
        ),
        (
            Host::new().with("/secrets", json!([{"name": "k", "source": "/nowhere/k"}])),
            "secret k",
        ),
        (
            Host::new().with("/binds", json!([{"source": "/nowhere/b", "target": "/b"}])),
            "bind source /nowhere/b",
        ),
        (
            Host::new().with("/log/path", "/proc/nowhere/x.log"),
            "log file /proc/nowhere/x.log",
        ),
    ];
    for (mut host, cause) in failures {
        let state = host.run(&["exit", "0"]);
        assert_eq!(state.status, Status::Failed, "{cause}");
        let error = state.error.unwrap_or_default();
        assert!(error.contains(cause), "{error:?} should say {cause:?}");
        assert_eq!(host.cgroups(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn a_script_without_its_interpreter_is_explained() {
    let mut host = Host::new().with("/process/argv", json!(["script"]));
    fs::write(host.path("layer/bin/script"), "#!/bin/none\n").expect("script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(host.path("layer/bin/script"), mode).expect("mode");
    let error = host.run(&[]).error.unwrap_or_default();
    assert!(error.contains("interpreter or loader"), "{error}");
}

#[test]
fn sigterm_reaches_the_program_and_its_children() {
    let mut host = Host::new();
    let keeper = host.start(&["on-term"]);
    host.wait_for("ready");
    keeper.signal(Signal::TERM);
    let state = keeper.end();
    assert_eq!((state.status, state.exit_code), (Status::Exited, Some(7)));
    assert!(host.output().contains(&"terminated".to_owned()));
}

#[test]
fn a_program_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let mut host = Host::new().with("/grace_ms", 300);
    let keeper = host.start(&["ignore-term"]);
    host.wait_for("ready");
    let asked = Instant::now();
    keeper.signal(Signal::TERM);
    let state = keeper.end();
    assert_eq!((state.status, state.signal), (Status::Exited, Some(9)));
    assert!(asked.elapsed() >= Duration::from_millis(300));
}

#[test]
fn killing_the_keeper_kills_the_sandbox_and_sweep_cleans_up() {
    // A parent of its own: sweeping takes whatever has no keeper below this run folder.
    let mut host = Host::new().in_group("jd-sandbox-test-sweep");
    let keeper = host.start(&["ignore-term"]);
    host.wait_for("ready");
    let init = keeper.running().init_pid.expect("init");
    keeper.signal(Signal::KILL);
    keeper.reap();
    eventually("the sandbox dies", || {
        !std::path::Path::new(&format!("/proc/{init}")).exists()
    });
    assert!(!host.cgroups().is_empty(), "nobody has cleaned up yet");
    let mut sweep = Command::new(env!("CARGO_BIN_EXE_jsandbox"));
    sweep
        .args(["sweep", "--cgroup-parent", &host.group, "--run-dir"])
        .arg(host.path("run"));
    let done = sweep.output().expect("sweep runs");
    assert!(done.status.success());
    assert!(String::from_utf8_lossy(&done.stdout).contains(&host.id));
    assert_eq!(host.cgroups(), Vec::<std::path::PathBuf>::new());
    assert!(!host.run_dir().exists());
}

#[test]
fn one_name_has_one_keeper() {
    let mut host = Host::new();
    let keeper = host.start(&["sleep"]);
    host.wait_for("ready");
    let mut second = Command::new(env!("CARGO_BIN_EXE_jsandbox"));
    let done = second
        .args(["run", "--spec"])
        .arg(host.path("spec.json"))
        .output()
        .expect("runs");
    assert!(!done.status.success());
    assert!(String::from_utf8_lossy(&done.stderr).contains("another keeper"));
    assert_eq!(keeper.running().status, Status::Running);
}

#[test]
fn a_flood_of_output_is_bounded_on_disk() {
    let mut host = Host::new().with("/log/bytes_max", 100_000);
    host.run(&["line", "4000000"]);
    let bytes = |name: &str| fs::metadata(host.path(name)).map_or(0, |facts| facts.len());
    let (current, older) = (bytes("out.log"), bytes("out.log.1"));
    // A record is written whole, so each file may exceed its half by one.
    let half = 50_000 + 20_000;
    assert!(
        older > 0 && current <= half && older <= half,
        "{current} {older}"
    );
}

#[test]
fn an_idle_replica_costs_little_memory() {
    let mut host = Host::new();
    let keeper = host.start(&["sleep"]);
    host.wait_for("ready");
    let state = keeper.running();
    let private_kib = |pid: u32| -> u64 {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("smaps");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Private_Dirty:"))
            .expect("line");
        line.trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number")
    };
    let kib = private_kib(state.keeper_pid) + private_kib(state.init_pid.expect("init"));
    assert!(
        kib < 512,
        "keeper and process 1 hold {kib} KiB of their own"
    );
}

#[test]
fn what_the_starter_left_open_does_not_reach_the_guest() {
    let mut host = Host::new();
    let leaked = fs::File::open("/etc/hostname").expect("any file");
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).expect("no close-on-exec");
    host.run(&["descriptors"]);
    assert_eq!(host.output(), ["0", "1", "2"]);
}
