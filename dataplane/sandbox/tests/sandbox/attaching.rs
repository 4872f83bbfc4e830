//! The keeper's side of the attach protocol, with a supervisor that comes and goes.

use std::os::unix::fs::MetadataExt;
use std::thread;

use rustix::process::Signal;

use crate::common::{sys, Host, PATIENCE};
use serde_json::json;

#[test]
fn the_offer_holds_what_the_protocol_says() {
    let mut host = Host::new();
    let offers = host.listen();
    let keeper = host.start(&["sleep"]);
    let offer = offers.recv_timeout(PATIENCE).expect("an offer");
    let state = keeper.running();
    assert_eq!(
        offer.hello,
        json!({"protocol": 1, "sandbox": host.id, "address": "10.62.0.5", "gateway": "10.62.0.1",
               "nameserver": "10.62.0.1", "init_pid": state.init_pid})
    );
    let [_, namespace, pidfd, journal] = offer.descriptors.as_slice() else {
        panic!("four descriptors")
    };
    let facts = rustix::fs::fstat(namespace).expect("namespace");
    let of = |pid: u32| {
        std::fs::metadata(format!("/proc/{pid}/ns/net"))
            .expect("namespace")
            .ino()
    };
    assert_ne!(facts.st_ino, of(std::process::id()), "not the host's");
    assert_ne!(
        facts.st_ino,
        of(state.init_pid.expect("init")),
        "not the guest's"
    );
    let signalled = rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::CONT);
    assert!(signalled.is_ok(), "a pidfd of a living process");
    assert_eq!(rustix::fs::fstat(journal).expect("journal").st_size, 4096);
    assert!(
        rustix::fs::ftruncate(journal, 0).is_err(),
        "its size is sealed"
    );
}

#[test]
fn a_call_waits_for_a_supervisor_and_survives_its_death() {
    let mut host = Host::new();
    let keeper = host.start(&["socket"]);
    keeper.running();
    let offers = host.listen();
    let first = offers
        .recv_timeout(PATIENCE)
        .expect("an offer, though nobody listened at first");
    drop(first); // jnetd dies before it answers anything.
    let second = offers.recv_timeout(PATIENCE).expect("another offer");
    thread::spawn(move || sys::let_everything_go_on(&second.descriptors[0]));
    assert_eq!(keeper.end().exit_code, Some(0));
    assert_eq!(host.output(), ["socket ok"]);
}

#[test]
fn the_connection_ends_with_the_sandbox() {
    let mut host = Host::new();
    let offers = host.listen();
    // One that ends by itself may have ended before anything was offered.
    let keeper = host.start(&["on-term"]);
    let offer = offers.recv_timeout(PATIENCE).expect("an offer");
    host.wait_for("ready");
    keeper.signal(Signal::TERM);
    keeper.end();
    let mut byte = [0_u8; 1];
    assert_eq!(rustix::io::read(&offer.connection, &mut byte), Ok(0));
}
