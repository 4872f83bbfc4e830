//! The little of DNS that an answering stub needs (RFC 1035, RFC 3596): one question in, a few records
//! out. Everything else is passed on as it came.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest message that is taken from or given to a guest, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 4096;
/// Shortest message: the header.
pub const HEADER_BYTES: usize = 12;
/// Longest name, with its length bytes.
const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;

const CLASS_IN: u16 = 1;
const FLAG_RESPONSE: u16 = 0x8000;
const FLAG_AUTHORITATIVE: u16 = 0x0400;
const FLAG_RECURSION_DESIRED: u16 = 0x0100;
const FLAG_RECURSION_AVAILABLE: u16 = 0x0080;
const MASK_OPCODE: u16 = 0x7800;

/// How a query was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The name exists; there may be no record of the type.
    NoError = 0,
    /// No answer could be had.
    ServerFailure = 2,
    /// The name does not exist.
    NoSuchName = 3,
    /// This kind of query is not served.
    NotImplemented = 4,
    /// Not for this class.
    Refused = 5,
}

/// Types of records that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Name of an address.
    Ptr,
    /// Any other.
    Other(u16),
}

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Name of an address; labels with dots between them.
    Ptr(String),
}

/// A query with one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Chosen by the asker.
    pub id: u16,
    /// Name asked for, in lower case, labels with dots between them, none at the end.
    pub name: String,
    /// Type asked for.
    pub kind: Kind,
    /// Whether it is about the internet.
    pub internet: bool,
    flags: u16,
    question: Vec<u8>,
}

/// Why bytes are no query that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadQuery {
    /// Not even an error can be sent back.
    Garbage,
    /// A header that can be answered with this code.
    Unserved(u16, Code),
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// The labels of the name at `at` and the index behind it. Pointers are refused: a question, being
/// first, has nothing to point back to.
fn name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let start = at;
    let mut name = String::new();
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        if length > LABEL_BYTES_MAX || at + length - start >= NAME_BYTES_MAX {
            return None;
        }
        let label = bytes.get(at..at + length)?;
        if !label
            .iter()
            .all(|byte| byte.is_ascii_graphic() && *byte != b'.')
        {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(
            label
                .iter()
                .map(|byte| char::from(byte.to_ascii_lowercase())),
        );
        at += length;
    }
}

impl Query {
    /// Reads a query.
    ///
    /// # Errors
    /// Bytes that are none, or a query of a kind that is not served.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadQuery> {
        let header = bytes
            .first_chunk::<HEADER_BYTES>()
            .ok_or(BadQuery::Garbage)?;
        let at = |index| word(header, index).unwrap_or(0);
        let (id, flags) = (at(0), at(2));
        if flags & FLAG_RESPONSE != 0 || bytes.len() > MESSAGE_BYTES_MAX {
            return Err(BadQuery::Garbage);
        }
        if flags & MASK_OPCODE != 0 || at(4) != 1 || at(6) != 0 {
            return Err(BadQuery::Unserved(id, Code::NotImplemented));
        }
        let (name, end) = name(bytes, HEADER_BYTES).ok_or(BadQuery::Garbage)?;
        let kind = word(bytes, end).ok_or(BadQuery::Garbage)?;
        let class = word(bytes, end + 2).ok_or(BadQuery::Garbage)?;
        let question = bytes
            .get(HEADER_BYTES..end + 4)
            .ok_or(BadQuery::Garbage)?
            .to_vec();
        let kind = match kind {
            1 => Kind::A,
            28 => Kind::Aaaa,
            12 => Kind::Ptr,
            other => Kind::Other(other),
        };
        Ok(Self {
            id,
            name,
            kind,
            internet: class == CLASS_IN,
            flags,
            question,
        })
    }

    /// The answer.
    #[must_use]
    pub fn answer(&self, code: Code, records: &[Record], ttl_s: u32) -> Vec<u8> {
        let echoed = self.flags & FLAG_RECURSION_DESIRED;
        let flags =
            FLAG_RESPONSE | FLAG_AUTHORITATIVE | FLAG_RECURSION_AVAILABLE | echoed | code as u16;
        let count = u16::try_from(records.len()).unwrap_or(0);
        let mut bytes = header(self.id, flags, 1, count);
        bytes.extend_from_slice(&self.question);
        for record in records {
            let (kind, data) = match record {
                Record::A(ip) => (1_u16, ip.octets().to_vec()),
                Record::Aaaa(ip) => (28, ip.octets().to_vec()),
                Record::Ptr(name) => (12, encode_name(name)),
            };
            // A pointer to the name of the question.
            bytes.extend_from_slice(&[0xc0, 12]);
            bytes.extend_from_slice(&kind.to_be_bytes());
            bytes.extend_from_slice(&CLASS_IN.to_be_bytes());
            bytes.extend_from_slice(&ttl_s.to_be_bytes());
            bytes.extend_from_slice(&u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
            bytes.extend_from_slice(&data);
        }
        bytes
    }

    /// Whether `bytes` is a response to this query when it was asked with `id`.
    #[must_use]
    pub fn is_answered_by(&self, id: u16, bytes: &[u8]) -> bool {
        let Some(question) = bytes.get(HEADER_BYTES..HEADER_BYTES + self.question.len()) else {
            return false;
        };
        word(bytes, 0) == Some(id)
            && word(bytes, 2).is_some_and(|flags| flags & FLAG_RESPONSE != 0)
            && word(bytes, 4) == Some(1)
            && question.eq_ignore_ascii_case(&self.question)
    }
}

fn header(id: u16, flags: u16, questions: u16, answers: u16) -> Vec<u8> {
    [id, flags, questions, answers, 0, 0]
        .into_iter()
        .flat_map(u16::to_be_bytes)
        .collect()
}

/// A name as labels; what does not fit is left out.
fn encode_name(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let Ok(length) = u8::try_from(label.len().min(LABEL_BYTES_MAX)) else {
            continue;
        };
        bytes.push(length);
        bytes.extend_from_slice(&label.as_bytes()[..usize::from(length)]);
    }
    bytes.truncate(NAME_BYTES_MAX - 1);
    bytes.push(0);
    bytes
}

/// An answer without a question, for a query that could not be read to its end.
#[must_use]
pub fn refusal(id: u16, code: Code) -> Vec<u8> {
    header(id, FLAG_RESPONSE | code as u16, 0, 0)
}

/// The message with another id.
#[must_use]
pub fn with_id(message: &[u8], id: u16) -> Vec<u8> {
    let mut message = message.to_vec();
    if let Some(place) = message.get_mut(..2) {
        place.copy_from_slice(&id.to_be_bytes());
    }
    message
}

/// The IPv4 address that a name under `in-addr.arpa` stands for.
#[must_use]
pub fn reversed_ipv4(name: &str) -> Option<Ipv4Addr> {
    let digits = name.strip_suffix(".in-addr.arpa")?;
    let mut octets = [0; 4];
    let mut labels = digits.split('.');
    for octet in octets.iter_mut().rev() {
        *octet = labels.next()?.parse().ok()?;
    }
    labels.next().is_none().then(|| Ipv4Addr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut bytes = header(0x1234, FLAG_RECURSION_DESIRED, 1, 0);
        bytes.extend(encode_name(name));
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&1_u16.to_be_bytes());
        bytes
    }

    #[test]
    fn a_question_is_read_and_answered() {
        let bytes = query("Gateway.OpenFaaS", 1);
        let parsed = Query::parse(&bytes).unwrap();
        assert_eq!(
            (parsed.name.as_str(), parsed.kind, parsed.internet),
            ("gateway.openfaas", Kind::A, true)
        );
        let answer = parsed.answer(Code::NoError, &[Record::A(Ipv4Addr::new(10, 62, 0, 1))], 5);
        assert_eq!(answer[..4], [0x12, 0x34, 0x85, 0x80]);
        assert_eq!(answer[answer.len() - 4..], [10, 62, 0, 1]);
        assert!(parsed.is_answered_by(0x1234, &answer));
        assert!(!parsed.is_answered_by(0x1235, &answer));
        assert!(!Query::parse(&query("other", 1))
            .unwrap()
            .is_answered_by(0x1234, &answer));
    }

    #[test]
    fn odd_queries_are_refused() {
        let mut response = query("a", 1);
        response[2] |= 0x80;
        assert_eq!(Query::parse(&response), Err(BadQuery::Garbage));
        let mut two = query("a", 1);
        two[5] = 2;
        assert_eq!(
            Query::parse(&two),
            Err(BadQuery::Unserved(0x1234, Code::NotImplemented))
        );
        let mut pointer = query("a", 1);
        pointer[12] = 0xc0;
        assert_eq!(Query::parse(&pointer), Err(BadQuery::Garbage));
        assert_eq!(Query::parse(&[0; 11]), Err(BadQuery::Garbage));
        let long = ["a"; 200].join(".");
        assert_eq!(
            Query::parse(&query(&long, 1)[..HEADER_BYTES + 250]),
            Err(BadQuery::Garbage)
        );
    }

    #[test]
    fn addresses_are_read_backwards() {
        assert_eq!(
            reversed_ipv4("5.0.62.10.in-addr.arpa"),
            Some(Ipv4Addr::new(10, 62, 0, 5))
        );
        for name in [
            "0.62.10.in-addr.arpa",
            "1.5.0.62.10.in-addr.arpa",
            "x.0.62.10.in-addr.arpa",
            "a.b",
        ] {
            assert_eq!(reversed_ipv4(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..64), fix in any::<bool>()) {
            let mut bytes = bytes;
            if fix && bytes.len() > 12 {
                bytes[2..8].copy_from_slice(&[1, 0, 0, 1, 0, 0]);
            }
            if let Ok(query) = Query::parse(&bytes) {
                let answer = query.answer(Code::NoSuchName, &[], 0);
                prop_assert!(query.is_answered_by(query.id, &answer));
            }
        }
    }
}
