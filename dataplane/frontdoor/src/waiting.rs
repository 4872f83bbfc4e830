//! Requests that wait: into the queue, out of it in order, and away when their client is.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::Arc;

use crate::config::ns;
use crate::deadlines::Deadline;
use crate::dispatch::Why;
use crate::down::Phase;
use crate::queue::Queue;
use crate::reply;
use crate::slab::Key;
use crate::table::Function;
use crate::worker::{Flow, Worker};

/// Requests that may wait for replicas which are not there yet or cannot be reached now, whatever `queue_max`
/// says: that one is about a function that is busy, and 0 for one whose watchdog refuses what is over its limit.
const COLD_QUEUE_MAX: u32 = 1024;

/// Requests taken from one queue before others have their turn.
const BURST: usize = 64;

/// When a queue is looked at again although nothing happened: replicas that could not be connected to may
/// take connections now, and a control plane that was away may have missed that one is wanted.
const UNREACHABLE_AGAIN_NS: u64 = 5_000_000;
const NOBODY_AGAIN_NS: u64 = 1_000_000_000;

impl Worker {
    /// Lets a request wait, or refuses it.
    pub fn wait(&mut self, key: Key, function: &Arc<Function>, why: Why) {
        let settings = &function.settings;
        if why == Why::Nobody && !settings.scale_from_zero {
            return self.answer(key, &reply::no_replica(&function.name));
        }
        let state = &function.state;
        let queue_max = match why {
            Why::Busy => settings.queue_max,
            Why::Behind | Why::Unreachable | Why::Nobody => settings.queue_max.max(COLD_QUEUE_MAX),
        };
        let full = state.queued.fetch_add(1, Relaxed) >= queue_max;
        if full || self.io.pool.is_exhausted() {
            state.queued.fetch_sub(1, Relaxed);
            state.shards[self.index].rejected.add(1);
            return self.answer(key, &reply::queue_full(function, why));
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
            Why::Busy | Why::Behind => return,
            Why::Unreachable => UNREACHABLE_AGAIN_NS,
            Why::Nobody => NOBODY_AGAIN_NS,
        };
        let mut at_ns = self.io.now_ns + again_ns;
        if function.state.may_want(self.io.now_ns) {
            self.shared
                .events
                .wanted(&function.name, &function.namespace);
        } else {
            // The last one was for a replica that has come and gone; this request's own is still to be told.
            at_ns = at_ns.min(function.state.may_want_at_ns());
        }
        self.queues_again_ns = Some(self.queues_again_ns.map_or(at_ns, |known| known.min(at_ns)));
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
