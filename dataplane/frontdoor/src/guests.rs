//! Connections of guests to the gateway, counted apart: a hostile sandbox that opens as many as it can takes
//! no place from clients, and few from other sandboxes. The same holds for their requests to the provider.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::config::Limits;

/// What one sandbox has.
#[derive(Clone, Copy, Default)]
struct Held {
    connections: usize,
    /// Requests that the provider works on.
    provider: usize,
}

/// What guests have.
#[derive(Default)]
pub struct Guests {
    by_address: HashMap<IpAddr, Held>,
    total: Held,
}

impl Guests {
    /// Connections of all guests.
    pub fn total(&self) -> usize {
        self.total.connections
    }

    /// Counts one more connection of the sandbox at `address`; false: it has, or all have, as many as they may.
    pub fn enter(&mut self, address: IpAddr, limits: &Limits) -> bool {
        let held = self.by_address.get(&address).copied().unwrap_or_default();
        if held.connections >= limits.connections_per_guest_max
            || self.total.connections >= limits.guest_connections_max
        {
            return false;
        }
        self.by_address.entry(address).or_default().connections += 1;
        self.total.connections += 1;
        true
    }

    /// One of its connections is closed.
    pub fn leave(&mut self, address: IpAddr) {
        let Some(held) = self.by_address.get_mut(&address) else {
            return;
        };
        held.connections -= 1;
        self.total.connections -= 1;
        if held.connections == 0 {
            self.by_address.remove(&address);
        }
    }

    /// Counts one more request to the provider on a connection counted before; false: too many.
    pub fn enter_provider(&mut self, address: IpAddr, limits: &Limits) -> bool {
        let Some(held) = self.by_address.get_mut(&address) else {
            return false;
        };
        if held.provider >= limits.provider_per_guest_max
            || self.total.provider >= limits.provider_guests_max
        {
            return false;
        }
        held.provider += 1;
        self.total.provider += 1;
        true
    }

    /// One of these requests is over; called before its connection is closed.
    pub fn leave_provider(&mut self, address: IpAddr) {
        if let Some(held) = self.by_address.get_mut(&address) {
            held.provider -= 1;
            self.total.provider -= 1;
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

    #[test]
    fn guests_get_a_part_of_the_provider_only() {
        let limits = Limits {
            provider_per_guest_max: 2,
            provider_guests_max: 3,
            ..Limits::default()
        };
        let [a, b] = [1, 2].map(|n| IpAddr::from([10, 62, 0, n]));
        let mut guests = Guests::default();
        assert!(!guests.enter_provider(a, &limits), "it has no connection");
        assert!(guests.enter(a, &limits) && guests.enter(b, &limits));
        assert!(guests.enter_provider(a, &limits) && guests.enter_provider(a, &limits));
        assert!(!guests.enter_provider(a, &limits));
        assert!(guests.enter_provider(b, &limits) && !guests.enter_provider(b, &limits));
        guests.leave_provider(a);
        assert!(guests.enter_provider(b, &limits));
        (0..2).for_each(|_| guests.leave_provider(b));
        guests.leave_provider(a);
        assert_eq!(guests.total.provider, 0);
    }
}
