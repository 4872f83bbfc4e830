//! Abstract AF_UNIX names that carry the internet addresses of an injected socket.
//!
//! An accepted socket, a duplicate or an inherited descriptor needs no record anywhere: the names
//! of its two ends tell both addresses. Names live in the private socket namespace of one sandbox
//! and are hints for display: a guest can forge them inside its own sandbox, so nothing that
//! matters to anyone else may be decided by them. Text, so that `/proc/net/unix` can be read.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Longest abstract name, in bytes: `sun_path` less the leading zero byte.
pub const NAME_BYTES_MAX: usize = 107;

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// A listening TCP socket.
    Listener(Listener),
    /// The connecting end of a connection.
    Client {
        /// Source address.
        source: SocketAddr,
        /// Destination address.
        destination: SocketAddr,
    },
    /// The supervisor's own listener, where connections that leave the sandbox end.
    Hub {
        /// Makes the name unguessable.
        nonce: u64,
    },
}

/// The name of a listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    /// Address as bound; the unspecified ones are the wildcards.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
    /// Whether the guest made it an `AF_INET6` socket (then v4 peers show mapped).
    pub v6: bool,
    /// Whether a v6 wildcard leaves v4 alone.
    pub v6_only: bool,
    /// Whether it shares the port by `SO_REUSEPORT`.
    pub shared: bool,
    /// Tells sockets that share one port apart.
    pub index: u16,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Listener(listener) => {
                let Listener {
                    ip,
                    port,
                    v6,
                    v6_only,
                    shared,
                    index,
                } = listener;
                let flag = |set: &bool, letter| if *set { letter } else { "" };
                write!(f, "l/{ip}/{port}/{index}/")?;
                write!(
                    f,
                    "{}{}{}",
                    flag(v6, "6"),
                    flag(v6_only, "o"),
                    flag(shared, "s")
                )
            }
            Name::Client {
                source,
                destination,
            } => write!(f, "c/{source}/{destination}"),
            Name::Hub { nonce } => write!(f, "h/{nonce:016x}"),
        }
    }
}

impl Name {
    /// The bytes behind the leading zero byte of `sun_path`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.to_string().into_bytes();
        // Two full v6 addresses with scope are the longest and fit; a guard, not a case.
        bytes.truncate(NAME_BYTES_MAX);
        bytes
    }

    /// Reads a name; `None` for anything that [`Name::to_bytes`] would not have written.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > NAME_BYTES_MAX {
            return None;
        }
        let text = std::str::from_utf8(bytes).ok()?;
        let (kind, rest) = text.split_once('/')?;
        let name = match kind {
            "l" => Self::Listener(Listener::parse(rest)?),
            "c" => {
                let (source, destination) = rest.split_once('/')?;
                Self::Client {
                    source: part(source)?,
                    destination: part(destination)?,
                }
            }
            "h" => Self::Hub {
                nonce: u64::from_str_radix(rest, 16).ok()?,
            },
            _ => return None,
        };
        // One spelling per name, so that equal addresses mean equal names.
        (name.to_string() == text).then_some(name)
    }
}

impl Listener {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let listener = Self {
            ip: part(parts.next()?)?,
            port: part(parts.next()?)?,
            index: part(parts.next()?)?,
            v6: false,
            v6_only: false,
            shared: false,
        };
        let flags = parts.next()?;
        let has = |letter| flags.contains(letter);
        Some(Self {
            v6: has('6'),
            v6_only: has('o'),
            shared: has('s'),
            ..listener
        })
    }
}

fn part<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
            any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
        ]
    }

    fn name() -> impl Strategy<Value = Name> {
        let listener = (ip(), any::<u16>(), any::<u16>(), any::<[bool; 3]>()).prop_map(
            |(ip, port, index, [v6, v6_only, shared])| {
                Name::Listener(Listener {
                    ip,
                    port,
                    v6,
                    v6_only,
                    shared,
                    index,
                })
            },
        );
        let client =
            (ip(), any::<u16>(), ip(), any::<u16>()).prop_map(|(from, a, to, b)| Name::Client {
                source: SocketAddr::new(from, a),
                destination: SocketAddr::new(to, b),
            });
        prop_oneof![
            listener,
            client,
            any::<u64>().prop_map(|nonce| Name::Hub { nonce })
        ]
    }

    proptest! {
        #[test]
        fn names_survive(name in name()) {
            let bytes = name.to_bytes();
            prop_assert!(bytes.len() <= NAME_BYTES_MAX);
            prop_assert!(!bytes.contains(&0) && !bytes.contains(&b'\n'));
            prop_assert_eq!(Name::parse(&bytes), Some(name));
        }

        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            if let Some(name) = Name::parse(&bytes) {
                prop_assert_eq!(name.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        assert!(Name::parse(b"l/0.0.0.0/8080/0/").is_some());
        for text in [
            "l/0.0.0.0/08080/0/",
            "l/0.0.0.0/8080/0/s6",
            "l/0.0.0.0/8080/0",
            "l/0.0.0.0/8080/0//",
            "x/",
            "",
            "h/1",
            "c/1.2.3.4:5",
        ] {
            assert_eq!(Name::parse(text.as_bytes()), None, "{text}");
        }
    }
}
