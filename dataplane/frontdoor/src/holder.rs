//! The worker that holds the platform's end of a connection, as others reach it.

use std::sync::{Arc, OnceLock};

use jd_link::{Owner, Refusal, Toll, Upgrade};

use crate::mailbox::Command;
use crate::slab::Key;
use crate::worker::{Shared, Worker};

/// Names one connection to a replica. Dies with it, so that nobody asks for a connection that is gone.
pub struct Holder {
    shared: Arc<Shared>,
    worker: usize,
    /// Known as soon as the connection is among its worker's.
    key: OnceLock<Key>,
    toll: OnceLock<Arc<Toll>>,
}

impl Holder {
    /// The holder of a connection that `worker` is about to open.
    pub fn new(shared: &Arc<Shared>, worker: usize) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::clone(shared),
            worker,
            key: OnceLock::new(),
            toll: OnceLock::new(),
        })
    }

    /// The connection stands.
    pub fn holds(&self, key: Key) {
        let _ = self.key.set(key);
    }

    /// What waking the connection's guest costs, where that is counted.
    pub fn toll(&self) -> Option<Arc<Toll>> {
        self.toll.get().cloned()
    }
}

impl Owner for Holder {
    fn charge(&self, toll: &Arc<Toll>) {
        let _ = self.toll.set(Arc::clone(toll));
    }

    fn upgrade(self: Arc<Self>, upgrade: Upgrade) {
        let shared = Arc::clone(&self.shared);
        // The worker reads it after it has put the connection among its own.
        shared.mailboxes[self.worker].send(Command::Upgrade(self, upgrade));
    }

    fn cut(self: Arc<Self>) {
        let shared = Arc::clone(&self.shared);
        shared.mailboxes[self.worker].send(Command::Cut(self));
    }
}

impl Worker {
    /// A guest asks to change a connection over to a ring.
    pub fn upgrade(&mut self, holder: &Holder, upgrade: Upgrade) {
        let key = holder.key.get().copied();
        let Some((key, up)) = key.and_then(|key| Some((key, self.ups.get_mut(key)?))) else {
            return upgrade.answer(Err(Refusal::Unsuitable));
        };
        if !upgrade.ticket.take() {
            return;
        }
        let granted = up.conn.change_over(
            &upgrade.rings,
            &mut self.bells,
            self.index,
            &upgrade.guest_end,
            &mut self.io,
        );
        upgrade.answer(granted);
        if let Some(owner) = self.ups.get(key).and_then(|up| up.owner) {
            self.drive(owner);
        }
    }

    /// Ends a connection whose guest does not know that it changed over.
    pub fn cut_up(&mut self, holder: &Holder) {
        let Some(up) = holder.key.get().and_then(|&key| self.ups.get_mut(key)) else {
            return;
        };
        up.conn.give_up();
        match up.owner {
            Some(owner) => self.drive(owner),
            None => holder
                .key
                .get()
                .into_iter()
                .for_each(|&key| self.close_up(key)),
        }
    }
}
