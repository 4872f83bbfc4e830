//! Where a destination that a guest names lies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;

use crate::platform::{Platform, Refusal};

/// The way to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// A socket of the same sandbox.
    Inside(SocketAddr),
    /// The platform's gateway.
    Gateway,
    /// The platform's resolver.
    Resolver,
    /// Out of the host.
    Outside(SocketAddr),
    /// Nowhere.
    Refused(Errno),
}

/// Port of the resolver (RFC 1035).
pub(crate) const DNS_PORT: u16 = 53;

/// Addresses of the sandbox that asks.
#[derive(Clone, Copy)]
pub(crate) struct Here {
    pub address: Ipv4Addr,
    pub gateway: Ipv4Addr,
    pub nameserver: Ipv4Addr,
}

impl Here {
    /// Whether `ip` belongs to the sandbox itself.
    pub fn owns(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => ip.is_loopback() || ip == self.address,
            IpAddr::V6(ip) => ip == Ipv6Addr::LOCALHOST,
        }
    }

    /// The way to `destination`, which is no v4-mapped address.
    pub fn route(&self, destination: SocketAddr, platform: &Platform) -> Route {
        let port = destination.port();
        let ip = match destination.ip() {
            // As Linux does: connecting to "any" means this machine.
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        if self.owns(ip) {
            return Route::Inside(SocketAddr::new(ip, port));
        }
        let IpAddr::V4(v4) = ip else {
            return Route::Refused(Errno::NETUNREACH);
        };
        if v4 == self.nameserver && port == DNS_PORT {
            return Route::Resolver;
        }
        if v4 == self.gateway || v4 == platform.gateway {
            let open = port == platform.gateway_port;
            return if open {
                Route::Gateway
            } else {
                Route::Refused(Errno::CONNREFUSED)
            };
        }
        match platform.egress.check(destination) {
            Ok(()) => Route::Outside(destination),
            Err(Refusal::Unreachable) => Route::Refused(Errno::NETUNREACH),
            Err(Refusal::Forbidden) => Route::Refused(Errno::CONNREFUSED),
        }
    }

    /// The source address towards `route` where the socket was not bound to one.
    pub fn source(&self, destination: SocketAddr) -> IpAddr {
        match destination.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            IpAddr::V4(_) => IpAddr::V4(self.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Egress;

    fn route(address: &str) -> Route {
        let here = Here {
            address: Ipv4Addr::new(10, 62, 0, 5),
            gateway: Ipv4Addr::new(10, 62, 0, 1),
            nameserver: Ipv4Addr::new(10, 62, 0, 1),
        };
        let egress = Egress {
            allow: true,
            deny: vec!["10.62.0.0/16".parse().unwrap()],
        };
        here.route(
            address.parse().unwrap(),
            &Platform {
                egress,
                ..Platform::default()
            },
        )
    }

    #[test]
    fn destinations_are_told_apart() {
        let inside = |address: &str| Route::Inside(address.parse().unwrap());
        assert_eq!(route("127.0.0.1:80"), inside("127.0.0.1:80"));
        assert_eq!(route("0.0.0.0:80"), inside("127.0.0.1:80"));
        assert_eq!(route("[::]:80"), inside("[::1]:80"));
        assert_eq!(route("10.62.0.5:80"), inside("10.62.0.5:80"));
        assert_eq!(route("10.62.0.1:8080"), Route::Gateway);
        assert_eq!(route("10.62.0.1:53"), Route::Resolver);
        assert_eq!(route("10.62.0.1:22"), Route::Refused(Errno::CONNREFUSED));
        assert_eq!(route("10.62.0.6:8080"), Route::Refused(Errno::CONNREFUSED));
        assert_eq!(
            route("169.254.169.254:80"),
            Route::Refused(Errno::CONNREFUSED)
        );
        assert_eq!(route("[2001:db8::1]:80"), Route::Refused(Errno::NETUNREACH));
        assert_eq!(
            route("192.0.2.1:80"),
            Route::Outside("192.0.2.1:80".parse().unwrap())
        );
    }
}
