//! Which sandboxes are attached, by name.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::inbox::Inbox;
use crate::shared::Shared;

/// Number of the workers that serve one sandbox only.
const ALONE: usize = usize::MAX;

/// An attached sandbox and the worker that serves it.
#[derive(Clone)]
pub(crate) struct Entry {
    pub shared: Arc<Shared>,
    /// Its number; [`ALONE`]: it has one of its own.
    pub worker: usize,
    pub inbox: Arc<Inbox>,
}

/// The attached sandboxes.
#[derive(Default)]
pub(crate) struct Registry {
    entries: RwLock<HashMap<String, Entry>>,
}

impl Registry {
    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Entry>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, name: &str) -> Option<Entry> {
        self.read().get(name).cloned()
    }

    pub fn all(&self) -> Vec<Entry> {
        self.read().values().cloned().collect()
    }

    /// Adds a sandbox on the least loaded of `workers`.
    pub fn add(&self, shared: &Arc<Shared>, workers: &[Arc<Inbox>]) -> io::Result<usize> {
        let mut entries = self.write();
        if entries.contains_key(&shared.name) {
            let text = format!("sandbox {} is attached already", shared.name);
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let load = |worker: &usize| {
            entries
                .values()
                .filter(|entry| entry.worker == *worker)
                .count()
        };
        let worker = (0..workers.len()).min_by_key(load).unwrap_or(0);
        entries.insert(
            shared.name.clone(),
            Entry {
                shared: Arc::clone(shared),
                worker,
                inbox: Arc::clone(&workers[worker]),
            },
        );
        Ok(worker)
    }

    /// A sandbox has a worker of its own from now on.
    pub fn moved(&self, id: u64, inbox: Arc<Inbox>) {
        let mut entries = self.write();
        if let Some(entry) = entries.values_mut().find(|entry| entry.shared.id == id) {
            (entry.worker, entry.inbox) = (ALONE, inbox);
        }
    }

    /// The way to the worker of a sandbox.
    pub fn inbox_of(&self, id: u64) -> Option<Arc<Inbox>> {
        let entries = self.read();
        let entry = entries.values().find(|entry| entry.shared.id == id)?;
        Some(Arc::clone(&entry.inbox))
    }

    /// Removes a sandbox by its number: its name may belong to a newer one already.
    pub fn remove(&self, id: u64) {
        self.write().retain(|_, entry| entry.shared.id != id);
    }
}
