//! Connections of guests to the gateway, counted apart: a hostile sandbox that opens as many as it can takes
//! no place from clients, and few from other sandboxes.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::config::Limits;

/// How many connections guests have.
#[derive(Default)]
pub struct Guests {
    by_address: HashMap<IpAddr, usize>,
    total: usize,
}

impl Guests {
    /// Connections of all guests.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Counts one more connection of the sandbox at `address`; false: it has, or all have, as many as they may.
    pub fn enter(&mut self, address: IpAddr, limits: &Limits) -> bool {
        let count = self.by_address.entry(address).or_insert(0);
        if *count >= limits.connections_per_guest_max || self.total >= limits.guest_connections_max
        {
            if *count == 0 {
                self.by_address.remove(&address);
            }
            return false;
        }
        *count += 1;
        self.total += 1;
        true
    }

    /// One of its connections is closed.
    pub fn leave(&mut self, address: IpAddr) {
        let Some(count) = self.by_address.get_mut(&address) else {
            return;
        };
        *count -= 1;
        self.total -= 1;
        if *count == 0 {
            self.by_address.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_guest_cannot_take_every_place() {
        let limits = Limits {
            connections_per_guest_max: 2,
            guest_connections_max: 3,
            ..Limits::default()
        };
        let [a, b, c] = [1, 2, 3].map(|n| IpAddr::from([10, 62, 0, n]));
        let mut guests = Guests::default();
        assert!(guests.enter(a, &limits) && guests.enter(a, &limits));
        assert!(!guests.enter(a, &limits));
        assert!(guests.enter(b, &limits) && !guests.enter(c, &limits));
        guests.leave(a);
        assert!(guests.enter(c, &limits));
        guests.leave(a);
        guests.leave(b);
        guests.leave(c);
        assert!(guests.total() == 0 && guests.by_address.is_empty());
    }
}
