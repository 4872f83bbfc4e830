//! Readiness through the shim: the same program with and without rings says the same.
mod support;

use std::time::Duration;

use support::peer::Peer;
use support::twins::{text, twins};

fn after_a_moment() {
    std::thread::sleep(Duration::from_millis(20));
}

#[test]
fn poll_of_one_connection() {
    twins("events", "poll_one", |peer, _, _| {
        for mark in [b"1", b"2"] {
            assert_eq!(peer.take(1), mark);
            after_a_moment();
            peer.send(b"four");
        }
        peer.take(1);
        after_a_moment();
        peer.line().end_sending();
        peer.rest().1
    });
}

#[test]
fn poll_of_several_descriptors() {
    twins("events", "poll_many", |peer, guest, player| {
        let other = Peer::new(player.connect(guest.port));
        other.warm_up();
        peer.take(1);
        after_a_moment();
        peer.send(b"one.");
        peer.take(1);
        after_a_moment();
        other.send(b"two.");
        peer.take(1);
        peer.send(b"one.");
        other.send(b"two.");
        // It closes with bytes unread: on a socket that is a reset, on a ring only an end.
        peer.rest();
        String::new()
    });
}

#[test]
fn select_of_ring_and_pipe() {
    twins("events", "selects", |peer, _, _| {
        peer.take(1);
        after_a_moment();
        peer.send(b"one.");
        peer.take(1);
        after_a_moment();
        peer.send(b"two.");
        String::new()
    });
}

#[test]
fn level_triggered_sets() {
    twins("events", "level", |peer, _, _| {
        for _ in 0..3 {
            peer.take(1);
            after_a_moment();
            peer.send(b"four");
        }
        peer.take(1);
        peer.line().end_sending();
        peer.rest().1
    });
}

#[test]
fn edge_triggered_sets() {
    twins("events", "edge", |peer, _, _| {
        for _ in 0..5 {
            peer.take(1);
            after_a_moment();
            peer.send(b"four");
        }
        peer.take(1);
        peer.line().end_sending();
        peer.rest().1
    });
}

#[test]
fn back_pressure_is_an_event() {
    for scenario in ["pressure", "pressure_level"] {
        twins("events", scenario, |peer, guest, _| {
            peer.line().pause(true);
            let mut said = String::new();
            while !said.ends_with("filled\n") {
                said += &guest.line();
            }
            peer.line().pause(false);
            peer.rest();
            said
        });
    }
}

#[test]
fn sets_of_rings_pipes_timers_and_listeners() {
    twins("events", "mixed", |peer, guest, player| {
        peer.take(1);
        peer.send(b"one.");
        peer.take(1);
        after_a_moment();
        let other = Peer::new(player.connect(guest.port));
        other.warm_up();
        other.take(1);
        after_a_moment();
        other.send(b"two.");
        peer.take(1);
        peer.send(b"one.");
        other.send(b"two.");
        text(&peer.rest().0)
    });
}

#[test]
fn threads_share_a_set() {
    twins("events", "threads", |peer, guest, player| {
        let others = [(); 2].map(|()| Peer::new(player.connect(guest.port)));
        others.iter().for_each(Peer::warm_up);
        let all = [peer, &others[0], &others[1]];
        for _ in 0..200 {
            all.iter().for_each(|peer| peer.send(b"ping"));
            all.iter()
                .for_each(|peer| assert_eq!(peer.take(4), b"pong"));
        }
        String::new()
    });
}

#[test]
fn what_only_the_kernel_can_answer() {
    twins("events", "tangled", |peer, guest, player| {
        peer.take(1);
        after_a_moment();
        peer.send(b"four");
        let other = Peer::new(player.connect(guest.port));
        other.warm_up();
        for _ in 0..2 {
            other.take(1);
            after_a_moment();
            other.send(b"four");
        }
        peer.rest().1
    });
}

#[test]
fn a_dead_host_wakes_every_kind_of_wait() {
    twins("events", "death", |peer, guest, player| {
        let others = [(); 2].map(|()| Peer::new(player.connect(guest.port)));
        others.iter().for_each(Peer::warm_up);
        for peer in [peer, &others[0], &others[1]] {
            peer.take(1);
            after_a_moment();
            peer.line().die();
        }
        String::new()
    });
}
