//! What an injected socket remembers about itself, in its `SO_MARK`.
//!
//! The supervisor gets no event when a guest closes a descriptor, so state that must not outlive
//! the socket rides on it. A guest cannot write the mark: that needs `CAP_NET_ADMIN` over the socket
//! namespace, and the supervisor refuses the option.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a socket was bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `0.0.0.0` or `::`.
    Any,
    /// `127.0.0.1` on a v4 socket, `::1` on a v6 one.
    Loopback,
    /// The sandbox's own v4 address.
    Own,
    /// Anything else; the port table knows.
    Other,
}

/// The mark of one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Mark {
    /// `AF_INET6`.
    pub v6: bool,
    /// `SOCK_DGRAM`.
    pub datagram: bool,
    /// `IPV6_V6ONLY`.
    pub v6_only: bool,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// The guest set a timeout of its own once.
    pub timed: bool,
    /// Port and place of a bind.
    pub bound: Option<(u16, Place)>,
}

const VALID: u32 = 1 << 31;
const V6: u32 = 1 << 16;
const DATAGRAM: u32 = 1 << 17;
const V6_ONLY: u32 = 1 << 18;
const REUSE_PORT: u32 = 1 << 19;
const BOUND: u32 = 1 << 20;
const PLACE_SHIFT: u32 = 21;
const TIMED: u32 = 1 << 23;

impl Place {
    /// The place of `ip` for a socket of that family in a sandbox of address `own`.
    #[must_use]
    pub fn of(ip: IpAddr, v6: bool, own: Ipv4Addr) -> Self {
        match ip {
            IpAddr::V4(ip) if ip.is_unspecified() && !v6 => Self::Any,
            IpAddr::V6(ip) if ip.is_unspecified() && v6 => Self::Any,
            IpAddr::V4(Ipv4Addr::LOCALHOST) if !v6 => Self::Loopback,
            IpAddr::V6(Ipv6Addr::LOCALHOST) if v6 => Self::Loopback,
            IpAddr::V4(ip) if ip == own => Self::Own,
            _ => Self::Other,
        }
    }

    /// The address of this place, if it names one by itself.
    #[must_use]
    pub fn ip(self, v6: bool, own: Ipv4Addr) -> Option<IpAddr> {
        match (self, v6) {
            (Self::Any, false) => Some(Ipv4Addr::UNSPECIFIED.into()),
            (Self::Any, true) => Some(Ipv6Addr::UNSPECIFIED.into()),
            (Self::Loopback, false) => Some(Ipv4Addr::LOCALHOST.into()),
            (Self::Loopback, true) => Some(Ipv6Addr::LOCALHOST.into()),
            (Self::Own, _) => Some(own.into()),
            (Self::Other, _) => None,
        }
    }

    fn bits(self) -> u32 {
        match self {
            Self::Any => 0,
            Self::Loopback => 1,
            Self::Own => 2,
            Self::Other => 3,
        }
    }
}

impl Mark {
    /// The value of `SO_MARK`.
    #[must_use]
    pub fn encode(self) -> u32 {
        let flag = |set, bit| if set { bit } else { 0 };
        let bound = self.bound.map_or(0, |(port, place)| {
            BOUND | u32::from(port) | place.bits() << PLACE_SHIFT
        });
        VALID
            | flag(self.v6, V6)
            | flag(self.datagram, DATAGRAM)
            | flag(self.v6_only, V6_ONLY)
            | flag(self.reuse_port, REUSE_PORT)
            | flag(self.timed, TIMED)
            | bound
    }

    /// Reads a value of `SO_MARK`; `None`: an accepted socket, which has no mark.
    #[must_use]
    pub fn decode(bits: u32) -> Option<Self> {
        if bits & VALID == 0 {
            return None;
        }
        let has = |bit| bits & bit != 0;
        let place = match (bits >> PLACE_SHIFT) & 3 {
            0 => Place::Any,
            1 => Place::Loopback,
            2 => Place::Own,
            _ => Place::Other,
        };
        let port = u16::try_from(bits & 0xffff).unwrap_or(0);
        Some(Self {
            v6: has(V6),
            datagram: has(DATAGRAM),
            v6_only: has(V6_ONLY),
            reuse_port: has(REUSE_PORT),
            timed: has(TIMED),
            bound: has(BOUND).then_some((port, place)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marks_survive(flags in any::<[bool; 6]>(), port in any::<u16>(), place in 0_usize..4) {
            let place = [Place::Any, Place::Loopback, Place::Own, Place::Other][place];
            let [v6, datagram, v6_only, reuse_port, timed, bound] = flags;
            let bound = bound.then_some((port, place));
            let mark = Mark { v6, datagram, v6_only, reuse_port, timed, bound };
            prop_assert_eq!(Mark::decode(mark.encode()), Some(mark));
        }
    }

    #[test]
    fn an_accepted_socket_has_none() {
        assert_eq!(Mark::decode(0), None);
    }

    #[test]
    fn a_place_is_told_by_its_address() {
        let own = Ipv4Addr::new(10, 62, 0, 5);
        for (ip, v6) in [
            ("0.0.0.0", false),
            ("::", true),
            ("127.0.0.1", false),
            ("::1", true),
            ("10.62.0.5", false),
        ] {
            let ip = ip.parse().unwrap();
            assert_eq!(Place::of(ip, v6, own).ip(v6, own), Some(ip));
        }
        assert_eq!(
            Place::of("127.0.0.2".parse().unwrap(), false, own),
            Place::Other
        );
        assert_eq!(
            Place::of("127.0.0.1".parse().unwrap(), true, own),
            Place::Other
        );
    }
}
