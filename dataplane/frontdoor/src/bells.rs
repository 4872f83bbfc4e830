//! Bells: where guests ring for the connections that a worker has on their rings.
//!
//! A guest may ring without end and mark what it likes, so a round does a bounded piece of work for each
//! bell, and one that keeps ringing without news is not listened to for a while.

use std::io;
use std::sync::Arc;

use jd_link::Rings;
use jd_ring::abi::SLOTS;
use jd_ring::host::{Bell, Sleeper};

use crate::hash::Map;
use crate::poll::{Poll, Token};
use crate::slab::{Key, Slab};
use crate::worker::Worker;

/// Rounds that a bell may bring nothing. One with news makes up for [`FRUITFUL`] of them: an honest guest has
/// hardly more of the one kind than of the other.
const FRUITLESS_MAX: u32 = 256;
const FRUITFUL: u32 = 4;

/// How long a bell is not listened to after that.
const MUTE_NS: u64 = 10_000_000;

/// One sandbox's bell at this worker.
struct Post {
    rings: Arc<Rings>,
    bell: Bell,
    /// Connections by slot.
    ups: Box<[Option<Key>; SLOTS]>,
    used: usize,
    /// It rang since it was served last.
    rang: bool,
    /// It is in the list of those that are looked at before the next sleep.
    awake: bool,
    /// Slots with news that were taken off the bell and not served yet.
    dirty: u64,
    fruitless: u32,
    muted: bool,
}

/// All bells of a worker.
#[derive(Default)]
pub struct Bells {
    posts: Slab<Post>,
    by_rings: Map<u64, Key>,
    /// Their guests need not wake this worker: it looks before it sleeps.
    awake: Vec<Key>,
    /// Guests to be woken, only while guests are told.
    sleepers: Vec<(Key, Sleeper)>,
    muted_until_ns: Option<u64>,
}

impl Bells {
    /// Puts a connection behind the bell of its sandbox, which is watched from now on, and says where that is.
    pub fn add(
        &mut self,
        rings: &Arc<Rings>,
        worker: u32,
        slot: u32,
        up: Key,
        poll: &Poll,
    ) -> io::Result<Key> {
        let key = match self.by_rings.get(&rings.id()) {
            Some(&key) => key,
            None => {
                let key = self.posts.try_insert_with(|key| {
                    let bell = rings.bell(worker).map_err(io::Error::other)?;
                    poll.add_bell(&bell, Token::Bell(key))?;
                    Ok::<_, io::Error>(Post {
                        rings: Arc::clone(rings),
                        bell,
                        ups: Box::new([None; SLOTS]),
                        used: 0,
                        awake: false,
                        rang: false,
                        dirty: 0,
                        fruitless: 0,
                        muted: false,
                    })
                })?;
                self.by_rings.insert(rings.id(), key);
                key
            }
        };
        if let Some(post) = self.posts.get_mut(key) {
            post.ups[slot as usize % SLOTS] = Some(up);
            post.used += 1;
        }
        Ok(key)
    }

    /// Takes a connection away; the last one takes the bell with it.
    pub fn remove(&mut self, key: Key, slot: u32, poll: &Poll) {
        let Some(post) = self.posts.get_mut(key) else {
            return;
        };
        if post.ups[slot as usize % SLOTS].take().is_some() {
            post.used -= 1;
        }
        if post.used == 0 {
            if !post.muted {
                // Explicitly: the guest holds duplicates, so closing ours would not remove it.
                let _ = poll.remove(&post.bell);
            }
            self.by_rings.remove(&post.rings.id());
            self.posts.remove(key);
            self.awake.retain(|&awake| awake != key);
        }
    }

    /// A bell rang.
    pub fn rang(&mut self, key: Key) {
        if let Some(post) = self.posts.get_mut(key) {
            post.rings.tally().rang();
            post.rang = true;
            self.wake(key);
        }
    }

    /// Looks at a bell before the next sleep: until then its guest need not wake this worker.
    pub fn wake(&mut self, key: Key) {
        let Some(post) = self.posts.get_mut(key) else {
            return;
        };
        if !post.awake && !post.muted {
            post.awake = true;
            post.bell.disarm();
            self.awake.push(key);
        }
    }

    /// Whether a guest whose bell is awake has marked something by now.
    pub fn hear(&mut self) -> bool {
        let mut heard = false;
        for &key in &self.awake {
            if let Some(post) = self.posts.get_mut(key) {
                post.dirty |= post.bell.take();
                heard |= post.dirty != 0;
            }
        }
        heard
    }

    /// Whether there is news that no event will tell.
    pub fn has_news(&self) -> bool {
        !self.awake.is_empty()
    }

    /// Asks the guests of all bells that are awake to ring again; those with news meanwhile stay awake.
    pub fn rest(&mut self) {
        let posts = &mut self.posts;
        self.awake.retain(|&key| {
            let Some(post) = posts.get_mut(key) else {
                return false;
            };
            post.dirty |= post.bell.rearm_and_take();
            post.awake = post.dirty != 0;
            if post.awake {
                post.bell.disarm();
            }
            post.awake
        });
    }

    /// When a muted bell is to be listened to again.
    pub fn again_ns(&self) -> Option<u64> {
        self.muted_until_ns
    }

    /// Listens to muted bells again when it is time.
    pub fn unmute(&mut self, now_ns: u64, poll: &Poll) {
        if self.muted_until_ns.is_none_or(|until_ns| until_ns > now_ns) {
            return;
        }
        self.muted_until_ns = None;
        for key in self.posts.keys() {
            let Some(post) = self.posts.get_mut(key).filter(|post| post.muted) else {
                continue;
            };
            // It tells at once what rang meanwhile: its eventfd is always readable.
            if poll.add_bell(&post.bell, Token::Bell(key)).is_ok() {
                post.muted = false;
                post.fruitless = 0;
            } else {
                self.muted_until_ns = Some(now_ns + MUTE_NS);
            }
        }
    }

    fn mute(&mut self, key: Key, now_ns: u64, poll: &Poll) {
        let Some(post) = self.posts.get_mut(key) else {
            return;
        };
        let _ = poll.remove(&post.bell);
        (post.muted, post.awake) = (true, false);
        post.rings.tally().muted();
        post.rings.report("flood of bells");
        self.awake.retain(|&awake| awake != key);
        self.muted_until_ns.get_or_insert(now_ns + MUTE_NS);
    }
}

/// What telling guests came to.
#[derive(Clone, Copy, Debug)]
pub struct Tellings {
    /// How often bytes were published.
    pub published: usize,
    /// Guests that had to be woken.
    pub woken: usize,
}

impl Worker {
    /// Serves the connections for which guests rang: each bell once, each connection as far as an event
    /// of its descriptor would.
    pub fn serve_bells(&mut self) {
        for place in 0..self.bells.awake.len() {
            let Some(&key) = self.bells.awake.get(place) else {
                break;
            };
            let Some(post) = self.bells.posts.get_mut(key) else {
                continue;
            };
            let mut dirty = std::mem::take(&mut post.dirty) | post.bell.take();
            if dirty == 0 && !std::mem::take(&mut post.rang) {
                continue;
            }
            let before = self.io.moved;
            while dirty != 0 {
                let slot = dirty.trailing_zeros() as usize;
                dirty &= dirty - 1;
                let up = self.bells.posts.get(key).and_then(|post| post.ups[slot]);
                if let Some(up) = up {
                    self.ring_event(up);
                }
            }
            if let Some(post) = self.bells.posts.get_mut(key) {
                post.rang = false;
                post.fruitless = if self.io.moved == before {
                    post.fruitless + 1
                } else {
                    post.fruitless.saturating_sub(FRUITFUL)
                };
                if post.fruitless > FRUITLESS_MAX {
                    self.bells.mute(key, self.io.now_ns, &self.io.poll);
                }
            }
        }
    }

    /// The guest published something for a connection, took something, or left its ring.
    fn ring_event(&mut self, key: Key) {
        let Some(up) = self.ups.get_mut(key) else {
            return;
        };
        up.conn.note_ring();
        match up.owner {
            Some(owner) => self.drive(owner),
            None if up.conn.has_ring_news(&mut self.io) => self.close_up(key),
            None => {}
        }
    }

    /// Tells the guests to whom this round published, each once. Only now: a wake may hand this core over.
    pub fn tell_guests(&mut self) -> Tellings {
        let mut tellings = Tellings {
            published: std::mem::take(&mut self.io.published),
            woken: 0,
        };
        if self.io.untold.is_empty() {
            return tellings;
        }
        // Their answers are found without a wake, if they give them before this worker sleeps.
        for key in &self.io.untold {
            let place = self.ups.get(*key).and_then(|up| up.conn.ring_place());
            if let Some((post, _)) = place {
                self.bells.wake(post);
            }
        }
        let (mut sleepers, mut broken) = (std::mem::take(&mut self.bells.sleepers), Vec::new());
        for key in self.io.untold.drain(..) {
            let Some(up) = self.ups.get_mut(key) else {
                continue;
            };
            match up.conn.mark_ring() {
                Ok(None) => {}
                Ok(Some(sleeper)) => sleepers.push((key, sleeper)),
                Err(_) => broken.push(key),
            }
        }
        // Only when all is marked: who is woken first may have this core at once, and takes all that it finds.
        for (key, sleeper) in sleepers.drain(..) {
            match self.ups.get_mut(key).map(|up| up.conn.wake_ring(sleeper)) {
                Some(Ok(woken)) => tellings.woken += usize::from(woken),
                Some(Err(_)) => broken.push(key),
                None => {}
            }
        }
        self.bells.sleepers = sleepers;
        for key in broken {
            match self.ups.get(key).map(|up| up.owner) {
                // It may go on to another function, which is told before the next sleep.
                Some(Some(owner)) => self.drive(owner),
                Some(None) => self.close_up(key),
                None => {}
            }
        }
        tellings
    }
}
