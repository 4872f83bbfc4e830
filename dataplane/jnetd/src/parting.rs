//! Connections of keepers whose sandboxes end: closed when nothing of the sandbox is held any more, and not before.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// Most of them. A keeper waits for seconds at most, so older ones wait for nobody.
const PARTING_MAX: usize = 1024;

/// The connections, oldest first.
#[derive(Debug, Default)]
pub struct Parting(VecDeque<(String, OwnedFd)>);

impl Parting {
    /// Keeps a connection until [`Self::release`].
    pub fn add(&mut self, sandbox: String, connection: OwnedFd) {
        if self.0.len() >= PARTING_MAX {
            self.0.pop_front();
        }
        self.0.push_back((sandbox, connection));
    }

    /// Nothing of this sandbox is held any more.
    pub fn release(&mut self, sandbox: &str) {
        self.0.retain(|(name, _)| name != sandbox);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_connection_ends_with_what_is_held() {
        let mut parting = Parting::default();
        let (ours, mut keepers) = UnixStream::pair().expect("a pair");
        keepers.set_nonblocking(true).expect("set");
        parting.add("a".into(), ours.into());
        parting.release("b");
        assert!(keepers.read(&mut [0]).is_err(), "still open");
        parting.release("a");
        assert_eq!(keepers.read(&mut [0]).expect("the end"), 0);
    }

    #[test]
    fn they_are_bounded() {
        let mut parting = Parting::default();
        for _ in 0..2 * PARTING_MAX {
            let file = std::fs::File::open("/dev/null").expect("a file");
            parting.add("a".into(), file.into());
        }
        assert_eq!(parting.0.len(), PARTING_MAX);
    }
}
