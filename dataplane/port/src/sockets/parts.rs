//! The parts of a message in a guest's memory: `struct msghdr` and its vectors (sendmsg(2)).

use rustix::io::Errno;

use crate::call::Notification;
use crate::sandbox::Sandbox;

/// `UIO_MAXIOV`.
const PARTS_MAX: usize = 1024;
/// `struct msghdr`.
pub(crate) const HEADER_BYTES: usize = 56;

/// The buffers and the address of one message.
pub(crate) struct Message {
    pub name: u64,
    pub name_bytes: u32,
    pub parts: Vec<(u64, usize)>,
    pub total: usize,
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    if let Some(from) = bytes.get(at..at + 8) {
        word.copy_from_slice(from);
    }
    u64::from_ne_bytes(word)
}

impl Sandbox {
    pub(crate) fn read_message(&self, call: &Notification, at: u64) -> Result<Message, Errno> {
        let header = self.read(call, at, HEADER_BYTES)?;
        let count = usize::try_from(word(&header, 24)).map_err(|_| Errno::MSGSIZE)?;
        if count > PARTS_MAX {
            return Err(Errno::MSGSIZE);
        }
        let vectors = self.read(call, word(&header, 16), count * 16)?;
        let mut total = 0_usize;
        let mut parts = Vec::with_capacity(count);
        for vector in vectors.chunks_exact(16) {
            let length = usize::try_from(word(vector, 8)).map_err(|_| Errno::INVAL)?;
            total = total.checked_add(length).ok_or(Errno::INVAL)?;
            parts.push((word(vector, 0), length));
        }
        let name_bytes =
            u32::try_from(word(&header, 8) & u64::from(u32::MAX)).map_err(|_| Errno::INVAL)?;
        Ok(Message {
            name: word(&header, 0),
            name_bytes,
            parts,
            total,
        })
    }

    /// The bytes of a message, `most` of them.
    pub(crate) fn gather(
        &self,
        call: &Notification,
        message: &Message,
        most: usize,
    ) -> Result<Vec<u8>, Errno> {
        let mut bytes = Vec::new();
        for &(at, length) in &message.parts {
            let length = length.min(most - bytes.len());
            bytes.extend_from_slice(&self.read(call, at, length)?);
        }
        Ok(bytes)
    }

    pub(crate) fn scatter(
        &self,
        call: &Notification,
        message: &Message,
        mut bytes: &[u8],
    ) -> Result<(), Errno> {
        for &(at, length) in &message.parts {
            let (now, later) = bytes.split_at(length.min(bytes.len()));
            self.write(call, at, now)?;
            bytes = later;
        }
        Ok(())
    }
}
