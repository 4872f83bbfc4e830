//! A queue into the control thread, fillable from any other thread and visible to its epoll.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{eventfd, EventfdFlags};

/// Messages kept while the control thread is behind. Past this the oldest news is worth less than memory.
const MESSAGES_MAX: usize = 65_536;

struct Shared<T> {
    messages: Mutex<VecDeque<T>>,
    bell: OwnedFd,
}

/// Sending and receiving end at once; clones share one queue.
pub struct Inbox<T>(Arc<Shared<T>>);

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Inbox<T> {
    /// An empty queue.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(Shared {
            messages: Mutex::default(),
            bell,
        })))
    }

    /// Puts a message at the end and wakes the reader; a full queue drops it and says so by `false`.
    pub fn send(&self, message: T) -> bool {
        let first = {
            let mut messages = self
                .0
                .messages
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if messages.len() >= MESSAGES_MAX {
                return false;
            }
            messages.push_back(message);
            messages.len() == 1
        };
        if first {
            // The counter can only be full (EAGAIN) when the reader is awake anyway.
            let _ = rustix::io::write(&self.0.bell, &1u64.to_ne_bytes());
        }
        true
    }

    /// Takes everything that is there.
    pub fn take(&self) -> VecDeque<T> {
        let mut count = [0u8; 8];
        let _ = rustix::io::read(&self.0.bell, &mut count);
        std::mem::take(
            &mut *self
                .0
                .messages
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl<T> AsFd for Inbox<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.bell.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_in_order_and_once() {
        let inbox = Inbox::new().expect("eventfd");
        let sender = inbox.clone();
        std::thread::spawn(move || (0..3).for_each(|n| assert!(sender.send(n))))
            .join()
            .expect("sent");
        assert_eq!(inbox.take(), [0, 1, 2]);
        assert!(inbox.take().is_empty());
    }

    #[test]
    fn a_full_queue_refuses_instead_of_growing() {
        let inbox = Inbox::new().expect("eventfd");
        assert!((0..MESSAGES_MAX).all(|n| inbox.send(n)));
        assert!(!inbox.send(0));
    }
}
