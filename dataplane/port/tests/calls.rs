//! Call by call, the supervisor against the kernel's own TCP: one transcript must come out.

mod support;

use std::process::Command;

use support::{guests, sys, World, ADDRESS};

fn probes() -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg("-u").arg(guests().join("probes.py"));
    command
}

/// Where AF_UNIX cannot do as TCP does, by decision or by nature; each is named in the design.
fn differs(line: &str) -> bool {
    // AF_UNIX tells the reason, TCP only that the pipe is broken; both raise nothing.
    line.contains("send unconnected")
}

#[test]
fn the_transcripts_are_the_same() {
    let mut kernel = probes();
    sys::on_kernel_tcp(&mut kernel, ADDRESS);
    let kernel = kernel.output().unwrap();
    let kernel = String::from_utf8_lossy(&kernel.stdout).into_owned()
        + &String::from_utf8_lossy(&kernel.stderr);
    let ours = World::new().output(&mut probes());
    let both = kernel.lines().zip(ours.lines());
    let different: Vec<_> = both
        .filter(|(kernel, ours)| kernel != ours && !differs(kernel))
        .collect();
    for (kernel, ours) in &different {
        eprintln!("kernel: {kernel}\nours:   {ours}\n");
    }
    assert_eq!(
        kernel.lines().count(),
        ours.lines().count(),
        "kernel:\n{kernel}\nours:\n{ours}"
    );
    assert!(different.is_empty(), "{} probes differ", different.len());
    assert!(kernel.lines().count() > 300, "{kernel}");
}
