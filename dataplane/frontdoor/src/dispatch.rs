//! Gives requests to replicas or to the provider, or lets them wait.

use std::io;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::Arc;

use crate::config::ns;
use crate::deadlines::Deadline;
use crate::down::Phase;
use crate::mailbox::Command;
use crate::pick::{pick, Pick};
use crate::queue::Queue;
use crate::reply;
use crate::slab::Key;
use crate::table::{Function, Replica};
use crate::worker::{Flow, Worker};

/// Requests taken from one queue before others have their turn.
const BURST: usize = 64;

/// When a queue is looked at again although nothing happened: replicas that could not be connected to may
/// take connections now, and a control plane that was away may have missed that one is wanted.
const UNREACHABLE_AGAIN_NS: u64 = 5_000_000;
const NOBODY_AGAIN_NS: u64 = 1_000_000_000;

/// Why a request cannot be served at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Busy,
    Unreachable,
    Nobody,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Worker {
    fn waiting_bit(&self) -> u64 {
        1 << self.index
    }

    /// Serves a request to a function, or lets it wait.
    pub fn dispatch(&mut self, key: Key) {
        let Some(down) = self.downs.get(key) else {
            return;
        };
        let Some(function) = down.exchange.function.clone() else {
            return;
        };
        let limited = down.exchange.limited;
        function.state.shards[self.index].started.add(1);
        // Whoever waits already came first.
        if limited && self.queues.contains_key(&function.state.id) {
            return self.wait(key, &function, Why::Busy);
        }
        match self.acquire(&function, limited) {
            Ok((replica, up)) => self.start(key, Some(replica), up),
            Err(why) => self.wait(key, &function, why),
        }
    }

    /// A place on a replica and a connection to it.
    fn acquire(&mut self, function: &Function, limited: bool) -> Result<(Arc<Replica>, Key), Why> {
        let limit = if limited {
            function.settings.replica_inflight_max
        } else {
            0
        };
        for _ in 0..=function.replicas.len() {
            let replica = match pick(function, limit, self.io.now_ns) {
                Pick::Replica(replica) => replica,
                Pick::Busy => return Err(Why::Busy),
                Pick::Unreachable => return Err(Why::Unreachable),
                Pick::Nobody => return Err(Why::Nobody),
            };
            match self.connection_to(&replica) {
                Ok(up) => return Ok((replica, up)),
                Err(error) => {
                    log::debug!(
                        "no connection to {}:{}: {error}",
                        replica.sandbox,
                        replica.port
                    );
                    replica.failed(self.io.now_ns);
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
        if waiting & self.waiting_bit() != 0 {
            self.ripe.push(function.state.id);
        } else if waiting != 0 {
            self.shared.mailboxes[waiting.trailing_zeros() as usize].send(Command::RunQueues);
        }
    }

    /// Gives a request its connection. Without a replica it is the provider's.
    fn start(&mut self, key: Key, replica: Option<Arc<Replica>>, up_key: Key) {
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

    fn wait(&mut self, key: Key, function: &Arc<Function>, why: Why) {
        let settings = &function.settings;
        if why == Why::Nobody && !settings.scale_from_zero {
            return self.answer(key, &reply::no_replica(&function.name));
        }
        let state = &function.state;
        if state.queued.fetch_add(1, Relaxed) >= settings.queue_max {
            state.queued.fetch_sub(1, Relaxed);
            state.shards[self.index].rejected.add(1);
            return self.answer(key, &reply::queue_full(function));
        }
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let mut wait_ns = settings.queue_timeout_ms.saturating_mul(1_000_000);
        if why == Why::Unreachable {
            wait_ns = wait_ns.min(ns(self.shared.timeouts.unreachable));
        }
        self.next_ticket += 1;
        down.phase = Phase::Waiting;
        down.exchange.ticket = Some(self.next_ticket);
        down.deadlines
            .set(Deadline::Queue, self.io.now_ns.saturating_add(wait_ns));
        let queue = self
            .queues
            .entry(state.id)
            .or_insert_with(|| Queue::new(Arc::clone(function)));
        queue.push(self.next_ticket, key);
        state.waiting.fetch_or(self.waiting_bit(), SeqCst);
        // A place that became free before the bit was set was told to nobody.
        self.ripe.push(state.id);
    }

    /// Serves those that wait for a function, as far as there are places.
    pub fn run_queue(&mut self, id: u64) {
        for _ in 0..BURST {
            let Some(queue) = self.queues.get(&id) else {
                return;
            };
            let Some(key) = queue.first() else { return };
            let known = Arc::clone(&queue.function);
            let Some(current) = self.routes.load().current(&known).cloned() else {
                self.leave_queue(key);
                self.answer(key, &reply::unknown_function(&known.name, &known.namespace));
                self.drive(key);
                continue;
            };
            match self.acquire(&current, true) {
                Ok((replica, up)) => {
                    self.leave_queue(key);
                    if let Some(down) = self.downs.get_mut(key) {
                        down.exchange.function = Some(current);
                    }
                    self.start(key, Some(replica), up);
                    self.drive(key);
                }
                Err(why) => return self.still_waiting(&current, why),
            }
        }
        self.ripe.push(id);
    }

    fn still_waiting(&mut self, function: &Function, why: Why) {
        let again_ns = match why {
            // A place that becomes free is told.
            Why::Busy => return,
            Why::Unreachable => UNREACHABLE_AGAIN_NS,
            Why::Nobody => NOBODY_AGAIN_NS,
        };
        let at_ns = self.io.now_ns + again_ns;
        self.queues_again_ns = Some(self.queues_again_ns.map_or(at_ns, |known| known.min(at_ns)));
        if function.state.may_want(self.io.now_ns) {
            self.shared
                .events
                .wanted(&function.name, &function.namespace);
        }
    }

    /// Takes a request out of its queue, if it is in one.
    pub fn leave_queue(&mut self, key: Key) {
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let (Some(ticket), Some(function)) = (down.exchange.ticket.take(), &down.exchange.function)
        else {
            return;
        };
        let state = Arc::clone(&function.state);
        let Some(queue) = self.queues.get_mut(&state.id) else {
            return;
        };
        if queue.remove(ticket) {
            state.queued.fetch_sub(1, Relaxed);
        }
        if queue.is_empty() {
            self.queues.remove(&state.id);
            state.waiting.fetch_and(!self.waiting_bit(), SeqCst);
        }
    }

    /// A waiting request needs nothing until a replica is free.
    pub fn step_waiting(&mut self, key: Key) -> Flow {
        self.watch_half_closed(key);
        Flow::Wait
    }
}
