//! The library as it is shipped: what it needs of others, and that any dynamic program can load it.
mod support;

use std::collections::BTreeSet;
use std::process::Command;

use support::library;

/// What it may ask of the program that it is loaded into: glibc (2.28 and later) and musl have all of it.
const ALLOWED: [&str; 9] = [
    "__errno_location",
    "dlsym",
    // glibc only, and weak.
    "_r_debug",
    "memcpy",
    "bcmp",
    "strlen",
    "memmove",
    "memset",
    "memcmp",
];

fn readelf(argument: &str) -> String {
    let output = Command::new("readelf")
        .args(["-W", argument])
        .arg(library::shipped())
        .output()
        .expect("readelf runs");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn needs_no_other_library() {
    let dynamic = readelf("--dynamic");
    assert!(!dynamic.contains("NEEDED"), "{dynamic}");
    assert!(dynamic.contains("[libjshim.so]"), "{dynamic}");
    let segments = readelf("--segments");
    assert!(!segments.contains(" TLS "), "{segments}");
    assert!(!segments.contains("INTERP"), "{segments}");
}

#[test]
fn asks_only_for_what_every_libc_has() {
    let symbols = readelf("--dyn-syms");
    let wanted: BTreeSet<&str> = symbols
        .lines()
        .filter(|line| line.contains(" UND "))
        .filter_map(|line| line.split(" UND ").nth(1))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let allowed = BTreeSet::from(ALLOWED);
    assert!(wanted.is_subset(&allowed), "{wanted:?}");
    assert!(!symbols.contains("GLIBC_"), "{symbols}");
}

#[test]
fn stands_in_front_of_the_calls_that_it_promises() {
    let symbols = readelf("--dyn-syms");
    let given: BTreeSet<&str> = symbols
        .lines()
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    for name in [
        "read",
        "readv",
        "recv",
        "recvfrom",
        "recvmsg",
        "write",
        "writev",
        "send",
        "sendto",
        "sendmsg",
        "sendfile",
        "sendfile64",
        "poll",
        "ppoll",
        "select",
        "pselect",
        "epoll_create",
        "epoll_create1",
        "epoll_ctl",
        "epoll_wait",
        "epoll_pwait",
        "epoll_pwait2",
        "accept",
        "accept4",
        "shutdown",
        "close",
        "close_range",
        "closefrom",
        "dup",
        "dup2",
        "dup3",
        "fcntl",
        "fcntl64",
        "ioctl",
        "setsockopt",
        "syscall",
        "fork",
        "_Fork",
        "vfork",
        "clone",
        "daemon",
        "execve",
        "execvp",
        "posix_spawn",
        "fdopen",
        "__read_chk",
        "__recv_chk",
        "__recvfrom_chk",
        "__poll_chk",
        "__ppoll_chk",
        "splice",
        "recvmmsg",
        "sendmmsg",
    ] {
        assert!(given.contains(name), "{name} is not exported");
    }
    assert!(
        !given.contains("rust_eh_personality"),
        "an inner name is exported"
    );
}

#[test]
fn any_dynamic_program_loads_it() {
    let mut programs = vec![
        ("sh", vec!["-c", "echo fine | cat"]),
        ("python3", vec!["-c", "print('fine')"]),
    ];
    if Command::new("node").arg("--version").output().is_ok() {
        programs.push(("node", vec!["-e", "console.log('fine')"]));
    }
    for (program, arguments) in programs {
        let output = Command::new(program)
            .args(&arguments)
            .env("LD_PRELOAD", library::shipped())
            .env("LD_BIND_NOW", "1")
            .output()
            .expect("the program runs");
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.trim() == "fine" && complaint.is_empty(),
            "{program}: {said} {complaint}"
        );
    }
}
