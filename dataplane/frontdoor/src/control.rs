//! The control side of the route table: changes it under a lock that no worker takes.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use jd_wire::control as wire;

use crate::route::is_name_byte;
use crate::stats::FunctionStats;
use crate::table::{Function, FunctionState, Replica, RouteTable};

/// A function that cannot be routed.
#[derive(Debug, thiserror::Error)]
pub enum BadFunction {
    /// A name or namespace is empty, or holds what no path segment may.
    #[error("{0:?} is no name: use letters, digits, '-', '_' and '.'")]
    Name(String),
    /// A namespace with a dot could not be told from the name before it.
    #[error("the namespace {0:?} may not hold a dot")]
    Namespace(String),
    /// The same sandbox and port twice.
    #[error("replica {sandbox}:{port} is listed twice")]
    Twice {
        /// Which sandbox.
        sandbox: String,
        /// Which port.
        port: u16,
    },
}

#[derive(Default)]
struct Inner {
    functions: BTreeMap<(String, String), Arc<Function>>,
    // Replicas by sandbox, also those out of the table that still have requests.
    sandboxes: HashMap<String, Vec<Weak<Replica>>>,
    next_id: u64,
}

/// Functions and replicas as the control plane put them.
pub struct Registry {
    inner: Mutex<Inner>,
    /// What workers read.
    pub table: Arc<ArcSwap<RouteTable>>,
    workers: usize,
}

impl Registry {
    /// An empty one, for so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            inner: Mutex::default(),
            table: Arc::default(),
            workers,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces a function. Replicas that stay keep their requests; those that go finish them.
    pub fn put(&self, wanted: wire::Function) -> Result<(), BadFunction> {
        check(&wanted)?;
        let mut inner = self.lock();
        let key = (wanted.namespace.clone(), wanted.name.clone());
        let old = inner.functions.get(&key).cloned();
        let replicas = wanted
            .replicas
            .iter()
            .map(|replica| inner.replica(old.as_deref(), replica))
            .collect();
        let state = old.as_ref().map_or_else(
            || Arc::new(FunctionState::new(inner.new_id(), self.workers)),
            |old| Arc::clone(&old.state),
        );
        let function = Function {
            name: wanted.name,
            namespace: wanted.namespace,
            settings: wanted.settings,
            replicas,
            state,
        };
        if let Some(old) = &old {
            retire(old, &function.replicas);
        }
        inner.functions.insert(key, Arc::new(function));
        self.publish(&mut inner);
        Ok(())
    }

    /// Forgets a function; false: it was not there.
    pub fn delete(&self, name: &str, namespace: &str) -> bool {
        let mut inner = self.lock();
        let Some(old) = inner
            .functions
            .remove(&(namespace.to_owned(), name.to_owned()))
        else {
            return false;
        };
        retire(&old, &[]);
        self.publish(&mut inner);
        true
    }

    fn publish(&self, inner: &mut Inner) {
        self.table
            .store(Arc::new(RouteTable::new(inner.functions.values())));
        inner.sandboxes.retain(|_, replicas| {
            replicas.retain(|replica| replica.strong_count() > 0);
            !replicas.is_empty()
        });
    }

    /// The functions as they were put.
    pub fn functions(&self) -> Vec<wire::Function> {
        let inner = self.lock();
        inner
            .functions
            .values()
            .map(|function| as_put(function))
            .collect()
    }

    /// Requests that the replicas of a sandbox are working on.
    pub fn in_flight(&self, sandbox: &str) -> u64 {
        let inner = self.lock();
        let replicas = inner
            .sandboxes
            .get(sandbox)
            .into_iter()
            .flatten()
            .filter_map(Weak::upgrade);
        replicas
            .map(|replica| u64::from(replica.in_flight.load(Ordering::SeqCst)))
            .sum()
    }

    /// Counters of all functions.
    pub fn stats(&self) -> Vec<FunctionStats> {
        let inner = self.lock();
        let row = |function: &Arc<Function>| {
            let state = &function.state;
            let queued = u64::from(state.queued.load(Ordering::Relaxed));
            FunctionStats::of(&function.name, &function.namespace, &state.shards, queued)
        };
        inner.functions.values().map(row).collect()
    }
}

impl Inner {
    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn replica(&mut self, old: Option<&Function>, wanted: &wire::Replica) -> Arc<Replica> {
        let known = old.and_then(|old| {
            old.replicas
                .iter()
                .find(|known| known.sandbox == wanted.sandbox && known.port == wanted.port)
        });
        if let Some(known) = known {
            known.draining.store(wanted.draining, Ordering::SeqCst);
            // Whoever puts it again may know that it listens now.
            known.down_until_ns.store(0, Ordering::Relaxed);
            return Arc::clone(known);
        }
        let replica = Arc::new(Replica::new(
            self.new_id(),
            &wanted.sandbox,
            wanted.port,
            wanted.draining,
        ));
        self.sandboxes
            .entry(wanted.sandbox.clone())
            .or_default()
            .push(Arc::downgrade(&replica));
        replica
    }
}

/// Replicas that are not in the new version get nothing new.
fn retire(old: &Function, kept: &[Arc<Replica>]) {
    for replica in &old.replicas {
        if !kept.iter().any(|other| other.id == replica.id) {
            replica.draining.store(true, Ordering::SeqCst);
        }
    }
}

fn check(function: &wire::Function) -> Result<(), BadFunction> {
    for name in [&function.name, &function.namespace] {
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err(BadFunction::Name(name.clone()));
        }
    }
    if function.namespace.contains('.') {
        return Err(BadFunction::Namespace(function.namespace.clone()));
    }
    let mut seen = std::collections::HashSet::new();
    for replica in &function.replicas {
        if !seen.insert((&replica.sandbox, replica.port)) {
            return Err(BadFunction::Twice {
                sandbox: replica.sandbox.clone(),
                port: replica.port,
            });
        }
    }
    Ok(())
}

fn as_put(function: &Function) -> wire::Function {
    let replicas = function.replicas.iter().map(|replica| wire::Replica {
        sandbox: replica.sandbox.clone(),
        port: replica.port,
        draining: replica.is_draining(),
    });
    wire::Function {
        name: function.name.clone(),
        namespace: function.namespace.clone(),
        settings: function.settings.clone(),
        replicas: replicas.collect(),
    }
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
