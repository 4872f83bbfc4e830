//! Signals, threads and processes through the shim: the same program with and without rings says the same.
mod support;

use std::process::Command;
use std::time::Duration;

use support::guest::{Guest, Mode};
use support::library;
use support::peer::Peer;
use support::player::Player;
use support::twins::{text, twins};

fn after_ms(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

#[test]
fn signals_interrupt_and_restart() {
    twins("process", "interrupted", |peer, _, _| {
        for _ in 0..2 {
            peer.take(1);
            after_ms(80);
            peer.send(b"four");
        }
        peer.rest().1
    });
}

#[test]
fn handlers_of_both_kinds() {
    twins("process", "mixed_signals", |peer, _, _| {
        peer.take(1);
        after_ms(80);
        peer.send(b"four");
        peer.rest().1
    });
}

#[test]
fn masks_hold_while_waiting() {
    twins("process", "mask", |peer, _, _| peer.rest().1);
}

#[test]
fn a_handler_writes_elsewhere() {
    twins("process", "handler_writes", |peer, guest, player| {
        let other = Peer::new(player.connect(guest.port));
        other.warm_up();
        for _ in 0..2_000 {
            peer.send(b"ping");
            assert_eq!(peer.take(4), b"pong");
        }
        let (said, end) = other.rest();
        let said = String::from_utf8(said).expect("text");
        let (marks, count) = said.split_once('=').expect("a count");
        assert_eq!(marks.len().to_string(), count, "a mark was lost");
        end
    });
}

#[test]
fn a_fork_shares_the_descriptor() {
    let transcript = twins("process", "forks", |peer, guest, player| {
        peer.send(b"one.two.");
        let mut said = text(&peer.take(31));
        peer.send(b"six.");
        said += &text(&peer.rest().0);
        let second = Peer::new(player.connect(guest.port));
        second.warm_up();
        said += &text(&second.take(6));
        let third = Peer::new(player.connect(guest.port));
        third.warm_up();
        said += &text(&third.take(5));
        third.send(b"ten.");
        said + &text(&second.rest().0)
    });
    assert!(
        transcript.contains("from the child;from the parent;"),
        "{transcript}"
    );
}

#[test]
fn programs_inherit_what_is_not_close_on_exec() {
    let transcript = twins("process", "execs", |peer, guest, player| {
        let mut said = text(&peer.take(7));
        peer.send(b"a line\n");
        said += &text(&peer.rest().0);
        let next = Peer::new(player.connect(guest.port));
        next.warm_up();
        said + &text(&next.rest().0)
    });
    assert!(transcript.contains("got a line\nafter;"), "{transcript}");
    assert!(
        transcript.contains("still here;spawned\nafter;"),
        "{transcript}"
    );
}

#[test]
fn copies_of_descriptors() {
    twins("process", "copies", |peer, guest, player| {
        let mut said = text(&peer.take(18));
        peer.send(b"one.two.");
        said += &text(&peer.rest().0);
        for (len, reply) in [(5, "six."), (13, "a line\n"), (9, "")] {
            let next = Peer::new(player.connect(guest.port));
            next.warm_up();
            said += &text(&next.take(len));
            next.send(reply.as_bytes());
            said += &text(&next.rest().0);
        }
        said
    });
}

#[test]
fn a_descriptor_is_sent_away() {
    twins("process", "sends_descriptor", |peer, _, _| {
        let said = text(&peer.take(20));
        peer.send(b"four");
        said + &peer.rest().1
    });
}

#[test]
fn closing_everything_spares_what_the_program_does_not_know() {
    twins("process", "closes_all", |peer, _, _| {
        for len in [7, 15, 16] {
            peer.take(len);
            after_ms(10);
            peer.send(b"four");
        }
        peer.rest().1
    });
}

#[test]
fn another_thread_ends_the_wait() {
    twins("process", "shut_while_blocked", |peer, _, _| peer.rest().1);
}

#[test]
fn a_waiting_thread_is_cancelled() {
    twins("process", "cancelled", |peer, _, _| {
        peer.take(1);
        peer.send(b"four");
        peer.rest().1
    });
}

#[test]
fn more_connections_than_slots() {
    twins("process", "many", |peer, guest, player| {
        let all: Vec<Peer> = (0..80)
            .map(|_| Peer::new(player.connect(guest.port)))
            .collect();
        for round in 0..20_u32 {
            all.iter().for_each(|peer| peer.send(&round.to_ne_bytes()));
            all.iter()
                .for_each(|peer| assert_eq!(peer.take(4), round.to_ne_bytes()));
        }
        all.iter().for_each(|peer| peer.line().end_sending());
        all.iter().for_each(|peer| assert_eq!(peer.rest().1, "end"));
        peer.rest().1
    });
}

#[test]
fn names_are_found_without_dlsym() {
    let player = Player::start(true);
    let path = library::program("cc", "process").expect("cc is installed");
    let mut command = Command::new(path);
    command.arg("execs").env("JSHIM_TEST_WALK", "1");
    let guest = Guest::spawn(command, Mode::Rings, &player);
    let peer = Peer::new(player.connect(guest.port));
    peer.warm_up();
    peer.take(7);
    peer.send(b"a line\n");
    assert!(text(&peer.rest().0).starts_with("got a line\nafter;"));
    let next = Peer::new(player.connect(guest.port));
    next.warm_up();
    assert!(text(&next.rest().0).contains("still here;spawned\nafter;"));
    assert_eq!(player.upgrades(), 2);
    assert!(guest.finish().contains("over"));
}

#[test]
fn a_storm_of_waits_and_leavings() {
    twins("process", "storm", |peer, guest, player| {
        let all: Vec<Peer> = (0..12)
            .map(|_| {
                let peer = Peer::new(player.connect(guest.port));
                peer.warm_up();
                peer
            })
            .collect();
        let mut dice = 1_u32;
        for round in 0..60_u32 {
            let sent: Vec<Vec<u8>> = all
                .iter()
                .map(|peer| {
                    dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let len = 1 + dice as usize % if round % 10 == 0 { 150_000 } else { 3_000 };
                    let bytes: Vec<u8> = (0..len)
                        .map(|at| at.wrapping_mul(31).to_le_bytes()[0])
                        .collect();
                    peer.send(&bytes);
                    bytes
                })
                .collect();
            for (peer, sent) in all.iter().zip(sent) {
                assert!(
                    peer.take(sent.len()) == sent,
                    "round {round}: the echo is garbled"
                );
            }
        }
        all.iter().for_each(|peer| peer.line().end_sending());
        all.iter().for_each(|peer| assert_eq!(peer.rest().1, "end"));
        peer.rest().1
    });
}
