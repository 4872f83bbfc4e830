//! Requests that wait for a replica, first come first served.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::slab::Key;
use crate::table::Function;

/// The queue of one function in one worker.
pub struct Queue {
    /// Some version of the function; the current one is looked up by it.
    pub function: Arc<Function>,
    waiting: BTreeMap<u64, Key>,
}

impl Queue {
    pub fn new(function: Arc<Function>) -> Self {
        Self {
            function,
            waiting: BTreeMap::new(),
        }
    }

    /// Puts a client at the end.
    pub fn push(&mut self, ticket: u64, client: Key) {
        self.waiting.insert(ticket, client);
    }

    /// Who came first.
    pub fn first(&self) -> Option<Key> {
        self.waiting.first_key_value().map(|(_, &client)| client)
    }

    /// Takes a client out, wherever it stands.
    pub fn remove(&mut self, ticket: u64) -> bool {
        self.waiting.remove(&ticket).is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
