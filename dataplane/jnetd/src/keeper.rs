//! The attach socket: one packet from each keeper, with the descriptors of its sandbox.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use jd_wire::attach::{Answer, Hello, DESCRIPTORS, PACKET_BYTES_MAX, PROTOCOL};
use rustix::net::{
    recvmsg, send, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags,
};

/// What a keeper handed over.
#[derive(Debug)]
pub struct Handover {
    /// Names and addresses.
    pub hello: Hello,
    /// Seccomp notifications of the guest.
    pub notify: OwnedFd,
    /// Network namespace of the injected sockets.
    pub socket_netns: OwnedFd,
    /// The guest's init.
    pub pidfd: OwnedFd,
    /// Notifications in the works (`docs/protocols.md`, section 2).
    pub journal: OwnedFd,
}

/// One keeper's connection.
pub struct Keeper {
    /// Its end tells the keeper that jnetd has let go of its sandbox.
    pub socket: OwnedFd,
    /// Sandbox it handed over, once it did.
    pub sandbox: Option<String>,
}

/// What a readable keeper turned out to say.
#[derive(Debug)]
pub enum Said {
    /// Nothing yet.
    Nothing,
    /// Here is a sandbox.
    Handover(Box<Handover>),
    /// Something that is not the protocol.
    Nonsense(String),
    /// It is gone.
    Gone,
}

impl Keeper {
    /// Takes over an accepted, non-blocking connection.
    pub fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            sandbox: None,
        }
    }

    /// Reads one packet.
    pub fn receive(&self) -> Said {
        let mut bytes = [0u8; PACKET_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
        );
        let message = match received {
            Ok(message) if message.bytes == 0 => return Said::Gone,
            Ok(message) => message,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Said::Nothing,
            Err(_) => return Said::Gone,
        };
        // Owning the descriptors first means that they are closed on every refusal below.
        let descriptors: Vec<OwnedFd> = ancillary
            .drain()
            .filter_map(|part| match part {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten()
            .collect();
        if message
            .flags
            .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
        {
            return Said::Nonsense("the packet is longer than the protocol allows".into());
        }
        parse(&bytes[..message.bytes], descriptors)
    }

    /// Answers the keeper.
    ///
    /// # Errors
    /// It is gone.
    pub fn answer(&self, refusal: Option<&str>) -> io::Result<()> {
        let answer = Answer {
            ok: refusal.is_none(),
            error: refusal.map(str::to_owned),
        };
        let text = serde_json::to_vec(&answer).map_err(io::Error::other)?;
        send(
            &self.socket,
            &text,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        )?;
        Ok(())
    }
}

fn parse(bytes: &[u8], descriptors: Vec<OwnedFd>) -> Said {
    let hello: Hello = match serde_json::from_slice(bytes) {
        Ok(hello) => hello,
        Err(error) => return Said::Nonsense(format!("not an attach message: {error}")),
    };
    if hello.protocol != PROTOCOL {
        let wanted = hello.protocol;
        return Said::Nonsense(format!(
            "protocol {wanted} is not spoken here, {PROTOCOL} is"
        ));
    }
    let Ok([notify, socket_netns, pidfd, journal]) =
        <[OwnedFd; DESCRIPTORS]>::try_from(descriptors)
    else {
        return Said::Nonsense(format!("exactly {DESCRIPTORS} descriptors are expected"));
    };
    Said::Handover(Box::new(Handover {
        hello,
        notify,
        socket_netns,
        pidfd,
        journal,
    }))
}

impl AsFd for Keeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
