//! Byte queues of connections, on memory that idle connections give back.

/// First size of a buffer. Most requests and responses fit.
const SMALL_BYTES: usize = 16 << 10;

/// Buffers above this size are not kept for the next user.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// Most buffers kept for the next user.
const KEPT_MAX: usize = 64;

/// Memory for buffers, of one worker.
pub struct BufPool {
    free: Vec<Vec<u8>>,
    lent_bytes: usize,
    lent_bytes_max: usize,
}

impl BufPool {
    /// Lends about so many bytes before [`Self::is_exhausted`].
    pub fn new(lent_bytes_max: usize) -> Self {
        Self {
            free: Vec::new(),
            lent_bytes: 0,
            lent_bytes_max,
        }
    }

    /// Memory of all buffers, in bytes.
    pub fn lent_bytes(&self) -> usize {
        self.lent_bytes
    }

    /// Whether buffers hold more than they should: nothing large may be begun now.
    pub fn is_exhausted(&self) -> bool {
        self.lent_bytes > self.lent_bytes_max
    }

    /// Whether there is still little room after some was made: less than an eighth.
    pub fn is_scarce(&self) -> bool {
        self.lent_bytes > self.lent_bytes_max - self.lent_bytes_max / 8
    }

    fn get(&mut self) -> Vec<u8> {
        self.free
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(SMALL_BYTES))
    }

    fn put(&mut self, mut memory: Vec<u8>) {
        let wanted = (SMALL_BYTES..=KEPT_BYTES_MAX).contains(&memory.capacity());
        if wanted && self.free.len() < KEPT_MAX {
            memory.clear();
            self.free.push(memory);
        }
    }
}

/// Bytes that were put in at the back and are taken at the front. Has no memory while nothing is in it.
#[derive(Default)]
pub struct Buf {
    data: Vec<u8>,
    start: usize,
    /// What is before `start` is kept for a second try.
    keeps: bool,
    /// Capacity that the pool knows of.
    counted: usize,
}

impl Buf {
    pub fn pending(&self) -> &[u8] {
        &self.data[self.start..]
    }

    pub fn len(&self) -> usize {
        self.data.len() - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, those already taken but kept for a second try among them.
    pub fn held(&self) -> usize {
        self.data.len()
    }

    /// Memory that the pool knows of, in bytes.
    pub fn memory(&self) -> usize {
        self.counted
    }

    /// Tells the pool how much memory this has now.
    fn count(&mut self, pool: &mut BufPool) {
        let capacity = self.data.capacity();
        pool.lent_bytes = (pool.lent_bytes + capacity).saturating_sub(self.counted);
        self.counted = capacity;
    }

    /// The memory to append to.
    #[inline]
    pub fn back(&mut self, pool: &mut BufPool) -> &mut Vec<u8> {
        if self.data.capacity() == 0 {
            self.data = pool.get();
        }
        if self.data.capacity() != self.counted {
            self.count(pool);
        }
        &mut self.data
    }

    /// The memory to append to, with room for at least `room` bytes.
    pub fn back_with_room(&mut self, room: usize, pool: &mut BufPool) -> &mut Vec<u8> {
        if self.data.capacity() - self.data.len() < room {
            self.make_room(room, pool);
        }
        self.back(pool)
    }

    fn make_room(&mut self, room: usize, pool: &mut BufPool) {
        if self.start > 0 && !self.keeps {
            self.data.drain(..self.start);
            self.start = 0;
        }
        self.back(pool).reserve(room);
    }

    /// Moves `count` bytes from the front of `from` to the back, without a copy where whole buffers can be
    /// exchanged: a streamed body passes through so.
    pub fn take_from(&mut self, from: &mut Self, count: usize, pool: &mut BufPool) {
        if self.held() == 0 && count == from.len() {
            std::mem::swap(self, from);
            from.clear();
            return;
        }
        let back = self.back_with_room(count, pool);
        back.extend_from_slice(&from.pending()[..count]);
        from.consume(count);
    }

    /// Takes `count` bytes off the front.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.data.len());
        if self.start == self.data.len() {
            self.clear();
        }
    }

    /// Takes `count` bytes off the front, and keeps them if asked to.
    pub fn take_off(&mut self, count: usize, keep: bool) {
        if keep {
            self.consume_kept(count);
        } else {
            self.consume(count);
        }
    }

    /// Whether taken bytes are kept.
    pub fn keeps(&self) -> bool {
        self.keeps
    }

    /// Puts bytes that were taken off last back to the front.
    pub fn put_back(&mut self, bytes: &[u8], pool: &mut BufPool) {
        if self.keeps && self.start >= bytes.len() {
            self.start -= bytes.len();
            return;
        }
        let start = self.start;
        self.back_with_room(bytes.len(), pool);
        // Making room may have moved what is pending to the front.
        self.start = self.start.min(start);
        let at = self.start;
        self.data.splice(at..at, bytes.iter().copied());
        self.count(pool);
    }

    /// Takes `count` bytes off the front but keeps them for [`Self::rewind`].
    pub fn consume_kept(&mut self, count: usize) {
        self.keeps = true;
        self.start = (self.start + count).min(self.data.len());
    }

    /// Puts all kept bytes back.
    pub fn rewind(&mut self) {
        self.start = 0;
        self.keeps = false;
    }

    /// Forgets kept bytes.
    pub fn forget_taken(&mut self) {
        self.keeps = false;
        self.consume(0);
    }

    pub fn clear(&mut self) {
        self.data.clear();
        self.start = 0;
        self.keeps = false;
    }

    /// Gives memory back that the bytes in it do not need.
    pub fn trim(&mut self, pool: &mut BufPool) {
        if self.data.is_empty() {
            return self.release(pool);
        }
        if self.start > 0 && !self.keeps {
            self.data.drain(..self.start);
            self.start = 0;
        }
        if self.data.capacity() > 2 * self.data.len() {
            self.data.shrink_to_fit();
        }
        self.count(pool);
    }

    /// Gives the memory back if nothing is in it.
    pub fn release(&mut self, pool: &mut BufPool) {
        if self.is_empty() && self.data.capacity() > 0 {
            pool.put(std::mem::take(&mut self.data));
            self.clear();
            self.count(pool);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_bytes_come_back_until_forgotten() {
        let mut pool = BufPool::new(usize::MAX);
        let mut buf = Buf::default();
        buf.back(&mut pool).extend_from_slice(b"abcd");
        buf.consume_kept(4);
        assert!(buf.is_empty() && buf.held() == 4);
        buf.rewind();
        assert_eq!(buf.pending(), b"abcd");
        buf.consume_kept(4);
        buf.forget_taken();
        assert_eq!(buf.held(), 0);
        buf.release(&mut pool);
        assert_eq!((pool.free.len(), pool.lent_bytes), (1, 0));
    }

    #[test]
    fn kept_bytes_survive_growth() {
        let mut pool = BufPool::new(usize::MAX);
        let mut buf = Buf::default();
        buf.back(&mut pool).extend_from_slice(&[1; SMALL_BYTES]);
        buf.consume_kept(SMALL_BYTES);
        buf.back_with_room(2, &mut pool).extend_from_slice(&[2; 2]);
        assert_eq!(buf.pending(), [2, 2]);
        buf.rewind();
        assert_eq!(buf.len(), SMALL_BYTES + 2);
    }

    #[test]
    fn the_pool_knows_what_it_lent() {
        let mut pool = BufPool::new(SMALL_BYTES * 2);
        let (mut a, mut b) = (Buf::default(), Buf::default());
        a.back_with_room(SMALL_BYTES * 4, &mut pool).push(1);
        assert!(pool.is_exhausted());
        b.take_from(&mut a, 1, &mut pool);
        a.release(&mut pool);
        b.consume(1);
        b.release(&mut pool);
        assert!(!pool.is_exhausted() && pool.lent_bytes == 0);
    }

    #[test]
    fn trimming_keeps_the_bytes_and_little_more() {
        let mut pool = BufPool::new(usize::MAX);
        let mut buf = Buf::default();
        buf.back_with_room(SMALL_BYTES * 4, &mut pool)
            .extend_from_slice(b"abcd");
        buf.consume_kept(2);
        buf.trim(&mut pool);
        assert!(buf.pending() == b"cd" && pool.lent_bytes < 100);
        buf.rewind();
        assert_eq!(buf.pending(), b"abcd");
        buf.consume(2);
        buf.trim(&mut pool);
        assert_eq!(buf.pending(), b"cd");
        buf.consume(2);
        buf.trim(&mut pool);
        assert_eq!((buf.memory(), pool.lent_bytes), (0, 0));
    }

    #[test]
    fn whole_buffers_are_exchanged_and_parts_copied() {
        let mut pool = BufPool::new(usize::MAX);
        let (mut from, mut to) = (Buf::default(), Buf::default());
        from.back(&mut pool).extend_from_slice(b"abcdef");
        let memory = from.pending().as_ptr();
        to.take_from(&mut from, 6, &mut pool);
        assert_eq!(
            (to.pending(), to.pending().as_ptr()),
            (&b"abcdef"[..], memory)
        );
        from.take_from(&mut to, 2, &mut pool);
        assert_eq!((from.pending(), to.pending()), (&b"ab"[..], &b"cdef"[..]));
        from.take_from(&mut to, 4, &mut pool);
        assert_eq!((from.pending(), to.is_empty()), (&b"abcdef"[..], true));
    }

    #[test]
    fn room_is_made_by_moving_before_growing() {
        let mut pool = BufPool::new(usize::MAX);
        let mut buf = Buf::default();
        buf.back(&mut pool).extend_from_slice(&[1; SMALL_BYTES]);
        buf.consume(SMALL_BYTES - 1);
        assert_eq!(buf.back_with_room(100, &mut pool).capacity(), SMALL_BYTES);
        assert_eq!(buf.pending(), [1]);
    }
}
