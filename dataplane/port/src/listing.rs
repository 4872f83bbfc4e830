//! What `/proc/net/unix` tells about a socket namespace: which sockets are alive, and the names of
//! listeners that were there before this supervisor.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::FileExt;
use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

use jd_wire::names::{Listener, Name};

use crate::ports::Binding;
use crate::shared::Shared;
use crate::sweeps::Sweeps;

/// Longest listing that is read.
const LISTING_BYTES_MAX: usize = 16 << 20;

/// A socket: its inode and its name.
type Listed = (u64, Option<Vec<u8>>);

impl Shared {
    /// The sockets of the namespace, as inode and name, and whether they were read in one piece.
    fn sockets(&self) -> (Vec<Listed>, bool) {
        let (mut text, mut pieces) = (Vec::new(), 0);
        let mut chunk = vec![0; 64 << 10];
        while text.len() < LISTING_BYTES_MAX {
            match self
                .listing
                .read_at(&mut chunk, u64::try_from(text.len()).unwrap_or(u64::MAX))
            {
                Ok(0) | Err(_) => break,
                Ok(got) => text.extend_from_slice(&chunk[..got]),
            }
            pieces += 1;
        }
        let lines = text.split(|byte| *byte == b'\n').skip(1);
        (lines.filter_map(listed).collect(), pieces < 2)
    }

    /// Keeps of `bindings` those whose sockets are gone.
    fn retain_gone(&self, bindings: &mut Vec<Binding>) -> bool {
        let (sockets, whole) = self.sockets();
        self.sweeps().spend(sockets.len());
        let alive: HashSet<u64> = sockets.into_iter().map(|(inode, _)| inode).collect();
        bindings.retain(|binding| !alive.contains(&binding.inode));
        whole
    }

    fn sweeps(&self) -> MutexGuard<'_, Sweeps> {
        self.sweeps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the ports of sockets that are gone, unless that was done too much lately.
    ///
    /// The listing is as long as the guest likes, so no lock is held while it is read: every dial of
    /// the platform takes that lock.
    pub fn sweep(&self) {
        if !self.sweeps().may(Instant::now()) {
            return;
        }
        let mut gone = self.tcp().all();
        // Sockets may have moved between two pieces of a longer listing, past the reader.
        if !self.retain_gone(&mut gone) && !gone.is_empty() {
            self.retain_gone(&mut gone);
        }
        if !gone.is_empty() {
            let gone: HashMap<u64, Binding> = gone
                .into_iter()
                .map(|binding| (binding.inode, binding))
                .collect();
            // One that changed meanwhile is alive.
            self.tcp()
                .remove_if(|binding| gone.get(&binding.inode) == Some(binding));
        }
    }

    /// Finds the listeners of a guest that ran before this supervisor did.
    pub(crate) fn rediscover(&self) {
        let sockets = self.sockets().0;
        let mut ports = self.tcp();
        for (inode, name) in sockets {
            let Some(Name::Listener(listener)) = name.and_then(|name| Name::parse(&name)) else {
                continue;
            };
            let Listener {
                ip,
                port,
                v6,
                v6_only,
                shared,
                index,
            } = listener;
            let binding = Binding {
                cookie: 0,
                inode,
                ip,
                port,
                v6,
                v6_only,
                reuse_address: true,
                reuse_port: shared,
                listening: Some(index),
            };
            if !ports.insert(binding) {
                break;
            }
        }
    }

    /// Ports that a guest listens on at this moment.
    pub fn listening(&self) -> Vec<u16> {
        self.sweep();
        self.tcp().listening()
    }
}

/// One line of `/proc/net/unix`: the inode and the abstract name, whose zero bytes show as `@`.
pub(crate) fn listed(line: &[u8]) -> Option<Listed> {
    let text = std::str::from_utf8(line).ok()?;
    let mut columns = text.split_ascii_whitespace().skip(6);
    let inode = columns.next()?.parse().ok()?;
    let name = columns.next().and_then(|name| name.strip_prefix('@'));
    Some((inode, name.map(|name| name.as_bytes().to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_sockets_are_read() {
        let line = b"00000000a: 00000002 00000000 00010000 0001 01 12345 @l/0.0.0.0/80/0/";
        assert_eq!(
            listed(line),
            Some((12345, Some(b"l/0.0.0.0/80/0/".to_vec())))
        );
        assert_eq!(
            listed(b"0a: 00000003 00000000 00000000 0001 03 7"),
            Some((7, None))
        );
        assert_eq!(
            listed(b"0a: 00000003 00000000 00000000 0001 03 7 /run/x"),
            Some((7, None))
        );
        assert_eq!(listed(b"Num RefCount"), None);
        assert_eq!(listed(b""), None);
    }
}
