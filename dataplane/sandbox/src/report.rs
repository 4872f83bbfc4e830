//! What the processes inside tell the keeper while they build: one packet per fact on a SEQPACKET pair.
//! End of file on the pair means that the program was executed.

use std::io;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    recvmsg, sendmsg, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// Longest text, in bytes; longer ones are cut.
const TEXT_BYTES_MAX: usize = 4000;

/// One fact.
#[derive(Debug)]
pub enum Report {
    /// The host could not do something; the sandbox goes on.
    Warning(String),
    /// It cannot go on.
    Failure(String),
    /// The filter is in force; this is its listener.
    Listener(OwnedFd),
    /// The writable layer, where a snapshot is to be taken.
    Layer(OwnedFd),
    /// The restorer's words about its failure.
    NotRestored(Vec<u8>),
    /// The program was executed (end of file).
    Executed,
}

fn send(
    socket: BorrowedFd<'_>,
    tag: u8,
    text: &[u8],
    descriptor: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut packet = vec![tag];
    packet.extend_from_slice(&text[..text.len().min(TEXT_BYTES_MAX)]);
    let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    sendmsg(
        socket,
        &[IoSlice::new(&packet)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Sends a warning.
///
/// # Errors
/// When the keeper is gone.
pub fn warning<Socket: AsFd>(socket: Socket, text: &str) -> io::Result<()> {
    send(socket.as_fd(), b'w', text.as_bytes(), None)
}

/// Sends a failure.
///
/// # Errors
/// When the keeper is gone.
pub fn failure<Socket: AsFd>(socket: Socket, text: &str) -> io::Result<()> {
    send(socket.as_fd(), b'f', text.as_bytes(), None)
}

/// Hands over the filter's listener.
///
/// # Errors
/// When the keeper is gone.
pub fn listener<Socket: AsFd, Listener: AsFd>(
    socket: Socket,
    listener: Listener,
) -> io::Result<()> {
    send(socket.as_fd(), b'l', b"", Some(listener.as_fd()))
}

/// Hands over the writable layer.
///
/// # Errors
/// When the keeper is gone.
pub fn layer<Socket: AsFd, Layer: AsFd>(socket: Socket, layer: Layer) -> io::Result<()> {
    send(socket.as_fd(), b'u', b"", Some(layer.as_fd()))
}

/// Receives the next fact.
///
/// # Errors
/// `WouldBlock` when there is none yet, `InvalidData` for an unknown packet.
pub fn receive(socket: &OwnedFd) -> io::Result<Report> {
    let mut packet = [0_u8; TEXT_BYTES_MAX + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut packet)],
        &mut control,
        flags,
    )?;
    let listener = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match (packet[..received.bytes].split_first(), listener) {
        (None, _) => Ok(Report::Executed),
        (Some((b'w', rest)), _) => Ok(Report::Warning(text(rest))),
        (Some((b'f', rest)), _) => Ok(Report::Failure(text(rest))),
        (Some((b'l', _)), Some(listener)) => Ok(Report::Listener(listener)),
        (Some((b'u', _)), Some(layer)) => Ok(Report::Layer(layer)),
        (Some((b'r', rest)), _) => Ok(Report::NotRestored(rest.to_vec())),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "unknown packet from the sandbox",
        )),
    }
}
