//! The steps of a connection beyond its request head.

use crate::config::ns;
use crate::deadlines::Deadline;
use crate::down::{Down, Phase};
use crate::relay::{Outcome, Relay, HIGH_WATER_BYTES};
use crate::reply;
use crate::slab::Key;
use crate::tunnel::{tunnel, Tunnelled};
use crate::worker::{Flow, Worker};

/// Most bytes of a request that are read and dropped to keep a connection.
pub const DROPPED_BYTES_MAX: usize = 256 << 10;

impl Worker {
    /// A request that has its connection.
    pub fn step_active(&mut self, key: Key) -> Flow {
        let limits = self.http_limits();
        let Some(down) = self.downs.get_mut(key) else {
            return Flow::Gone;
        };
        let Some(up) = down.exchange.up.and_then(|up| self.ups.get_mut(up)) else {
            self.cut(key);
            return Flow::Gone;
        };
        let before = self.io.moved;
        let served_by = &self.shared.served_by;
        let outcome = Relay {
            down,
            up,
            io: &mut self.io,
            limits: &limits,
            served_by,
        }
        .run();
        let behind = up.conn.unsent.len() >= HIGH_WATER_BYTES;
        match outcome {
            Outcome::Waits => {
                let moved = before != self.io.moved;
                self.watch_active(key, moved, behind);
                return Flow::Wait;
            }
            Outcome::GoesOn => return Flow::Yield,
            Outcome::Done => self.complete(key),
            Outcome::Upgraded => self.begin_tunnel(key),
            Outcome::ClientGone => {
                self.client_gone(key);
                return Flow::Gone;
            }
            Outcome::Stale => self.again(key),
            failure => return self.fail(key, failure),
        }
        Flow::Again
    }

    fn again(&mut self, key: Key) {
        let stale = self.downs.get(key).and_then(|down| down.exchange.up);
        if let Some(stale) = stale {
            self.dispatch_again(key, stale);
        }
    }

    fn fail(&mut self, key: Key, failure: Outcome) -> Flow {
        let Some(down) = self.downs.get_mut(key) else {
            return Flow::Gone;
        };
        if down.exchange.status.is_some() {
            // The client has a part of the response: cutting the connection is the only honest sign left.
            self.cut(key);
            return Flow::Gone;
        }
        let name = down
            .exchange
            .function
            .as_ref()
            .map(|function| function.name.clone());
        let name = name.as_deref();
        match failure {
            Outcome::Refused(error) => self.answer_and_close(key, &reply::refused(error)),
            Outcome::TooLarge => {
                let limit = down.exchange.body_bytes_max;
                self.answer_and_close(key, &reply::too_large(limit));
            }
            Outcome::Broke(error) => {
                self.answer(
                    key,
                    &reply::function_broke(name.unwrap_or("the provider"), error),
                );
            }
            _ => {
                let reply = name.map_or_else(reply::provider_gone, reply::function_gone);
                self.answer(key, &reply);
            }
        }
        Flow::Again
    }

    fn begin_tunnel(&mut self, key: Key) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        down.phase = Phase::Tunnel;
        down.deadlines.clear_all();
    }

    fn watch_active(&mut self, key: Key, moved: bool, behind: bool) {
        let timeouts = self.shared.timeouts;
        let now_ns = self.io.now_ns;
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        down.watch_write(now_ns, moved, ns(timeouts.write));
        let at_ns = now_ns.saturating_add(ns(timeouts.body));
        if down.exchange.request_body.is_done() || behind {
            down.deadlines.clear(Deadline::Body);
        } else if moved {
            down.deadlines.set(Deadline::Body, at_ns);
        } else {
            down.deadlines.begin(Deadline::Body, at_ns);
        }
        self.watch_half_closed(key);
    }

    /// A client that sent its whole request and closed its sending side may wait for the response or be gone.
    pub fn watch_half_closed(&mut self, key: Key) {
        let at_ns = self
            .io
            .now_ns
            .saturating_add(ns(self.shared.timeouts.half_closed));
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        if down.conn.half_closed && down.exchange.request_body.is_done() {
            down.deadlines.begin(Deadline::HalfClosed, at_ns);
        }
    }

    /// Bytes both ways.
    pub fn step_tunnel(&mut self, key: Key) -> Flow {
        let Some(down) = self.downs.get_mut(key) else {
            return Flow::Gone;
        };
        let Some(up) = down.exchange.up.and_then(|up| self.ups.get_mut(up)) else {
            self.cut(key);
            return Flow::Gone;
        };
        let before = self.io.moved;
        match tunnel(&mut down.conn, &mut up.conn, &mut self.io) {
            Tunnelled::GoesOn => Flow::Yield,
            Tunnelled::Waits => {
                let at_ns = self
                    .io
                    .now_ns
                    .saturating_add(ns(self.shared.timeouts.tunnel));
                if before == self.io.moved {
                    down.deadlines.begin(Deadline::Close, at_ns);
                } else {
                    down.deadlines.set(Deadline::Close, at_ns);
                }
                Flow::Wait
            }
            Tunnelled::Over => {
                self.end_exchange(key, false);
                self.close_down(key);
                Flow::Gone
            }
        }
    }

    /// Reads the rest of a request whose response is complete.
    pub fn step_discard(&mut self, key: Key) -> Flow {
        let Some(down) = self.downs.get_mut(key) else {
            return Flow::Gone;
        };
        let now_ns = self.io.now_ns;
        let Down { conn, exchange, .. } = down;
        if !conn.unsent.is_empty() && conn.flush(&mut self.io, false).is_err() {
            self.close_down(key);
            return Flow::Gone;
        }
        if conn.received.is_empty() {
            match conn.fill(&mut self.io) {
                Ok(0) if !conn.ended => {
                    down.deadlines.begin(
                        Deadline::Body,
                        now_ns.saturating_add(ns(self.shared.timeouts.body)),
                    );
                    return Flow::Wait;
                }
                Ok(0) | Err(_) => {
                    down.phase = Phase::Closing;
                    return Flow::Again;
                }
                Ok(_) => {}
            }
        }
        let taken = exchange.request_body.take(conn.received.pending());
        let taken = taken.map_or(usize::MAX, |taken| taken.raw);
        if taken == usize::MAX {
            down.phase = Phase::Closing;
            return Flow::Again;
        }
        conn.received.consume(taken);
        down.dropped += taken;
        if exchange.request_body.is_done() {
            self.next_phase(key);
        } else if down.dropped > DROPPED_BYTES_MAX {
            down.phase = Phase::Closing;
        }
        Flow::Again
    }

    /// Sends what is left, then ends the connection.
    pub fn step_closing(&mut self, key: Key) -> Flow {
        let Some(down) = self.downs.get_mut(key) else {
            return Flow::Gone;
        };
        let before = self.io.moved;
        if !down.conn.unsent.is_empty() && down.conn.flush(&mut self.io, false).is_err() {
            self.close_down(key);
            return Flow::Gone;
        }
        if !down.conn.unsent.is_empty() {
            down.watch_write(
                self.io.now_ns,
                before != self.io.moved,
                ns(self.shared.timeouts.write),
            );
            return Flow::Wait;
        }
        let all_read = down.conn.received.is_empty()
            && down.exchange.request_body.is_done()
            && !down.conn.readable;
        if all_read || down.conn.ended {
            self.close_down(key);
            return Flow::Gone;
        }
        down.conn.end_sending();
        down.phase = Phase::Linger;
        down.dropped = 0;
        down.deadlines.clear_all();
        down.deadlines.set(
            Deadline::Close,
            self.io
                .now_ns
                .saturating_add(ns(self.shared.timeouts.linger)),
        );
        Flow::Again
    }

    /// Drops what a client still sends after its connection was ended.
    pub fn step_linger(&mut self, key: Key) -> Flow {
        let Some(down) = self.downs.get_mut(key) else {
            return Flow::Gone;
        };
        down.conn.received.clear();
        match down.conn.fill(&mut self.io) {
            Ok(0) if !down.conn.ended => Flow::Wait,
            Ok(count) if count > 0 && down.dropped < DROPPED_BYTES_MAX => {
                down.dropped += count;
                Flow::Again
            }
            _ => {
                self.close_down(key);
                Flow::Gone
            }
        }
    }
}
