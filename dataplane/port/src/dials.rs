//! Connections of the platform to a guest's listeners that are open, by the name of the platform's end.
//!
//! A guest that asks for a ring names the connection by a descriptor of its end. The name of the other end
//! tells which dial it is: names are unique in a socket namespace as long as their socket lives.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use jd_link::Owner;

/// Entries from which on dead ones are looked for.
const SWEEP_MIN: usize = 64;

/// Source and destination of a connection.
type Ends = (SocketAddr, SocketAddr);

struct Table {
    owners: HashMap<Ends, Weak<dyn Owner>>,
    sweep_at: usize,
}

/// The open dials of one sandbox.
pub(crate) struct Dials(Mutex<Table>);

impl Default for Dials {
    fn default() -> Self {
        Self(Mutex::new(Table {
            owners: HashMap::new(),
            sweep_at: SWEEP_MIN,
        }))
    }
}

impl Dials {
    /// Notes who holds the platform's end of a connection.
    pub fn put(&self, source: SocketAddr, destination: SocketAddr, owner: &Arc<dyn Owner>) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.owners.len() >= table.sweep_at {
            table.owners.retain(|_, owner| owner.strong_count() > 0);
            // Sweeps cost as much as they free only if they come twice as late each time nothing is freed.
            table.sweep_at = SWEEP_MIN.max(table.owners.len() * 2);
        }
        table
            .owners
            .insert((source, destination), Arc::downgrade(owner));
    }

    /// Who holds the platform's end, if it is still held.
    pub fn owner(&self, source: SocketAddr, destination: SocketAddr) -> Option<Arc<dyn Owner>> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.owners.get(&(source, destination))?.upgrade()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jd_link::Upgrade;

    struct Nobody;

    impl Owner for Nobody {
        fn upgrade(self: Arc<Self>, _: Upgrade) {}
        fn cut(self: Arc<Self>) {}
    }

    #[test]
    fn closed_connections_are_forgotten() {
        let dials = Dials::default();
        let end = |port| SocketAddr::from(([10, 62, 0, 1], port));
        let kept: Arc<dyn Owner> = Arc::new(Nobody);
        dials.put(end(1), end(80), &kept);
        for port in 2..2_000 {
            dials.put(end(port), end(80), &(Arc::new(Nobody) as Arc<dyn Owner>));
        }
        assert!(dials.owner(end(1), end(80)).is_some());
        assert!(dials.owner(end(1), end(81)).is_none());
        assert!(dials.owner(end(2), end(80)).is_none());
        assert!(dials.0.lock().expect("table").owners.len() <= SWEEP_MIN);
    }
}
