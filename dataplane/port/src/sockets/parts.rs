//! The parts of a message in a guest's memory: `struct msghdr` and its vectors (sendmsg(2)).

use rustix::io::Errno;

use crate::call::Notification;
use crate::sandbox::Sandbox;

/// `UIO_MAXIOV`.
const PARTS_MAX: usize = 1024;
/// `struct msghdr`.
pub(crate) const HEADER_BYTES: usize = 56;
/// `struct iovec`.
const VECTOR_BYTES: usize = 16;

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

impl Message {
    /// Where the vectors of a `struct msghdr` lie, and their bytes.
    pub fn vectors(header: &[u8]) -> Result<(u64, usize), Errno> {
        let count = usize::try_from(word(header, 24)).map_err(|_| Errno::MSGSIZE)?;
        if count > PARTS_MAX {
            return Err(Errno::MSGSIZE);
        }
        Ok((word(header, 16), count * VECTOR_BYTES))
    }

    /// Reads a `struct msghdr` and its vectors.
    pub fn decode(header: &[u8], vectors: &[u8]) -> Result<Self, Errno> {
        let mut total = 0_usize;
        let mut parts = Vec::with_capacity(vectors.len() / VECTOR_BYTES);
        for vector in vectors.chunks_exact(VECTOR_BYTES) {
            let length = usize::try_from(word(vector, 8)).map_err(|_| Errno::INVAL)?;
            total = total.checked_add(length).ok_or(Errno::INVAL)?;
            parts.push((word(vector, 0), length));
        }
        let name_bytes =
            u32::try_from(word(header, 8) & u64::from(u32::MAX)).map_err(|_| Errno::INVAL)?;
        Ok(Self {
            name: word(header, 0),
            name_bytes,
            parts,
            total,
        })
    }

    /// The parts cut so that together they hold at most `most` bytes.
    pub fn cut_to(&self, most: usize) -> impl Iterator<Item = (u64, usize)> + '_ {
        self.parts.iter().scan(most, |left, &(at, length)| {
            let length = length.min(*left);
            *left -= length;
            Some((at, length))
        })
    }
}

impl Sandbox {
    pub(crate) fn read_message(&self, call: &Notification, at: u64) -> Result<Message, Errno> {
        let header = self.read(call, at, HEADER_BYTES)?;
        let (vectors_at, bytes) = Message::vectors(&header)?;
        let vectors = self.read(call, vectors_at, bytes)?;
        Message::decode(&header, &vectors)
    }

    /// The bytes of a message, `most` of them.
    pub(crate) fn gather(
        &self,
        call: &Notification,
        message: &Message,
        most: usize,
    ) -> Result<Vec<u8>, Errno> {
        let mut bytes = Vec::new();
        for (at, length) in message.cut_to(most) {
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
        for (at, length) in message.cut_to(bytes.len()) {
            let (now, later) = bytes.split_at(length);
            self.write(call, at, now)?;
            bytes = later;
        }
        Ok(())
    }
}
