//! What the platform's resolver answers by itself, and what it asks others.

use std::net::{Ipv4Addr, Ipv6Addr};

use jd_wire::dns::{self, BadQuery, Code, Kind, Query, Record};

use crate::platform::Platform;
use crate::route::Here;

/// How long a guest may keep an answer of the platform; names move when functions do.
const TTL_S: u32 = 5;
/// Names of the gateway besides those that the platform lists.
const GATEWAY_NAMES: [&str; 2] = ["gateway", "gateway.openfaas"];

/// What to do with a message from a guest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Send this back.
    Answer(Vec<u8>),
    /// Ask an upstream resolver.
    Forward(Query),
    /// Nothing: it is no query.
    Ignore,
}

/// Decides about a message. `hostname` is the guest's own name.
pub(crate) fn decide(message: &[u8], platform: &Platform, here: Here, hostname: &str) -> Verdict {
    let query = match Query::parse(message) {
        Ok(query) => query,
        Err(BadQuery::Garbage) => return Verdict::Ignore,
        Err(BadQuery::Unserved(id, code)) => return Verdict::Answer(dns::refusal(id, code)),
    };
    if !query.internet {
        return Verdict::Answer(query.answer(Code::Refused, &[], 0));
    }
    if let Some(records) = known(&query, platform, here, hostname) {
        return Verdict::Answer(query.answer(Code::NoError, &records, TTL_S));
    }
    if is_private(&query) || !platform.egress.allow {
        return Verdict::Answer(query.answer(Code::NoSuchName, &[], 0));
    }
    if platform.dns_upstreams.is_empty() {
        return Verdict::Answer(query.answer(Code::ServerFailure, &[], 0));
    }
    Verdict::Forward(query)
}

/// The records of a name that the platform knows; none of the type asked for is an answer too.
fn known(query: &Query, platform: &Platform, here: Here, hostname: &str) -> Option<Vec<Record>> {
    let name = query.name.as_str();
    if let Some(ip) = dns::reversed_ipv4(name) {
        let owner = if ip == here.address {
            hostname.to_owned()
        } else if ip == here.gateway {
            GATEWAY_NAMES[0].to_owned()
        } else if ip.is_loopback() {
            "localhost".to_owned()
        } else {
            platform
                .hosts
                .iter()
                .find(|(_, known)| **known == ip)
                .map(|(name, _)| name.clone())?
        };
        return Some(if query.kind == Kind::Ptr {
            vec![Record::Ptr(owner)]
        } else {
            Vec::new()
        });
    }
    let ip = if name == "localhost" || name.ends_with(".localhost") {
        if query.kind == Kind::Aaaa {
            return Some(vec![Record::Aaaa(Ipv6Addr::LOCALHOST)]);
        }
        Ipv4Addr::LOCALHOST
    } else if name == hostname {
        here.address
    } else if let Some(ip) = platform.hosts.get(name) {
        *ip
    } else if GATEWAY_NAMES.contains(&name) {
        here.gateway
    } else {
        return None;
    };
    Some(if query.kind == Kind::A {
        vec![Record::A(ip)]
    } else {
        Vec::new()
    })
}

/// Names that mean nothing outside: asking others would tell them about this host (RFC 6761, 6303).
fn is_private(query: &Query) -> bool {
    let name = query.name.as_str();
    let last = name.rsplit('.').next().unwrap_or(name);
    let private_ip =
        dns::reversed_ipv4(name).is_some_and(|ip| ip.is_private() || ip.is_link_local());
    // A single label, other than the root and top-level domains' own records, is a host nearby.
    let single =
        !name.is_empty() && !name.contains('.') && matches!(query.kind, Kind::A | Kind::Aaaa);
    single || private_ip || matches!(last, "local" | "localhost" | "invalid" | "test" | "onion")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Egress;

    fn ask(name: &str, kind: u8) -> Vec<u8> {
        let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.extend_from_slice(&[0, 0, kind, 0, 1]);
        bytes
    }

    fn verdict(name: &str, kind: u8, platform: &Platform) -> Verdict {
        let here = Here {
            address: Ipv4Addr::new(10, 62, 0, 5),
            gateway: Ipv4Addr::new(10, 62, 0, 1),
            nameserver: Ipv4Addr::new(10, 62, 0, 1),
        };
        decide(&ask(name, kind), platform, here, "aes")
    }

    fn platform() -> Platform {
        Platform {
            dns_upstreams: vec!["192.0.2.1:53".parse().unwrap()],
            hosts: [("nats".to_owned(), Ipv4Addr::new(10, 62, 0, 2))].into(),
            egress: Egress {
                allow: true,
                deny: Vec::new(),
            },
            ..Platform::default()
        }
    }

    fn address(verdict: Verdict) -> Vec<u8> {
        let Verdict::Answer(answer) = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(answer[7], 1, "one record");
        answer[answer.len() - 4..].to_vec()
    }

    fn code(verdict: Verdict) -> u8 {
        let Verdict::Answer(answer) = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(answer[7], 0, "no record");
        answer[3] & 0xf
    }

    #[test]
    fn names_of_the_platform() {
        let platform = platform();
        assert_eq!(address(verdict("gateway", 1, &platform)), [10, 62, 0, 1]);
        assert_eq!(
            address(verdict("GATEWAY.openfaas", 1, &platform)),
            [10, 62, 0, 1]
        );
        assert_eq!(address(verdict("nats", 1, &platform)), [10, 62, 0, 2]);
        assert_eq!(address(verdict("aes", 1, &platform)), [10, 62, 0, 5]);
        assert_eq!(
            address(verdict("x.localhost", 1, &platform)),
            [127, 0, 0, 1]
        );
        assert_eq!(code(verdict("gateway", 28, &platform)), 0);
        assert!(matches!(
            verdict("5.0.62.10.in-addr.arpa", 12, &platform),
            Verdict::Answer(_)
        ));
    }

    #[test]
    fn other_names() {
        let open = platform();
        for name in ["unknown", "printer.local", "1.0.0.10.in-addr.arpa"] {
            assert_eq!(
                code(verdict(
                    name,
                    if name.ends_with("arpa") { 12 } else { 1 },
                    &open
                )),
                3,
                "{name}"
            );
        }
        assert!(matches!(
            verdict("example.com", 1, &open),
            Verdict::Forward(_)
        ));
        assert!(matches!(
            verdict("example.com", 15, &open),
            Verdict::Forward(_)
        ));
        let mute = Platform {
            dns_upstreams: Vec::new(),
            ..platform()
        };
        assert_eq!(code(verdict("example.com", 1, &mute)), 2);
        let shut = Platform {
            egress: Egress::default(),
            ..platform()
        };
        assert_eq!(code(verdict("example.com", 1, &shut)), 3);
        assert_eq!(
            decide(
                &[1, 2, 3],
                &open,
                Here {
                    address: Ipv4Addr::LOCALHOST,
                    gateway: Ipv4Addr::LOCALHOST,
                    nameserver: Ipv4Addr::LOCALHOST
                },
                "aes"
            ),
            Verdict::Ignore
        );
    }
}
