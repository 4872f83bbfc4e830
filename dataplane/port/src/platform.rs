//! Facts about the platform that every sandbox sees.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use jd_wire::control;

/// What the platform offers to guests. Replaced as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Address of the gateway.
    pub gateway: Ipv4Addr,
    /// Its port.
    pub gateway_port: u16,
    /// Resolvers for names that the platform does not know.
    pub dns_upstreams: Vec<SocketAddr>,
    /// Names that the platform knows, in lower case.
    pub hosts: BTreeMap<String, Ipv4Addr>,
    /// What may leave the host.
    pub egress: Egress,
}

/// What may leave the host.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Egress {
    /// False: nothing.
    pub allow: bool,
    /// Networks out of reach.
    pub deny: Vec<Network>,
}

/// A network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: u32,
    mask: u32,
}

/// A platform that cannot be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadPlatform {
    /// Not an IPv4 network.
    #[error("egress.deny: {0:?} is no IPv4 network; write it like 10.0.0.0/8")]
    Network(String),
}

impl Default for Platform {
    fn default() -> Self {
        Self {
            gateway: Ipv4Addr::new(10, 62, 0, 1),
            gateway_port: 8080,
            dns_upstreams: Vec::new(),
            hosts: BTreeMap::new(),
            egress: Egress::default(),
        }
    }
}

impl TryFrom<control::Platform> for Platform {
    type Error = BadPlatform;

    fn try_from(given: control::Platform) -> Result<Self, BadPlatform> {
        let deny = given.egress.deny.iter().map(|text| text.parse());
        let hosts = given
            .hosts
            .into_iter()
            .map(|(name, ip)| (name.to_ascii_lowercase(), ip));
        Ok(Self {
            gateway: given.gateway,
            gateway_port: given.gateway_port,
            dns_upstreams: given.dns_upstreams,
            hosts: hosts.collect(),
            egress: Egress {
                allow: given.egress.allow,
                deny: deny.collect::<Result<_, _>>()?,
            },
        })
    }
}

impl std::str::FromStr for Network {
    type Err = BadPlatform;

    fn from_str(text: &str) -> Result<Self, BadPlatform> {
        let bad = || BadPlatform::Network(text.to_owned());
        let (ip, bits) = text.split_once('/').unwrap_or((text, "32"));
        let ip: Ipv4Addr = ip.parse().map_err(|_| bad())?;
        let bits: u32 = bits
            .parse()
            .ok()
            .filter(|bits| *bits <= 32)
            .ok_or_else(bad)?;
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        Ok(Self {
            base: u32::from(ip) & mask,
            mask,
        })
    }
}

impl Network {
    /// Whether `ip` lies in it.
    #[must_use]
    pub fn contains(&self, ip: Ipv4Addr) -> bool {
        u32::from(ip) & self.mask == self.base
    }
}

/// Why a destination out of the host is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no way there at all, as without a route.
    Unreachable,
    /// The platform forbids it; shows as a port that nobody listens on.
    Forbidden,
}

impl Egress {
    /// Decides about a destination before anything is sent to it.
    ///
    /// Addresses that name the host itself or its neighbourhood never pass, whatever the platform
    /// says: loopback, link-local (the cloud's metadata service 169.254.169.254 among them),
    /// multicast, broadcast and "this network" (RFC 6890).
    ///
    /// # Errors
    /// The reason of the refusal.
    pub fn check(&self, destination: SocketAddr) -> Result<(), Refusal> {
        let IpAddr::V4(ip) = destination.ip().to_canonical() else {
            return Err(Refusal::Unreachable);
        };
        if ip.is_multicast() || ip.is_broadcast() || ip.octets()[0] == 0 || ip.octets()[0] >= 240 {
            return Err(Refusal::Unreachable);
        }
        if !self.allow {
            return Err(Refusal::Unreachable);
        }
        let denied = self.deny.iter().any(|network| network.contains(ip));
        if ip.is_loopback() || ip.is_link_local() || destination.port() == 0 || denied {
            return Err(Refusal::Forbidden);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(egress: &Egress, address: &str) -> Result<(), Refusal> {
        egress.check(address.parse().unwrap())
    }

    #[test]
    fn the_hosts_own_neighbourhood_is_never_reached() {
        let open = Egress {
            allow: true,
            deny: Vec::new(),
        };
        assert_eq!(check(&open, "1.1.1.1:443"), Ok(()));
        for address in [
            "127.0.0.1:22",
            "127.9.9.9:22",
            "169.254.169.254:80",
            "1.1.1.1:0",
            "[::ffff:127.0.0.1]:22",
        ] {
            assert_eq!(check(&open, address), Err(Refusal::Forbidden), "{address}");
        }
        for address in [
            "0.0.0.0:80",
            "0.1.2.3:80",
            "224.0.0.1:80",
            "255.255.255.255:80",
            "250.1.1.1:1",
            "[2001:db8::1]:80",
            "[::1]:80",
        ] {
            assert_eq!(
                check(&open, address),
                Err(Refusal::Unreachable),
                "{address}"
            );
        }
    }

    #[test]
    fn denied_networks_are_refused() {
        let deny = vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.7".parse().unwrap()];
        let egress = Egress { allow: true, deny };
        assert_eq!(check(&egress, "10.255.0.1:80"), Err(Refusal::Forbidden));
        assert_eq!(check(&egress, "192.0.2.7:80"), Err(Refusal::Forbidden));
        assert_eq!(check(&egress, "192.0.2.8:80"), Ok(()));
        assert_eq!(
            check(&Egress::default(), "192.0.2.8:80"),
            Err(Refusal::Unreachable)
        );
    }

    #[test]
    fn networks_are_checked() {
        for text in ["10.0.0.0/33", "10.0.0/8", "::/0", "", "10.0.0.0/x"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains(Ipv4Addr::BROADCAST));
    }
}
