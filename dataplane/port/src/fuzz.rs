//! One entry for fuzzers: what a guest's memory and its calls say, decoded without a guest.

use std::net::Ipv4Addr;

use jd_wire::sockaddr::{self, Given};

use crate::call::Notification;
use crate::mark::Mark;
use crate::platform::{Egress, Platform};
use crate::resolver::{self, Verdict};
use crate::route::Here;
use crate::sockets::bind::fitting;
use crate::sockets::ioctl;
use crate::sockets::parts::{Message, HEADER_BYTES};
use crate::{listing, watch};

/// Reads `input` as the arguments of a notified call, as a `msghdr` with its vectors, as the request of
/// an ioctl, as a socket address, as a message to the resolver, and as lines that the kernel writes about
/// names that a guest chose.
///
/// # Panics
/// When an invariant does not hold: a length beyond its bound, or something that reads differently when
/// it was written anew.
pub fn fuzz_one(input: &[u8]) {
    arguments(input);
    message(input);
    interface(input);
    address(input);
    resolver(input);
    if let Some((_, Some(name))) = listing::listed(input) {
        assert!(name.len() < input.len());
    }
    let _ = watch::decide(&String::from_utf8_lossy(input));
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    let from = bytes.get(at..).unwrap_or(&[]);
    let length = from.len().min(8);
    word[..length].copy_from_slice(&from[..length]);
    u64::from_ne_bytes(word)
}

fn unsigned(int: i32) -> u32 {
    u32::from_ne_bytes(int.to_ne_bytes())
}

fn arguments(input: &[u8]) {
    let mut call = Notification::default();
    for (index, argument) in call.args.iter_mut().enumerate() {
        *argument = number(input, 8 * index);
    }
    for index in 0..call.args.len() {
        let low = call.args[index] & u64::from(u32::MAX);
        assert_eq!(u64::from(unsigned(call.int(index))), low);
    }
    let bits = unsigned(call.int(0));
    if let Some(mark) = Mark::decode(bits) {
        assert_eq!(Mark::decode(mark.encode()), Some(mark));
    }
}

fn message(input: &[u8]) {
    let Some((header, rest)) = input.split_at_checked(HEADER_BYTES) else {
        return;
    };
    let Ok((_, bytes)) = Message::vectors(header) else {
        return;
    };
    assert!(
        bytes <= 16 * 1024,
        "vectors beyond their bound are asked for"
    );
    let Ok(message) = Message::decode(header, &rest[..bytes.min(rest.len())]) else {
        return;
    };
    for most in [0, 1, 1_500, 65_507, 256 << 10, usize::MAX] {
        let held: usize = message.cut_to(most).map(|(_, length)| length).sum();
        assert_eq!(held, message.total.min(most));
    }
}

fn interface(input: &[u8]) {
    let (command, request) = input.split_at(input.len().min(2));
    // The filter notifies the ioctls 0x89xx only.
    let command = 0x8900 | u32::from(command.first().copied().unwrap_or(0));
    if let Ok(answer) = ioctl::answer(command, request) {
        assert_eq!(answer.len(), 40, "the answer is a struct ifreq");
    }
}

fn address(input: &[u8]) {
    let Ok(Given::Inet(address)) = sockaddr::parse(input) else {
        return;
    };
    for (v6, v6_only) in [(false, false), (true, false), (true, true)] {
        let mark = Mark {
            v6,
            v6_only,
            ..Mark::default()
        };
        if let Ok(fit) = fitting(address, mark) {
            assert_eq!(v6, address.is_ipv6());
            assert!(!(v6_only && fit.is_ipv4()));
        }
    }
}

fn resolver(input: &[u8]) {
    let here = Here {
        address: Ipv4Addr::new(10, 62, 0, 9),
        gateway: Ipv4Addr::new(10, 62, 0, 1),
        nameserver: Ipv4Addr::new(10, 62, 0, 2),
    };
    let platform = Platform {
        hosts: [("db.example".to_owned(), Ipv4Addr::new(10, 0, 0, 7))].into(),
        egress: Egress {
            allow: true,
            ..Egress::default()
        },
        ..Platform::default()
    };
    if let Verdict::Answer(answer) = resolver::decide(input, &platform, here, "aes-1") {
        // One question and one short record at most: a guest cannot make an answer grow.
        assert!(answer.len() <= input.len() + 300);
        assert_eq!(answer[..2], input[..2], "the id is the query's");
    }
}
