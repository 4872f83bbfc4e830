//! The port table of one sandbox and one protocol: who may bind and listen where (bind(2), ip(7)).
//!
//! Kept apart from the AF_UNIX names: a port is taken at `bind`, its name exists from `listen` on.
//! Nobody tells when a guest closes a socket, so an entry may be stale; a caller that meets a
//! conflict looks whether that socket is still alive and removes it if not.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use jd_wire::names::Listener;

/// First and last port that is given out where the guest asks for any (`ip_local_port_range`).
pub const EPHEMERAL: (u16, u16) = (32_768, 60_999);

/// Entries of one table; beyond it binding fails.
pub const BINDINGS_MAX: usize = 8192;

/// A bound socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// `SO_COOKIE` of the socket; 0 if it was found again by its name only.
    pub cookie: u64,
    /// Its inode, by which `/proc/net/unix` lists it.
    pub inode: u64,
    /// Address, never a v4-mapped one.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
    /// `AF_INET6`.
    pub v6: bool,
    /// `IPV6_V6ONLY`.
    pub v6_only: bool,
    /// `SO_REUSEADDR`.
    pub reuse_address: bool,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// Its number among the listeners of this port, once it listens.
    pub listening: Option<u16>,
}

impl Binding {
    fn is_wildcard(&self) -> bool {
        self.ip.is_unspecified()
    }

    fn takes_v4(&self) -> bool {
        match self.ip {
            IpAddr::V4(_) => true,
            IpAddr::V6(ip) => ip == Ipv6Addr::UNSPECIFIED && !self.v6_only,
        }
    }

    fn takes_v6(&self) -> bool {
        self.ip.is_ipv6()
    }

    /// Whether an address could reach both.
    fn overlaps(&self, other: &Self) -> bool {
        if self.port != other.port {
            return false;
        }
        let common = (self.takes_v4() && other.takes_v4()) || (self.takes_v6() && other.takes_v6());
        common && (self.ip == other.ip || self.is_wildcard() || other.is_wildcard())
    }

    /// Whether both may be bound.
    fn shares_with(&self, other: &Self) -> bool {
        let ports = self.reuse_port && other.reuse_port;
        let addresses = self.reuse_address && other.reuse_address;
        ports || (addresses && other.listening.is_none())
    }

    /// Whether a packet for `ip` may reach this socket, and how exactly it fits.
    fn fit(&self, ip: IpAddr) -> Option<u8> {
        if self.ip == ip {
            return Some(0);
        }
        let takes = if ip.is_ipv4() {
            self.takes_v4()
        } else {
            self.takes_v6()
        };
        (self.is_wildcard() && takes).then_some(if self.ip.is_ipv4() == ip.is_ipv4() {
            1
        } else {
            2
        })
    }

    /// The AF_UNIX name under which it listens.
    #[must_use]
    pub fn name(&self) -> Option<Listener> {
        self.listening.map(|index| Listener {
            ip: self.ip,
            port: self.port,
            v6: self.v6,
            v6_only: self.v6_only,
            shared: self.reuse_port,
            index,
        })
    }
}

/// Where a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// As a packet to this address would.
    Address(SocketAddr),
    /// The platform itself: also a listener that the guest keeps to its loopback.
    Platform(u16),
}

/// The table.
#[derive(Debug, Default)]
pub struct Ports {
    by_port: BTreeMap<u16, Vec<Binding>>,
    count: usize,
    turn: usize,
}

impl Ports {
    /// The first binding that forbids `wanted` to be bound.
    #[must_use]
    pub fn conflict(&self, wanted: &Binding) -> Option<&Binding> {
        let others = self.by_port.get(&wanted.port)?.iter();
        others
            .filter(|other| !same(other, wanted))
            .find(|other| wanted.overlaps(other) && !wanted.shares_with(other))
    }

    /// The first binding that forbids `wanted` to listen.
    #[must_use]
    pub fn listen_conflict(&self, wanted: &Binding) -> Option<&Binding> {
        let others = self.by_port.get(&wanted.port)?.iter();
        let listening = others.filter(|other| !same(other, wanted) && other.listening.is_some());
        let mut overlapping = listening.filter(|other| wanted.overlaps(other));
        overlapping.find(|other| !(wanted.reuse_port && other.reuse_port))
    }

    /// Records a binding; false: the table is full.
    #[must_use]
    pub fn insert(&mut self, binding: Binding) -> bool {
        if self.count >= BINDINGS_MAX {
            return false;
        }
        self.count += 1;
        self.by_port.entry(binding.port).or_default().push(binding);
        true
    }

    /// The binding of a socket.
    #[must_use]
    pub fn get(&self, port: u16, cookie: u64) -> Option<&Binding> {
        self.by_port
            .get(&port)?
            .iter()
            .find(|binding| binding.cookie == cookie)
    }

    /// Makes a bound socket a listener and numbers it; `None`: it is not in the table.
    pub fn listen(&mut self, port: u16, cookie: u64) -> Option<&Binding> {
        let bindings = self.by_port.get_mut(&port)?;
        let taken: Vec<u16> = bindings
            .iter()
            .filter_map(|binding| binding.listening)
            .collect();
        let binding = bindings
            .iter_mut()
            .find(|binding| binding.cookie == cookie)?;
        if binding.listening.is_none() {
            binding.listening = (0..=u16::MAX).find(|index| !taken.contains(index));
        }
        Some(binding)
    }

    /// Every binding.
    #[must_use]
    pub fn all(&self) -> Vec<Binding> {
        self.by_port.values().flatten().cloned().collect()
    }

    /// Forgets every binding that `gone` tells.
    pub fn remove_if(&mut self, mut gone: impl FnMut(&Binding) -> bool) {
        for bindings in self.by_port.values_mut() {
            bindings.retain(|binding| !gone(binding));
        }
        self.by_port.retain(|_, bindings| !bindings.is_empty());
        self.count = self.by_port.values().map(Vec::len).sum();
    }

    /// The listeners that a connection to `target` may reach, best first. Sockets that share the
    /// port take turns.
    pub fn listeners(&mut self, target: Target) -> Vec<Listener> {
        let port = match target {
            Target::Address(address) => address.port(),
            Target::Platform(port) => port,
        };
        let fit = |binding: &Binding| match target {
            Target::Address(address) => binding.fit(address.ip()),
            Target::Platform(_) => Some(u8::from(binding.ip.is_loopback())),
        };
        let bindings = self
            .by_port
            .get(&port)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let fitting = bindings
            .iter()
            .filter_map(|binding| Some((fit(binding)?, binding.name()?)));
        let mut found: Vec<(u8, Listener)> = fitting.collect();
        if found.len() > 1 {
            self.turn = self.turn.wrapping_add(1);
            let turn = self.turn % found.len();
            found.rotate_left(turn);
            found.sort_by_key(|(fit, _)| *fit);
        }
        found.into_iter().map(|(_, listener)| listener).collect()
    }

    /// The cookie of the socket that a datagram for `target` reaches.
    #[must_use]
    pub fn receiver(&self, target: Target) -> Option<u64> {
        let Target::Address(address) = target else {
            return None;
        };
        let bindings = self.by_port.get(&address.port())?.iter();
        let fitting =
            bindings.filter_map(|binding| Some((binding.fit(address.ip())?, binding.cookie)));
        fitting.min().map(|(_, cookie)| cookie)
    }

    /// Ports with a listener, ascending.
    #[must_use]
    pub fn listening(&self) -> Vec<u16> {
        let has =
            |bindings: &Vec<Binding>| bindings.iter().any(|binding| binding.listening.is_some());
        self.by_port
            .iter()
            .filter(|(_, bindings)| has(bindings))
            .map(|(port, _)| *port)
            .collect()
    }

    /// A free port for `wanted`, looked for from `start` on.
    #[must_use]
    pub fn free_port(&self, wanted: &Binding, start: u16) -> Option<u16> {
        ephemeral_from(start).find(|&port| {
            // A port that anyone has is not given out, as Linux prefers too.
            !self.by_port.contains_key(&port)
                || self
                    .conflict(&Binding {
                        port,
                        ..wanted.clone()
                    })
                    .is_none()
                    && wanted.reuse_port
        })
    }
}

fn same(one: &Binding, other: &Binding) -> bool {
    one.cookie != 0 && one.cookie == other.cookie
}

/// Every ephemeral port once, starting at `start` brought into the range.
pub fn ephemeral_from(start: u16) -> impl Iterator<Item = u16> {
    let (first, last) = EPHEMERAL;
    let span = last - first + 1;
    let start = start % span;
    (0..span).map(move |step| first + (start + step) % span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn binding(cookie: u64, ip: &str) -> Binding {
        let ip: IpAddr = ip.parse().unwrap();
        Binding {
            cookie,
            inode: cookie,
            ip,
            port: 80,
            v6: ip.is_ipv6(),
            v6_only: false,
            reuse_address: false,
            reuse_port: false,
            listening: None,
        }
    }

    fn clash(first: &Binding, second: &Binding) -> bool {
        let mut ports = Ports::default();
        assert!(ports.insert(first.clone()));
        ports.conflict(second).is_some()
    }

    #[test]
    fn the_matrix_of_addresses() {
        let only = Binding {
            v6_only: true,
            ..binding(2, "::")
        };
        for (first, second, want) in [
            (binding(1, "0.0.0.0"), binding(2, "0.0.0.0"), true),
            (binding(1, "0.0.0.0"), binding(2, "127.0.0.1"), true),
            (binding(1, "127.0.0.1"), binding(2, "0.0.0.0"), true),
            (binding(1, "127.0.0.1"), binding(2, "10.62.0.5"), false),
            (binding(1, "0.0.0.0"), binding(2, "::"), true),
            (binding(1, "127.0.0.1"), binding(2, "::"), true),
            (binding(1, "0.0.0.0"), only.clone(), false),
            (binding(1, "::1"), only, true),
            (binding(1, "::1"), binding(2, "0.0.0.0"), false),
            (binding(1, "::1"), binding(2, "::"), true),
        ] {
            assert_eq!(clash(&first, &second), want, "{first:?} {second:?}");
        }
    }

    #[test]
    fn reuse_of_addresses_and_ports() {
        let address = |cookie| Binding {
            reuse_address: true,
            ..binding(cookie, "0.0.0.0")
        };
        let port = |cookie| Binding {
            reuse_port: true,
            ..binding(cookie, "0.0.0.0")
        };
        assert!(!clash(&address(1), &address(2)));
        assert!(clash(&address(1), &binding(2, "0.0.0.0")));
        assert!(clash(
            &Binding {
                listening: Some(0),
                ..address(1)
            },
            &address(2)
        ));
        assert!(!clash(
            &Binding {
                listening: Some(0),
                ..port(1)
            },
            &port(2)
        ));
        assert!(clash(&port(1), &binding(2, "0.0.0.0")));
        let mut ports = Ports::default();
        assert!(ports.insert(address(1)) && ports.insert(address(2)));
        assert!(ports.listen(80, 1).is_some());
        assert!(ports.listen_conflict(&address(2)).is_some());
    }

    #[test]
    fn the_best_listener_comes_first() {
        let mut ports = Ports::default();
        for (cookie, ip) in [(1, "127.0.0.1"), (2, "10.62.0.5")] {
            assert!(ports.insert(binding(cookie, ip)));
            assert!(ports.listen(80, cookie).is_some());
        }
        let of = |ports: &mut Ports, target| {
            ports
                .listeners(target)
                .iter()
                .map(|listener| listener.ip.to_string())
                .collect::<Vec<_>>()
        };
        let loopback = Target::Address("127.0.0.1:80".parse().unwrap());
        assert_eq!(of(&mut ports, loopback), ["127.0.0.1"]);
        assert_eq!(
            of(&mut ports, Target::Platform(80)),
            ["10.62.0.5", "127.0.0.1"]
        );
        assert_eq!(of(&mut ports, Target::Platform(81)), [""; 0]);
        assert_eq!(ports.listening(), [80]);
        ports.remove_if(|binding| binding.cookie == 2);
        assert_eq!(of(&mut ports, Target::Platform(80)), ["127.0.0.1"]);
    }

    #[test]
    fn sharers_take_turns() {
        let mut ports = Ports::default();
        for cookie in 1..=3 {
            assert!(ports.insert(Binding {
                reuse_port: true,
                ..binding(cookie, "0.0.0.0")
            }));
            assert!(ports.listen(80, cookie).is_some());
        }
        let mut seen: Vec<u16> = (0..3)
            .map(|_| ports.listeners(Target::Platform(80))[0].index)
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn a_free_port_is_free(taken in proptest::collection::btree_set(32_768_u16..33_000, 0..100), start in any::<u16>()) {
            let mut ports = Ports::default();
            for &port in &taken {
                let inserted = ports.insert(Binding { port, ..binding(u64::from(port), "0.0.0.0") });
                prop_assert!(inserted);
            }
            let port = ports.free_port(&binding(1, "0.0.0.0"), start).unwrap();
            prop_assert!(!taken.contains(&port));
            prop_assert!((EPHEMERAL.0..=EPHEMERAL.1).contains(&port));
        }

        #[test]
        fn conflict_is_symmetric_among_sleepers(a in 0_usize..6, b in 0_usize..6, flags in any::<[bool; 4]>()) {
            let ips = ["0.0.0.0", "127.0.0.1", "10.62.0.5", "::", "::1", "fd00::1"];
            let one = Binding { reuse_address: flags[0], v6_only: flags[1], ..binding(1, ips[a]) };
            let two = Binding { reuse_address: flags[2], v6_only: flags[3], ..binding(2, ips[b]) };
            prop_assert_eq!(clash(&one, &two), clash(&two, &one));
        }
    }
}
