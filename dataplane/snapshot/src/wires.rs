//! Sockets and pipes of a stopped guest: listeners, and pairs whose both ends it holds itself.

use std::os::fd::{AsFd, OwnedFd};

use crate::census::{Guest, Seen};
use crate::error::{unfit, Part, Refusal};
use crate::format::{Descriptor, Kind};
use crate::sys::peer;

const ADDRESS_BYTES: u32 = 128;
/// Options of a listener that are carried over, as (level, name); each is set before `bind`.
const OPTIONS: [(i32, i32); 5] = [
    (libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (libc::SOL_SOCKET, libc::SO_REUSEPORT),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
];
/// Queue lengths are not told by the kernel; this one is what the data plane caps them at.
const BACKLOG: i32 = 4096;

/// An end of something whose other end must be found.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    number: i32,
    /// Pipes: the inode, the same at both ends. Sockets: 0.
    inode: u64,
    socket: i32,
}

/// An end of a pipe, which must be empty.
pub(crate) fn pipe(guest: &Guest<'_>, seen: &Seen) -> Result<Wire, Refusal> {
    let copy = guest.copy(seen)?;
    if peer::unread(copy.as_fd()).part(|| "looking into its pipe")? != 0 {
        return Err(Refusal::Restless("a pipe of it holds data".to_owned()));
    }
    let inode = seen
        .target
        .trim_matches(|c: char| !c.is_ascii_digit())
        .parse()
        .unwrap_or(0);
    Ok(Wire {
        number: seen.number,
        inode,
        socket: 0,
    })
}

/// A socket: a listener, or an end of a pair.
pub(crate) fn socket(
    guest: &mut Guest<'_>,
    seen: &Seen,
    wires: &mut Vec<Wire>,
) -> Result<Kind, Refusal> {
    let copy = guest.copy(seen)?;
    let option = |name| peer::option(copy.as_fd(), name).part(|| "looking at its socket");
    let kind = option(libc::SO_TYPE)?;
    if option(libc::SO_ACCEPTCONN)? != 0 {
        return listener(guest, seen, kind);
    }
    let alone = is_nameless_pair_end(&copy) && option(libc::SO_DOMAIN)? == libc::AF_UNIX;
    if !alone {
        let text = format!(
            "its descriptor {} is a socket that does not listen",
            seen.number
        );
        return Err(Refusal::Restless(text));
    }
    if peer::unread(copy.as_fd()).part(|| "looking into its socket")? != 0 {
        return Err(Refusal::Restless(
            "a socket pair of it holds data".to_owned(),
        ));
    }
    wires.push(Wire {
        number: seen.number,
        inode: 0,
        socket: kind,
    });
    Ok(Kind::Pair {
        id: 0,
        kind,
        end: 0,
    })
}

/// Connected, and neither end has a name: what `socketpair` makes. The data plane's sockets have names.
fn is_nameless_pair_end(copy: &OwnedFd) -> bool {
    peer::is_nameless(copy.as_fd())
}

fn listener(guest: &mut Guest<'_>, seen: &Seen, kind: i32) -> Result<Kind, Refusal> {
    if kind != libc::SOCK_STREAM {
        return unfit(format!(
            "its descriptor {} listens for something else than streams",
            seen.number
        ));
    }
    let number = seen.number.unsigned_abs().into();
    let address = name_of(guest, number)?;
    let family = address
        .first_chunk()
        .map_or(0, |two| i32::from(u16::from_ne_bytes(*two)));
    if family != libc::AF_INET && family != libc::AF_INET6 {
        return unfit(format!(
            "its descriptor {} listens at no internet address",
            seen.number
        ));
    }
    let kind = (libc::SOCK_STREAM | libc::SOCK_CLOEXEC)
        .unsigned_abs()
        .into();
    let fresh = guest.remote.must(
        libc::SYS_socket,
        [family.unsigned_abs().into(), kind, 0, 0, 0, 0],
    )?;
    let mut options = Vec::new();
    for (level, name) in OPTIONS {
        let (was, is) = (
            option_of(guest, fresh, level, name)?,
            option_of(guest, number, level, name)?,
        );
        if let (Some(was), Some(is)) = (was, is) {
            if was != is {
                options.push((level, name, is));
            }
        }
    }
    guest.remote.must(libc::SYS_close, [fresh, 0, 0, 0, 0, 0])?;
    Ok(Kind::Listener {
        family,
        address,
        backlog: BACKLOG,
        options,
    })
}

/// `getsockname` in its name: only the data plane knows the address that the guest gave.
fn name_of(guest: &mut Guest<'_>, number: u64) -> Result<Vec<u8>, Refusal> {
    let at = guest.remote.scratch()?;
    let length_at = at + u64::from(ADDRESS_BYTES);
    guest
        .remote
        .write(length_at, &ADDRESS_BYTES.to_ne_bytes())?;
    guest
        .remote
        .must(libc::SYS_getsockname, [number, at, length_at, 0, 0, 0])?;
    let length = guest.remote.half(length_at)?.min(ADDRESS_BYTES);
    let length = usize::try_from(length).unwrap_or(0);
    let mut address = vec![0; length];
    guest.remote.read(at, &mut address)?;
    Ok(address)
}

fn option_of(
    guest: &mut Guest<'_>,
    number: u64,
    level: i32,
    name: i32,
) -> Result<Option<i32>, Refusal> {
    let at = guest.remote.scratch()?;
    guest.remote.write(at, &[0, 0, 0, 0, 4, 0, 0, 0])?;
    let (level, name) = (level.unsigned_abs().into(), name.unsigned_abs().into());
    let done = guest
        .remote
        .call(libc::SYS_getsockopt, [number, level, name, at, at + 4, 0])?;
    if done < 0 {
        return Ok(None);
    }
    Ok(Some(i32::from_ne_bytes(
        guest.remote.half(at)?.to_ne_bytes(),
    )))
}

/// Gives both ends of every pipe and pair one id.
///
/// # Errors
/// [`Refusal::Unfit`] when an end is not in this process, or it cannot be told which belong together.
pub(crate) fn join(
    guest: &Guest<'_>,
    wires: &[Wire],
    found: &mut [Descriptor],
) -> Result<(), Refusal> {
    let sockets: Vec<&Wire> = wires.iter().filter(|wire| wire.socket != 0).collect();
    match sockets[..] {
        [] => {}
        [one, other] if one.socket == other.socket && are_joined(guest, one, other)? => {
            for (end, wire) in [(0, one), (1, other)] {
                set(
                    found,
                    wire.number,
                    Kind::Pair {
                        id: 1,
                        kind: wire.socket,
                        end,
                    },
                );
            }
        }
        _ => return unfit("it has socket pairs that cannot be told apart, or half of one"),
    }
    for wire in wires.iter().filter(|wire| wire.socket == 0) {
        let ends: Vec<&Wire> = wires
            .iter()
            .filter(|one| one.socket == 0 && one.inode == wire.inode)
            .collect();
        if ends.len() != 2 {
            return unfit(format!(
                "the other end of its pipe {} is elsewhere",
                wire.number
            ));
        }
        let write = matches!(
            kind_of(found, wire.number),
            Some(Kind::Pipe { write: true, .. })
        );
        set(
            found,
            wire.number,
            Kind::Pipe {
                id: wire.inode,
                write,
            },
        );
    }
    Ok(())
}

fn kind_of(found: &[Descriptor], number: i32) -> Option<&Kind> {
    found
        .iter()
        .find(|one| one.number == number)
        .map(|one| &one.kind)
}

fn set(found: &mut [Descriptor], number: i32, kind: Kind) {
    if let Some(descriptor) = found.iter_mut().find(|one| one.number == number) {
        descriptor.kind = kind;
    }
}

/// Whether two socket ends belong to each other: what is queued at one is seen as unread at the other. The guest is
/// stopped, so nobody else reads the byte, and it is taken back.
fn are_joined(guest: &Guest<'_>, one: &Wire, other: &Wire) -> Result<bool, Refusal> {
    let copy = |wire: &Wire| {
        let copied = peer::copy(guest.pidfd.as_fd(), wire.number);
        copied.part(|| "looking at its socket pair")
    };
    let (from, to) = (copy(one)?, copy(other)?);
    peer::probe(from.as_fd(), to.as_fd()).part(|| "trying its socket pair")
}
