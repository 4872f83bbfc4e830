//! How exchanges and connections end: completed, answered by the front door, cut, or out of time.

use jd_http::BodyDecoder;

use crate::config::ns;
use crate::deadlines::{Deadline, NEVER};
use crate::down::Phase;
use crate::headers::{push_reply, Backward, Reply};
use crate::reply;
use crate::slab::Key;
use crate::stats::CLIENT_GONE;
use crate::steps::DROPPED_BYTES_MAX;
use crate::table::{Function, Replica};
use crate::worker::Worker;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

impl Worker {
    /// The response is complete.
    pub fn complete(&mut self, key: Key) {
        let Some(down) = self.downs.get(key) else {
            return;
        };
        let reuse = down.exchange.request_body.is_done();
        self.end_exchange(key, reuse);
        self.next_phase(key);
    }

    /// Answers a request instead of its function. A client that has a part of a response already is cut off.
    pub fn answer(&mut self, key: Key, reply: &Reply) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        if down.exchange.status.is_some() {
            return self.cut(key);
        }
        let exchange = &mut down.exchange;
        if exchange.expects_continue {
            // The client may now send the body or not: what follows could not be told from a request.
            exchange.keep_alive = false;
        }
        let too_long = exchange
            .request_body
            .remaining()
            .is_some_and(|left| left > DROPPED_BYTES_MAX as u64);
        exchange.keep_alive &= !too_long;
        exchange.status = Some(reply.status);
        let backward = Backward {
            exchange,
            served_by: &self.shared.served_by,
            now_ns: self.io.now_ns,
        };
        push_reply(down.conn.unsent.back(&mut self.io.pool), reply, &backward);
        self.end_exchange(key, false);
        self.next_phase(key);
    }

    /// Answers and ends the connection: where the next request would begin is not known.
    pub fn answer_and_close(&mut self, key: Key, reply: &Reply) {
        if let Some(down) = self.downs.get_mut(key) {
            down.exchange.keep_alive = false;
        }
        self.answer(key, reply);
    }

    /// After a response: the rest of the request, the next request, or the end.
    pub fn next_phase(&mut self, key: Key) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        down.deadlines.clear_all();
        down.dropped = 0;
        down.phase = match (
            down.exchange.keep_alive,
            down.exchange.request_body.is_done(),
        ) {
            (false, _) => Phase::Closing,
            (true, false) => Phase::Discard,
            (true, true) => Phase::Head,
        };
        if down.phase == Phase::Head {
            down.deadlines.set(
                Deadline::Idle,
                self.io.now_ns.saturating_add(ns(self.shared.timeouts.idle)),
            );
        }
    }

    /// Gives back all that an exchange holds, and counts it.
    pub fn end_exchange(&mut self, key: Key, reuse: bool) {
        self.leave_queue(key);
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let exchange = &mut down.exchange;
        exchange.request.clear();
        exchange.request.release(&mut self.io.pool);
        let (up, replica) = (exchange.up.take(), exchange.replica.take());
        let function = exchange.function.take();
        if let Some(guest) = exchange.provider_guest.take() {
            self.guests.leave_provider(guest);
        }
        let (status, bytes) = (
            exchange.status.unwrap_or(CLIENT_GONE),
            (exchange.bytes_in, exchange.bytes_out),
        );
        let duration_ns = self.io.now_ns.saturating_sub(exchange.started_ns);
        if let Some(up) = up {
            if reuse {
                self.give_back_up(up)
            } else {
                self.close_up(up)
            }
        }
        let Some(function) = function else { return };
        let shard = &function.state.shards[self.index];
        shard.finished(status, duration_ns);
        shard.bytes_in.add(bytes.0);
        shard.bytes_out.add(bytes.1);
        if let Some(replica) = replica {
            shard.in_flight.subtract(1);
            self.give_place_back(&function, &replica);
        }
    }

    /// The client is not there any more: what is done for it is cancelled.
    pub fn client_gone(&mut self, key: Key) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        if matches!(down.phase, Phase::Waiting | Phase::Active) {
            down.exchange.status = Some(CLIENT_GONE);
        }
        self.end_exchange(key, false);
        self.close_down(key);
    }

    /// Ends a connection in the middle of a response, so that the client cannot take it for complete.
    pub fn cut(&mut self, key: Key) {
        self.end_exchange(key, false);
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        // What the function sent before it broke off may help; if it cannot be sent now, it is lost.
        let _ = down.conn.flush(&mut self.io, false);
        if down.exchange.response_body.remaining().is_none()
            && down.exchange.version == jd_http::Version::Http10
        {
            // Only a reset tells an HTTP/1.0 client that the end is not the end.
            down.conn.reset_on_close();
        }
        self.close_down(key);
    }

    /// Closes a client's connection.
    pub fn close_down(&mut self, key: Key) {
        let Some(mut down) = self.downs.remove(key) else {
            return;
        };
        self.timers.remove(down.timer);
        if let Some(guest) = down.guest {
            self.guests.leave(guest);
        }
        down.conn.received.clear();
        down.conn.unsent.clear();
        down.conn.release(&mut self.io);
        self.shared.shards[self.index].connections.subtract(1);
    }

    /// Arms the timer of a connection for its earliest deadline.
    pub fn arm(&mut self, key: Key) {
        let Some(down) = self.downs.get(key) else {
            return;
        };
        let at_ns = down.deadlines.earliest();
        if at_ns != NEVER {
            self.timers.arm(down.timer, at_ns);
        }
    }

    /// A deadline of a connection may be over.
    pub fn expire_down(&mut self, key: Key) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let Some(deadline) = down.deadlines.due(self.io.now_ns) else {
            return self.arm(key);
        };
        let function = down.exchange.function.clone();
        down.deadlines.clear(deadline);
        match deadline {
            Deadline::Head => {
                down.exchange.reset();
                down.exchange.request_body = BodyDecoder::new(jd_http::Framing::None);
                self.answer_and_close(key, &reply::too_slow());
            }
            Deadline::Body if down.phase == Phase::Active => {
                self.answer_and_close(key, &reply::too_slow())
            }
            Deadline::ProviderBody if !down.exchange.request_body.is_done() => {
                self.answer_and_close(key, &reply::too_slow());
            }
            Deadline::ProviderBody => {}
            Deadline::Exec => match function {
                Some(function) => self.answer(key, &reply::exec_timeout(&function)),
                None => self.cut(key),
            },
            Deadline::Queue => match function {
                Some(function) if function.replicas.is_empty() => {
                    self.answer(key, &reply::no_replica(&function.name));
                }
                Some(function) => self.answer(key, &queue_timeout(&function)),
                None => self.cut(key),
            },
            Deadline::Idle | Deadline::Close => {
                self.end_exchange(key, false);
                return self.close_down(key);
            }
            Deadline::Body | Deadline::Write | Deadline::HalfClosed => {
                return self.client_gone(key)
            }
        }
        self.drive(key);
    }
}

/// What a request gets that waited too long for replicas which are there.
fn queue_timeout(function: &Function) -> Reply {
    let unreachable = |replica: &Arc<Replica>| replica.failures.load(Relaxed) > 0;
    if function.replicas.iter().all(unreachable) {
        return reply::function_gone(&function.name);
    }
    reply::no_replica(&function.name)
}
