//! Gives requests to replicas or to the provider, or lets them wait.

use std::io;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

use crate::config::ns;
use crate::deadlines::Deadline;
use crate::down::Phase;
use crate::mailbox::Command;
use crate::pick::{pick, why_not, Pick};
use crate::reply;
use crate::slab::Key;
use crate::table::{Function, Replica};
use crate::worker::Worker;

/// Why a request cannot be served at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Every replica has as many requests as it may.
    Busy,
    /// There is a place, but others wait before it.
    Behind,
    Unreachable,
    Nobody,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Worker {
    /// This worker in the words of those that have waiting requests.
    pub fn waiting_bit(&self) -> u64 {
        1 << self.index
    }

    /// Serves a request to a function, or lets it wait.
    pub fn dispatch(&mut self, key: Key) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let limited = down.exchange.limited;
        // Taken out and put back, for counting a reference up and down costs as much as routing.
        let Some(function) = down.exchange.function.take() else {
            return;
        };
        function.state.shards[self.index].started.add(1);
        // Whoever waits already came first.
        let found = if limited && self.queues.contains_key(&function.state.id) {
            let limit = function.settings.replica_inflight_max;
            Err(why_not(&function, limit, self.io.now_ns).unwrap_or(Why::Behind))
        } else {
            self.acquire(&function, limited)
        };
        let waits = match &found {
            Ok(_) => None,
            Err(why) => Some((Arc::clone(&function), *why)),
        };
        if let Some(down) = self.downs.get_mut(key) {
            down.exchange.function = Some(function);
        }
        if let Some((function, why)) = waits {
            self.wait(key, &function, why);
        } else if let Ok((replica, up)) = found {
            self.start(key, Some(replica), up);
        }
    }

    /// A place on a replica and a connection to it.
    pub fn acquire(
        &mut self,
        function: &Function,
        limited: bool,
    ) -> Result<(Arc<Replica>, Key), Why> {
        let limit = if limited {
            function.settings.replica_inflight_max
        } else {
            0
        };
        for _ in 0..=function.replicas.len() {
            let replica = match pick(function, limit, self.io.now_ns) {
                Pick::Replica(replica) => replica,
                Pick::None(why) => return Err(why),
            };
            match self.connection_to(&replica) {
                Ok(up) => return Ok((replica, up)),
                Err(error) => {
                    let first = replica.failed(self.io.now_ns);
                    let level = if first {
                        log::Level::Warn
                    } else {
                        log::Level::Debug
                    };
                    log::log!(
                        level,
                        "no connection to {}:{}: {error}",
                        replica.sandbox,
                        replica.port
                    );
                    self.give_place_back(function, &replica);
                }
            }
        }
        Err(Why::Unreachable)
    }

    /// Gives the place on a replica back and lets whoever waits for it know.
    pub fn give_place_back(&mut self, function: &Function, replica: &Replica) {
        if replica.release() && self.shared.drains.load(SeqCst) > 0 {
            if self.index == 0 {
                self.drains_ripe = true;
            } else {
                self.shared.mailboxes[0].send(Command::CheckDrains);
            }
        }
        let waiting = function.state.waiting.load(SeqCst);
        if waiting == 0 {
            return;
        }
        let next = next_worker(waiting, self.index);
        if next == self.index {
            self.ripe.push(function.state.id);
        } else {
            self.shared.mailboxes[next].send(Command::RunQueues);
        }
    }

    /// Gives a request its connection. Without a replica it is the provider's.
    pub fn start(&mut self, key: Key, replica: Option<Arc<Replica>>, up_key: Key) {
        let (Some(down), Some(up)) = (self.downs.get_mut(key), self.ups.get_mut(up_key)) else {
            return;
        };
        let exchange = &mut down.exchange;
        up.owner = Some(key);
        up.wrote = false;
        up.replayable = up.reused;
        up.keep_alive = false;
        up.conn.unsent = std::mem::take(&mut exchange.request);
        if let (Some(_), Some(function)) = (&replica, &exchange.function) {
            function.state.shards[self.index].in_flight.add(1);
        }
        if replica.is_none() && !exchange.request_body.is_done() {
            let at_ns = self
                .io
                .now_ns
                .saturating_add(ns(self.shared.timeouts.provider_body));
            down.deadlines.set(Deadline::ProviderBody, at_ns);
        }
        exchange.replica = replica;
        exchange.up = Some(up_key);
        down.phase = Phase::Active;
        down.deadlines.clear(Deadline::Queue);
        if exchange.exec_timeout_ns > 0 {
            down.deadlines.set(
                Deadline::Exec,
                self.io.now_ns.saturating_add(exchange.exec_timeout_ns),
            );
        }
        // Only now is it worth the client's while to send the body.
        if exchange.expects_continue && down.conn.received.is_empty() {
            down.conn
                .unsent
                .back(&mut self.io.pool)
                .extend_from_slice(CONTINUE);
        }
        exchange.expects_continue = false;
    }

    /// Serves a request to the provider.
    pub fn dispatch_to_provider(&mut self, key: Key) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        if let Some(guest) = down.guest {
            if !self.guests.enter_provider(guest, &self.shared.limits) {
                return self.answer(key, &reply::provider_busy());
            }
            down.exchange.provider_guest = Some(guest);
        }
        match self.connection_to_provider() {
            Ok(Some(up)) => self.start(key, None, up),
            Ok(None) => self.answer(key, &reply::provider_busy()),
            Err(error) => {
                log::debug!("no connection to the provider: {error}");
                self.answer(key, &reply::provider_gone());
            }
        }
    }

    /// Sends a request again on a new connection to the same place; its old one was closed before it was read.
    pub fn dispatch_again(&mut self, key: Key, stale: Key) {
        let Some(mut up) = self
            .ups
            .get_mut(stale)
            .map(|up| std::mem::take(&mut up.conn.unsent))
        else {
            return;
        };
        self.close_up(stale);
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        up.rewind();
        down.exchange.request = up;
        down.exchange.retried = true;
        down.exchange.up = None;
        let replica = down.exchange.replica.clone();
        let opened = match &replica {
            Some(replica) => self.new_connection_to(replica).map(Some),
            None => self.new_connection_to_provider(),
        };
        match opened {
            Ok(Some(up)) => self.resume(key, up),
            Ok(None) => self.answer(key, &reply::provider_busy()),
            Err(error) => self.answer_unreachable(key, &error),
        }
    }

    fn resume(&mut self, key: Key, up_key: Key) {
        let (Some(down), Some(up)) = (self.downs.get_mut(key), self.ups.get_mut(up_key)) else {
            return;
        };
        up.owner = Some(key);
        up.conn.unsent = std::mem::take(&mut down.exchange.request);
        down.exchange.up = Some(up_key);
    }

    fn answer_unreachable(&mut self, key: Key, error: &io::Error) {
        log::debug!("no second connection: {error}");
        let Some(down) = self.downs.get(key) else {
            return;
        };
        let reply = match &down.exchange.function {
            Some(function) => reply::function_gone(&function.name),
            None => reply::provider_gone(),
        };
        self.answer(key, &reply);
    }
}

/// The worker after `own` that has its bit set, around the end and to `own` itself at last: a place that
/// became free goes around, else a worker with many waiting requests would keep the others out.
fn next_worker(waiting: u64, own: usize) -> usize {
    let bits = u64::BITS as usize;
    let shift = u32::try_from((own + 1) % bits).unwrap_or(0);
    let distance = waiting.rotate_right(shift).trailing_zeros() as usize;
    (own + 1 + distance) % bits
}

#[cfg(test)]
mod tests {
    use super::next_worker;

    #[test]
    fn free_places_go_around() {
        assert_eq!(next_worker(0b0001, 0), 0);
        assert_eq!(next_worker(0b0101, 0), 2);
        assert_eq!(next_worker(0b0101, 2), 0);
        assert_eq!(next_worker(0b0101, 1), 2);
        assert_eq!(next_worker(1 << 63, 63), 63);
        assert_eq!(next_worker(1 << 63 | 1, 63), 0);
    }
}
