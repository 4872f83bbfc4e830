//! Bytes through the shim: the same program with and without rings says the same.
mod support;

use support::twins::{text, twins};

const BULK: usize = 10 << 20;

/// The byte at an offset of the endless stream that the programs compute too.
fn stream(from: usize, len: usize) -> Vec<u8> {
    (from..from + len)
        .map(|at| ((at as u64).wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
        .collect()
}

#[test]
fn every_call_answers_as_on_a_socket() {
    let transcript = twins("transfer", "every_call", |peer, _, _| {
        let mut said = String::new();
        peer.send(b"abcdefg");
        said += &text(&peer.take(1));
        peer.send(b"hijklmn");
        said += &text(&peer.take(7));
        peer.send(b"one");
        said += &text(&peer.take(5));
        peer.send(b"two");
        said += &text(&peer.take(2));
        peer.send(b"six");
        said += &text(&peer.take(7));
        peer.send(b"ab");
        let (rest, end) = peer.rest();
        said + &text(&rest) + &end
    });
    assert!(transcript.contains("closed: -1 EBADF"), "{transcript}");
    assert!(transcript.contains("line 4999 of a file"), "{transcript}");
}

#[test]
fn flags_are_obeyed() {
    twins("transfer", "flags", |peer, _, _| {
        peer.take(1);
        peer.send(b"0123456789");
        peer.take(1);
        std::thread::sleep(std::time::Duration::from_millis(20));
        peer.send(b"abc");
        std::thread::sleep(std::time::Duration::from_millis(20));
        peer.send(b"defghij");
        peer.take(1);
        peer.send(b"next");
        peer.take(1);
        peer.send(b"lowest");
        text(&peer.rest().0)
    });
}

#[test]
fn ten_megabytes_go_both_ways() {
    twins("transfer", "bulk", |peer, _, _| {
        for at in (0..BULK).step_by(1 << 16) {
            peer.send(&stream(at, (1 << 16).min(BULK - at)));
        }
        assert!(peer.take(BULK) == stream(0, BULK), "the stream is garbled");
        peer.send(b"done");
        peer.rest().1
    });
}

#[test]
fn two_threads_share_a_connection() {
    twins("transfer", "duplex", |peer, _, _| {
        peer.line().pause(true);
        std::thread::sleep(std::time::Duration::from_millis(50));
        peer.line().pause(false);
        peer.send(&stream(0, BULK));
        assert!(peer.take(BULK) == stream(0, BULK), "the stream is garbled");
        peer.rest().1
    });
}

#[test]
fn ends_come_after_the_data() {
    twins("transfer", "half_close", |peer, _, _| {
        peer.send(b"last");
        peer.line().end_sending();
        let (rest, end) = peer.rest();
        text(&rest) + &end
    });
}

#[test]
fn a_closed_host_breaks_the_pipe() {
    twins("transfer", "broken", |peer, _, _| {
        peer.send(b"last");
        peer.wait_until_sent();
        peer.line().close();
        String::new()
    });
}

#[test]
fn a_dead_host_wakes_who_waits() {
    twins("transfer", "death", |peer, _, _| {
        peer.take(7);
        std::thread::sleep(std::time::Duration::from_millis(50));
        peer.line().die();
        String::new()
    });
}

#[test]
fn a_shut_reader_still_writes() {
    twins("transfer", "shut_reading", |peer, _, _| {
        peer.send(b"four");
        text(&peer.rest().0)
    });
}
