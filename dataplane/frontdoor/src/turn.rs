//! The turns of a worker: sleep, events, commands, what is left over, deadlines.

use std::io;
use std::sync::Arc;

use rustix::event::epoll::{Event, EventFlags};

use crate::clock::monotonic_ns;
use crate::config::ns;
use crate::down::Phase;
use crate::mailbox::Command;
use crate::patience::Round;
use crate::poll::{Ready, Token};
use crate::slab::Key;
use crate::worker::{Flow, Worker};

/// Steps of one connection before the others have theirs.
const STEPS_MAX: usize = 16;

impl Worker {
    /// Works until told to stop.
    pub fn run(&mut self) -> io::Result<()> {
        let mut ready = Vec::with_capacity(crate::poll::BATCH);
        while !self.is_finished() {
            self.watch_accepted();
            let timeout_ns = self.sleep_ns();
            self.shared.shards[self.index].wakeups.add(1);
            self.look(&mut ready, timeout_ns)?;
            self.serve_bells();
            self.gather(&mut ready)?;
            self.hand_over();
            self.go_on();
            self.run_ripe();
            self.fire_timers();
            self.shed();
            self.resume_listeners();
            self.bells.unmute(self.io.now_ns, &self.io.poll);
            self.tell_guests();
            self.bells.rest();
        }
        self.close_all();
        Ok(())
    }

    /// Sleeps until something happens, at most `timeout_ns`, and serves it.
    fn look(&mut self, ready: &mut Vec<Event>, timeout_ns: Option<u64>) -> io::Result<()> {
        self.io.poll.wait(ready, timeout_ns)?;
        self.io.now_ns = monotonic_ns();
        self.shared.shards[self.index]
            .events
            .add(ready.len() as u64);
        for &event in &*ready {
            self.event(Ready::of(event));
        }
        Ok(())
    }

    /// Serves what came meanwhile as well, as long as that is worth the wait of those who are to be told.
    fn gather(&mut self, ready: &mut Vec<Event>) -> io::Result<()> {
        let began_ns = self.io.now_ns;
        let mut looks = 0;
        while self.patience.looks_again(&Round {
            events: ready.len(),
            published: self.io.published,
            looks,
            elapsed_ns: self.io.now_ns.saturating_sub(began_ns),
        }) {
            looks += 1;
            self.look(ready, Some(0))?;
        }
        Ok(())
    }

    /// Tells the guests, and serves what they answered while they had this core: one look at shared memory
    /// instead of a look at the kernel. Once only, so that no guest keeps the others from their turn.
    fn hand_over(&mut self) {
        if self.io.published == 0 {
            return;
        }
        let told = self.tell_guests();
        let answered = self.bells.hear();
        self.patience.note(told.published, told.woken, answered);
        if answered {
            self.io.now_ns = monotonic_ns();
            self.serve_bells();
        }
    }

    fn is_finished(&self) -> bool {
        self.stopping
            .is_some_and(|until_ns| self.downs.is_empty() || until_ns <= self.io.now_ns)
    }

    fn sleep_ns(&self) -> Option<u64> {
        let due = !self.goes_on.is_empty() || !self.ripe.is_empty() || !self.io.untold.is_empty();
        if due || self.bells.has_news() {
            return Some(0);
        }
        let next = [
            self.timers.next_ns(),
            self.queues_again_ns,
            self.drains_until_ns(),
            self.listeners_again_ns(),
            self.shed_again_ns(),
            self.bells.again_ns(),
            self.stopping,
        ];
        next.into_iter()
            .flatten()
            .min()
            .map(|at_ns| at_ns.saturating_sub(self.io.now_ns))
    }

    fn event(&mut self, event: Ready) {
        match event.token {
            Token::Mailbox => self.read_mailbox(),
            Token::Listener(key) => self.accept(key),
            Token::Down(key) => {
                if let Some(down) = self.downs.get_mut(key) {
                    down.conn.note(event.flags);
                    self.drive(key);
                }
            }
            Token::Up(key) => self.up_event(key, event.flags),
            Token::Probe(key) => self.probe_event(key, event.flags),
            Token::Bell(key) => {
                self.shared.shards[self.index].bells.add(1);
                self.bells.rang(key);
            }
        }
    }

    fn up_event(&mut self, key: Key, flags: EventFlags) {
        let Some(up) = self.ups.get_mut(key) else {
            return;
        };
        up.conn.note(flags);
        match up.owner {
            Some(owner) => self.drive(owner),
            // Whatever an idle connection says, it cannot be used any more.
            None => self.close_up(key),
        }
    }

    fn read_mailbox(&mut self) {
        let shared = Arc::clone(&self.shared);
        for command in shared.mailboxes[self.index].take() {
            match command {
                Command::Adopt(socket, peer) => self.adopt(socket, peer),
                Command::Probe(order) => self.start_probe(order),
                Command::Drain(wait) => {
                    self.drains.push(wait);
                    self.drains_ripe = true;
                }
                Command::CheckDrains => self.drains_ripe = true,
                Command::RunQueues => self.ripe.extend(self.queues.keys()),
                Command::RoutesChanged => {
                    self.close_drained();
                    self.ripe.extend(self.queues.keys());
                }
                Command::Upgrade(holder, upgrade) => self.upgrade(&holder, upgrade),
                Command::Cut(holder) => self.cut_up(&holder),
                Command::Stop => self.begin_stop(),
            }
        }
    }

    fn begin_stop(&mut self) {
        self.stopping = Some(self.io.now_ns + ns(self.shared.timeouts.shutdown));
        self.close_listeners();
        self.drains_ripe = true;
        for key in self.downs.keys() {
            let Some(down) = self.downs.get_mut(key) else {
                continue;
            };
            down.exchange.keep_alive = false;
            if down.phase == Phase::Head
                && down.conn.received.is_empty()
                && down.conn.unsent.is_empty()
            {
                self.close_down(key);
            }
        }
    }

    /// Steps a connection until it waits.
    pub fn drive(&mut self, key: Key) {
        let before = self.io.moved;
        self.step(key);
        let moved = self.io.moved.wrapping_sub(before);
        if let Some(down) = self.downs.get_mut(key) {
            down.pace.note(moved, self.io.now_ns);
        }
    }

    fn step(&mut self, key: Key) {
        for _ in 0..STEPS_MAX {
            let Some(down) = self.downs.get(key) else {
                return;
            };
            if down.conn.hung_up && down.phase != Phase::Tunnel {
                return self.client_gone(key);
            }
            let flow = match down.phase {
                Phase::Head => self.step_head(key),
                Phase::Waiting => self.step_waiting(key),
                Phase::Active => self.step_active(key),
                Phase::Tunnel => self.step_tunnel(key),
                Phase::Discard => self.step_discard(key),
                Phase::Closing => self.step_closing(key),
                Phase::Linger => self.step_linger(key),
            };
            match flow {
                Flow::Again => {}
                Flow::Yield => break,
                Flow::Wait => return self.arm(key),
                Flow::Gone => return,
            }
        }
        if let Some(down) = self.downs.get_mut(key) {
            if !down.goes_on {
                down.goes_on = true;
                self.goes_on.push_back(key);
            }
        }
        self.arm(key);
    }

    fn go_on(&mut self) {
        for _ in 0..self.goes_on.len() {
            let Some(key) = self.goes_on.pop_front() else {
                break;
            };
            if let Some(down) = self.downs.get_mut(key) {
                down.goes_on = false;
                self.drive(key);
            }
        }
    }

    fn run_ripe(&mut self) {
        if !self.ripe.is_empty() {
            let mut ripe = std::mem::take(&mut self.ripe);
            ripe.sort_unstable();
            ripe.dedup();
            for id in ripe {
                self.run_queue(id);
            }
        }
        if self
            .queues_again_ns
            .is_some_and(|at_ns| at_ns <= self.io.now_ns)
        {
            self.queues_again_ns = None;
            self.ripe.extend(self.queues.keys());
        }
        if self.drains_ripe
            || self
                .drains_until_ns()
                .is_some_and(|at_ns| at_ns <= self.io.now_ns)
        {
            self.drains_ripe = false;
            self.check_drains();
        }
    }

    fn fire_timers(&mut self) {
        // Whatever fires now may be armed again for a later time only, so this comes to an end.
        while let Some(word) = self.timers.pop_due(self.io.now_ns) {
            match Token::unpack(word) {
                Token::Down(key) => self.expire_down(key),
                Token::Up(key) => self.expire_up(key),
                Token::Probe(key) => self.expire_probe(key),
                Token::Mailbox | Token::Listener(_) | Token::Bell(_) => {}
            }
        }
    }

    fn close_all(&mut self) {
        for key in self.probes.keys() {
            self.end_probe(key, None);
        }
        for key in self.downs.keys() {
            self.client_gone(key);
        }
        for key in self.ups.keys() {
            self.close_up(key);
        }
        self.check_drains();
        debug_assert_eq!(self.io.pool.lent_bytes(), 0, "a buffer was not given back");
    }
}
