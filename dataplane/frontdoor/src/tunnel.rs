//! Bytes both ways on an upgraded connection, with half-closed ends passed on.

use crate::conn::{Conn, Io};
use crate::relay::HIGH_WATER_BYTES;

const TURNS_MAX: usize = 8;

/// How far a tunnel came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnelled {
    Waits,
    GoesOn,
    /// Both ends are closed, or one is gone.
    Over,
}

/// Moves what can be moved.
pub fn tunnel(client: &mut Conn, function: &mut Conn, io: &mut Io) -> Tunnelled {
    for _ in 0..TURNS_MAX {
        let before = io.moved;
        if !one_way(client, function, io) || !one_way(function, client, io) {
            return Tunnelled::Over;
        }
        let closed =
            |from: &Conn, to: &Conn| from.ended && from.received.is_empty() && to.unsent.is_empty();
        if closed(client, function) && closed(function, client) {
            return Tunnelled::Over;
        }
        if io.moved == before {
            return Tunnelled::Waits;
        }
    }
    Tunnelled::GoesOn
}

/// False: one end is gone.
fn one_way(from: &mut Conn, to: &mut Conn, io: &mut Io) -> bool {
    if to.unsent.len() < HIGH_WATER_BYTES {
        if from.received.is_empty() && from.fill(io).is_err() {
            return false;
        }
        if !from.received.is_empty() {
            let length = from.received.len();
            to.unsent
                .take_from(&mut from.received, length, &mut io.pool);
        }
    }
    if !to.unsent.is_empty() && to.flush(io, false).is_err() {
        return false;
    }
    if from.ended && to.unsent.is_empty() {
        to.end_sending();
    }
    true
}
