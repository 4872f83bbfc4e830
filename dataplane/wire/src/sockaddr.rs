//! `struct sockaddr_in` and `sockaddr_in6` as bytes (ip(7), ipv6(7)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Longest address that is looked at, in bytes.
pub const SOCKADDR_BYTES_MAX: usize = 28;

const FAMILY_UNSPEC: u16 = 0;
const FAMILY_INET: u16 = 2;
const FAMILY_INET6: u16 = 10;
const INET_BYTES: usize = 16;
/// Without the scope id, which RFC 2133 did not have yet; Linux accepts that length.
const INET6_BYTES_MIN: usize = 24;
const INET6_BYTES: usize = 28;

/// An address as a guest handed it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// `AF_INET` or `AF_INET6`; a v4-mapped address stays a v6 one.
    Inet(SocketAddr),
    /// `AF_UNSPEC`: dissolve the association.
    Unspecified,
}

/// Why bytes are no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Fewer bytes than the family needs.
    #[error("the address is too short for its family")]
    Short,
    /// Another family.
    #[error("the address is of family {0}")]
    Family(u16),
}

/// Reads an address.
///
/// # Errors
/// Too short for its family, or of a family that is none of the internet's.
pub fn parse(bytes: &[u8]) -> Result<Given, BadAddress> {
    let family = bytes
        .first_chunk::<2>()
        .map(|word| u16::from_ne_bytes(*word));
    match family.ok_or(BadAddress::Short)? {
        FAMILY_UNSPEC => Ok(Given::Unspecified),
        FAMILY_INET => {
            let bytes = bytes.first_chunk::<INET_BYTES>().ok_or(BadAddress::Short)?;
            let port = u16::from_be_bytes([bytes[2], bytes[3]]);
            let ip = Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7]);
            Ok(Given::Inet(SocketAddrV4::new(ip, port).into()))
        }
        FAMILY_INET6 => {
            let head = bytes
                .first_chunk::<INET6_BYTES_MIN>()
                .ok_or(BadAddress::Short)?;
            let port = u16::from_be_bytes([head[2], head[3]]);
            let mut octets = [0; 16];
            octets.copy_from_slice(&head[8..24]);
            Ok(Given::Inet(
                SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, 0).into(),
            ))
        }
        other => Err(BadAddress::Family(other)),
    }
}

/// Writes `address` as a socket of the v6 family (v4 appears mapped) or of the v4 family shows it.
///
/// A v6 address on a v4 socket cannot happen and shows as unspecified.
#[must_use]
pub fn encode(address: SocketAddr, v6_socket: bool) -> Vec<u8> {
    let port = address.port().to_be_bytes();
    if v6_socket {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut bytes = vec![0; INET6_BYTES];
        bytes[..2].copy_from_slice(&FAMILY_INET6.to_ne_bytes());
        bytes[2..4].copy_from_slice(&port);
        bytes[8..24].copy_from_slice(&ip.octets());
        return bytes;
    }
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => ip.to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED),
    };
    let mut bytes = vec![0; INET_BYTES];
    bytes[..2].copy_from_slice(&FAMILY_INET.to_ne_bytes());
    bytes[2..4].copy_from_slice(&port);
    bytes[4..8].copy_from_slice(&ip.octets());
    bytes
}

/// `address` with a v4-mapped address turned into the v4 one it stands for.
#[must_use]
pub fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_and_foreign_addresses_are_refused() {
        assert_eq!(parse(&[]), Err(BadAddress::Short));
        assert_eq!(parse(&[2]), Err(BadAddress::Short));
        assert_eq!(parse(&[2, 0, 0, 80, 127, 0, 0, 1]), Err(BadAddress::Short));
        assert_eq!(
            parse(&[10, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Err(BadAddress::Short)
        );
        assert_eq!(parse(b"\x01\x00/run/x"), Err(BadAddress::Family(1)));
        assert_eq!(parse(&[0, 0]), Ok(Given::Unspecified));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn addresses_survive(ip in any::<u32>(), port in any::<u16>(), v6 in any::<bool>()) {
            let address = SocketAddr::new(Ipv4Addr::from(ip).into(), port);
            let Ok(Given::Inet(back)) = parse(&encode(address, v6)) else { panic!("not read back") };
            prop_assert_eq!(unmapped(back), address);
        }

        #[test]
        fn v6_addresses_survive(ip in any::<u128>(), port in any::<u16>()) {
            let address = SocketAddr::new(Ipv6Addr::from(ip).into(), port);
            prop_assert_eq!(parse(&encode(address, true)), Ok(Given::Inet(address)));
        }
    }
}
