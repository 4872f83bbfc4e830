//! How many sockets a sandbox may have. Each takes kernel memory that is charged to the supervisor, and
//! nobody tells when a guest closes one; but the private namespace holds no others, and counts them.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

/// Sockets of one sandbox, both ends of connections inside it and of datagram sockets counted: of some
/// 2.4 KB each.
const SOCKETS_MAX: u32 = 32_768;
/// Sockets made at most between two looks.
const TRUSTED_MAX: u32 = 1024;
/// The line that tells is the first.
const LINE_BYTES_MAX: usize = 64;

/// What may be made before the next look.
#[derive(Debug, Default)]
pub(crate) struct Census {
    trusted: u32,
}

impl Census {
    /// Takes the room of one more socket.
    ///
    /// # Errors
    /// `ENOBUFS`: the sandbox has as many as it may.
    pub fn take(&mut self, sockstat: &File) -> Result<(), Errno> {
        if self.trusted == 0 {
            self.trusted = room(used(sockstat)?);
        }
        self.trusted = self.trusted.checked_sub(1).ok_or(Errno::NOBUFS)?;
        Ok(())
    }
}

/// How many may be made before the next look, where `used` are there.
fn room(used: u32) -> u32 {
    let left = SOCKETS_MAX.saturating_sub(used);
    left.min(TRUSTED_MAX.min(left / 4).max(1))
}

/// The number of sockets in a `/proc/net/sockstat` (proc_net(5)).
fn used(sockstat: &File) -> Result<u32, Errno> {
    let mut bytes = [0; LINE_BYTES_MAX];
    let got = sockstat.read_at(&mut bytes, 0).map_err(|_| Errno::NOBUFS)?;
    count_of(&String::from_utf8_lossy(&bytes[..got])).ok_or(Errno::NOBUFS)
}

fn count_of(text: &str) -> Option<u32> {
    let count = text.strip_prefix("sockets: used ")?.lines().next()?;
    count.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells() {
        assert_eq!(count_of("sockets: used 17\nTCP: inuse 0"), Some(17));
        assert_eq!(count_of("sockets: used -1\n"), None);
        assert_eq!(count_of(""), None);
        let own = File::open("/proc/thread-self/net/sockstat").unwrap();
        assert!(used(&own).is_ok());
    }

    #[test]
    fn looks_are_rare_until_it_gets_tight() {
        assert_eq!(room(0), TRUSTED_MAX);
        assert_eq!(room(SOCKETS_MAX - 400), 100);
        assert_eq!(room(SOCKETS_MAX - 1), 1);
        assert_eq!((room(SOCKETS_MAX), room(u32::MAX)), (0, 0));
    }
}
