//! poll(2), select(2) and epoll(7).

use crate::epoll::{self, Timeout};
use crate::exports;
use crate::next::{self, finish};
use crate::poll::{self, Limit};
use crate::select;
use crate::sys::{EpollEvent, PollFd, Time};

exports! {
    /// poll(2).
    fn poll(list: *mut PollFd, count: u64, timeout_ms: i32) -> i32 {
        if poll::concerns_us() {
            if let Some(answer) = poll::poll(list, count as usize, Limit::millis(timeout_ms), epoll::NO_MASK) {
                return finish(answer) as i32;
            }
        }
        next::poll(list, count, timeout_ms)
    }

    /// poll(2) as glibc's own libraries call it.
    fn __poll(list: *mut PollFd, count: u64, timeout_ms: i32) -> i32 {
        poll(list, count, timeout_ms)
    }

    /// The fortified poll(2).
    fn __poll_chk(list: *mut PollFd, count: u64, timeout_ms: i32, room: usize) -> i32 {
        if (room / size_of::<PollFd>()) < count as usize {
            super::transfer::overflow();
        }
        poll(list, count, timeout_ms)
    }

    /// ppoll(2).
    fn ppoll(list: *mut PollFd, count: u64, timeout: *const Time, mask: *const u64) -> i32 {
        if poll::concerns_us() {
            if let Some(answer) = poll::poll(list, count as usize, Limit::exact(timeout.as_ref().copied()), mask) {
                return finish(answer) as i32;
            }
        }
        next::ppoll(list, count, timeout, mask)
    }

    /// The fortified ppoll(2).
    fn __ppoll_chk(list: *mut PollFd, count: u64, timeout: *const Time, mask: *const u64, room: usize) -> i32 {
        if (room / size_of::<PollFd>()) < count as usize {
            super::transfer::overflow();
        }
        ppoll(list, count, timeout, mask)
    }

    /// select(2), which leaves the rest of the time in `timeout`.
    fn select(count: i32, read: *mut u64, write: *mut u64, except: *mut u64, timeout: *mut Time) -> i32 {
        if !poll::concerns_us() {
            return next::select(count, read, write, except, timeout);
        }
        let whole_ns = timeout.as_ref().map(|time| crate::park::timeval_ns(*time));
        let begun_ns = if whole_ns.is_some() { next::now_ns() } else { 0 };
        let limit = Limit { ns: whole_ns };
        let Some(answer) = select::select(count, [read, write, except], limit, epoll::NO_MASK) else {
            return next::select(count, read, write, except, timeout);
        };
        if let (Some(whole_ns), Some(time)) = (whole_ns, timeout.as_mut()) {
            let left_ns = whole_ns.saturating_sub(next::now_ns().saturating_sub(begun_ns));
            *time = Time { seconds: (left_ns / 1_000_000_000) as i64, part: (left_ns % 1_000_000_000 / 1_000) as i64 };
        }
        finish(answer) as i32
    }

    /// select(2) as glibc's own libraries call it.
    fn __select(count: i32, read: *mut u64, write: *mut u64, except: *mut u64, timeout: *mut Time) -> i32 {
        select(count, read, write, except, timeout)
    }

    /// pselect(2).
    fn pselect(
        count: i32, read: *mut u64, write: *mut u64, except: *mut u64, timeout: *const Time, mask: *const u64,
    ) -> i32 {
        if poll::concerns_us() {
            let limit = Limit::exact(timeout.as_ref().copied());
            if let Some(answer) = select::select(count, [read, write, except], limit, mask) {
                return finish(answer) as i32;
            }
        }
        next::pselect(count, read, write, except, timeout, mask)
    }

    /// epoll_create(2).
    fn epoll_create(size: i32) -> i32 {
        epoll::created(next::epoll_create(size))
    }

    /// epoll_create1(2).
    fn epoll_create1(flags: i32) -> i32 {
        epoll::created(next::epoll_create1(flags))
    }

    /// epoll_ctl(2).
    fn epoll_ctl(epoll: i32, operation: i32, fd: i32, event: *mut EpollEvent) -> i32 {
        epoll::control(epoll, operation, fd, event)
    }

    /// epoll_wait(2).
    fn epoll_wait(epoll: i32, events: *mut EpollEvent, room: i32, timeout_ms: i32) -> i32 {
        epoll::wait(epoll, events, room, Timeout::Millis(timeout_ms), epoll::NO_MASK)
    }

    /// epoll_pwait(2).
    fn epoll_pwait(epoll: i32, events: *mut EpollEvent, room: i32, timeout_ms: i32, mask: *const u64) -> i32 {
        epoll::wait(epoll, events, room, Timeout::Millis(timeout_ms), mask)
    }

    /// epoll_pwait2(2).
    fn epoll_pwait2(epoll: i32, events: *mut EpollEvent, room: i32, timeout: *const Time, mask: *const u64) -> i32 {
        let timeout = timeout.as_ref().map_or(Timeout::Millis(-1), |time| Timeout::Exact(*time));
        epoll::wait(epoll, events, room, timeout, mask)
    }
}
