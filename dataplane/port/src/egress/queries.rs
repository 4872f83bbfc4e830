//! Questions to upstream resolvers (RFC 5452: each from a port of its own, with a random id, and only
//! the resolver asked may answer, only the question asked).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jd_wire::dns::{self, Code, Query};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use super::quota::{QUESTIONS_MAX, QUESTIONS_TOTAL_MAX};
use super::reactor::{Reactor, Token};
use crate::datagram::Datagram;
use crate::stack::Stack;
use crate::sys::socket;

/// How long one resolver has before the next is asked.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Resolvers asked in turn, with repetition, before the guest hears of the failure.
const TRIES: usize = 3;

/// A question of a guest.
pub(crate) struct Question {
    pub from: Arc<Datagram>,
    pub upstreams: Vec<SocketAddr>,
    /// The address that the guest asked.
    pub resolver: SocketAddr,
    pub query: Query,
    pub message: Vec<u8>,
}

struct Asked {
    question: Question,
    socket: OwnedFd,
    id: u16,
    tries: usize,
    since: Instant,
}

/// All questions that wait for an answer.
pub(crate) struct Queries {
    stack: Arc<dyn Stack>,
    by_id: HashMap<u64, Asked>,
    next_id: u64,
}

fn random_id() -> Result<u16, Errno> {
    let mut bytes = [0; 2];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u16::from_ne_bytes(bytes))
}

impl Question {
    fn answer(&self, message: &[u8]) {
        self.from.deliver(self.resolver, message);
    }

    fn give_up(&self) {
        self.answer(&self.query.answer(Code::ServerFailure, &[], 0));
    }
}

impl Queries {
    pub fn new(stack: Arc<dyn Stack>) -> Self {
        Self {
            stack,
            by_id: HashMap::new(),
            next_id: 1,
        }
    }

    /// Asks the first resolver. Beyond the quota the guest hears of a failure at once.
    pub fn ask(&mut self, question: Question, reactor: &Reactor) {
        let owner = question.from.owner;
        let waiting = self
            .by_id
            .values()
            .filter(|asked| asked.question.from.owner == owner)
            .count();
        if waiting >= QUESTIONS_MAX || self.by_id.len() >= QUESTIONS_TOTAL_MAX {
            return question.give_up();
        }
        self.try_from(question, 0, reactor);
    }

    fn try_from(&mut self, question: Question, first: usize, reactor: &Reactor) {
        for tries in first..TRIES {
            let upstream = question.upstreams[tries % question.upstreams.len()];
            if let Ok((socket, id)) = self.send(upstream, &question.message, reactor) {
                let asked = Asked {
                    question,
                    socket,
                    id,
                    tries,
                    since: Instant::now(),
                };
                self.by_id.insert(self.next_id, asked);
                self.next_id += 1;
                return;
            }
        }
        question.give_up();
    }

    fn send(
        &self,
        upstream: SocketAddr,
        message: &[u8],
        reactor: &Reactor,
    ) -> Result<(OwnedFd, u16), Errno> {
        let socket = self.stack.datagram(upstream)?;
        rustix::net::connect(&socket, &upstream)?;
        let id = random_id()?;
        socket::send(socket.as_fd(), &dns::with_id(message, id), 0)?;
        reactor.add(&socket, Token::Query(self.next_id), EventFlags::IN)?;
        Ok((socket, id))
    }

    /// A resolver answered, or could not be reached.
    pub fn ready(&mut self, id: u64, reactor: &Reactor) {
        let Some(asked) = self.by_id.get(&id) else {
            return;
        };
        let mut message = [0; dns::MESSAGE_BYTES_MAX];
        match socket::receive(asked.socket.as_fd(), &mut message, 0) {
            Ok(got) => {
                let answer = &message[..got];
                // Anything else may be forged: the right answer may still come.
                if asked.question.query.is_answered_by(asked.id, answer) {
                    let question = self.by_id.remove(&id).map(|asked| asked.question);
                    if let Some(question) = question {
                        question.answer(&dns::with_id(answer, question.query.id));
                    }
                }
            }
            Err(Errno::AGAIN) => {}
            Err(_) => self.next_upstream(id, reactor),
        }
    }

    fn next_upstream(&mut self, id: u64, reactor: &Reactor) {
        if let Some(asked) = self.by_id.remove(&id) {
            self.try_from(asked.question, asked.tries + 1, reactor);
        }
    }

    /// The sandbox of a question.
    pub fn owner(&self, id: u64) -> Option<u64> {
        Some(self.by_id.get(&id)?.question.from.owner)
    }

    pub fn is_busy(&self) -> bool {
        !self.by_id.is_empty()
    }

    /// Asks the next resolver where one took too long.
    pub fn tick(&mut self, now: Instant, reactor: &Reactor) {
        let late = |asked: &Asked| now.saturating_duration_since(asked.since) >= PATIENCE;
        let late: Vec<u64> = self
            .by_id
            .iter()
            .filter(|(_, asked)| late(asked))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.next_upstream(id, reactor);
        }
    }

    pub fn forget(&mut self, owner: u64) {
        self.by_id
            .retain(|_, asked| asked.question.from.owner != owner);
    }
}
