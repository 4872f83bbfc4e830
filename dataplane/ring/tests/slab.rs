//! Slots, generations, waiters and eventfds of a real slab.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use jd_ring::abi::{EVENTFD_WAKE, SLAB_BYTES, SLOTS, WAITERS};
use jd_ring::guest::{HostState, Wake};
use jd_ring::host::{Slab, SlabError, Told};
use rustix::event::epoll;
use rustix::fs::{fcntl_add_seals, ftruncate, SealFlags};

/// An epoll set that watches one descriptor edge-triggered.
fn watching(fd: impl AsFd) -> std::os::fd::OwnedFd {
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let events = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(&set, fd, epoll::EventData::new_u64(0), events).unwrap();
    assert!(
        rings(&set),
        "an eventfd of a slab is readable from the start"
    );
    assert!(!rings(&set));
    set
}

fn rings(set: &std::os::fd::OwnedFd) -> bool {
    let mut events = Vec::with_capacity(1);
    let timeout = rustix::time::Timespec::try_from(Duration::ZERO).unwrap();
    epoll::wait(
        set,
        rustix::buffer::spare_capacity(&mut events),
        Some(&timeout),
    )
    .unwrap()
        > 0
}

fn resident_bytes(slab: &Slab) -> u64 {
    File::from(slab.memfd().try_clone_to_owned().unwrap())
        .metadata()
        .unwrap()
        .blocks()
        * 512
}

#[test]
fn the_memory_cannot_be_shrunk_grown_or_sealed() {
    let slab = Slab::create().unwrap();
    assert!(ftruncate(slab.memfd(), 0).is_err());
    assert!(ftruncate(slab.memfd(), 2 * SLAB_BYTES as u64).is_err());
    assert!(fcntl_add_seals(slab.memfd(), SealFlags::FUTURE_WRITE).is_err());
}

#[test]
fn only_touched_pages_cost_memory_and_a_freed_slot_keeps_them_for_the_next() {
    let slab = Slab::create().unwrap();
    let fresh = resident_bytes(&slab);
    assert!(fresh <= 4_096, "{fresh}");
    let mut end = slab.open(0).unwrap().unwrap();
    end.publish(&[7; 20_000]).unwrap();
    assert!(resident_bytes(&slab) >= 20_000);
    let (index, before) = (end.index(), end.upgrade(0));
    let touched = resident_bytes(&slab);
    drop(end);
    // Whatever would change the file waits for a lock that a guest may hold.
    assert_eq!(resident_bytes(&slab), touched);

    let end = slab.open(0).unwrap().unwrap();
    assert_eq!(end.index(), index);
    assert_eq!(end.upgrade(0).generation, before.generation.wrapping_add(1));
    let view = slab.guest_view();
    assert!(
        view.end(&before).is_none(),
        "the earlier generation is refused"
    );
    let guest = view.end(&end.upgrade(0)).unwrap();
    assert_eq!(guest.readable(), 0);
}

#[test]
fn slots_run_out_and_come_back() {
    let slab = Slab::create().unwrap();
    let mut ends: Vec<_> = (0..SLOTS).map(|_| slab.open(0).unwrap().unwrap()).collect();
    assert!(slab.open(0).unwrap().is_none());
    assert_eq!(slab.slots_open() as usize, SLOTS);
    ends.swap_remove(17);
    assert_eq!(slab.open(0).unwrap().unwrap().index(), 17);
    assert!(matches!(slab.open(16), Err(SlabError::NoSuchBell(16))));
}

#[test]
fn waiters_run_out_and_come_back() {
    let slab = Slab::create().unwrap();
    for index in 0..WAITERS {
        assert_eq!(
            slab.waiter_open().unwrap().map(|waiter| waiter as usize),
            Some(index)
        );
    }
    assert_eq!(slab.waiter_open().unwrap(), None);
    assert!(slab.waiter_free(5));
    assert!(!slab.waiter_free(5));
    assert!(!slab.waiter_free(1_000));
    assert_eq!(slab.waiter_open().unwrap(), Some(5));
}

#[test]
fn a_sleeping_guest_is_woken_by_its_eventfd() {
    let slab = Slab::create().unwrap();
    let mut end = slab.open(0).unwrap().unwrap();
    let view = slab.guest_view();
    let guest = view.end(&end.upgrade(0)).unwrap();
    end.publish(b"x").unwrap();
    assert_eq!(end.notify().unwrap(), Told::Nobody, "no waiter yet");

    let index = slab.waiter_open().unwrap().unwrap();
    let set = watching(slab.waiter_fd(index).unwrap());
    let waiter = view.waiter(index).unwrap();
    guest.set_waiter(Some(index));
    assert!(waiter.arm());
    end.publish(b"y").unwrap();
    assert_eq!(end.notify().unwrap(), Told::Woken);
    assert!(rings(&set));
    assert_eq!(waiter.take(), 1 << end.index());
    end.publish(b"z").unwrap();
    assert_eq!(end.notify().unwrap(), Told::Awake);
    assert!(!rings(&set));
    assert_eq!(end.notify().unwrap(), Told::Nobody, "nothing new");
    let counts = end.take_counts();
    assert_eq!(
        (
            counts.wakes_written,
            counts.wakes_avoided,
            counts.bytes_to_guest
        ),
        (1, 1, 3)
    );

    assert!(waiter.take() != 0 && waiter.arm());
    end.end_sending();
    assert_eq!(end.notify().unwrap(), Told::Woken);
    assert_eq!(guest.host_state(), HostState::Ended);
}

#[test]
fn one_wake_tells_of_all_that_was_marked_before() {
    let slab = Slab::create().unwrap();
    let view = slab.guest_view();
    let index = slab.waiter_open().unwrap().unwrap();
    let set = watching(slab.waiter_fd(index).unwrap());
    let waiter = view.waiter(index).unwrap();
    let mut ends: Vec<_> = (0..3).map(|_| slab.open(0).unwrap().unwrap()).collect();
    for end in &mut ends {
        view.end(&end.upgrade(0)).unwrap().set_waiter(Some(index));
        end.publish(b"x").unwrap();
    }
    assert!(waiter.arm());
    let mut sleepers: Vec<_> = ends.iter_mut().map(|end| end.mark().unwrap()).collect();
    assert!(!rings(&set), "a mark is no wake");
    let first = sleepers[0].take().expect("the guest sleeps");
    assert!(sleepers.iter().all(Option::is_none), "one wake is enough");
    assert_eq!(ends[0].wake(first).unwrap(), Told::Woken);
    assert!(rings(&set));
    assert_eq!(waiter.take(), 0b111);
    let written: u64 = ends
        .iter_mut()
        .map(|end| end.take_counts().wakes_written)
        .sum();
    assert_eq!(written, 1);
}

#[test]
fn a_filled_eventfd_neither_blocks_the_host_nor_loses_the_wake() {
    let slab = Slab::create().unwrap();
    let mut end = slab.open(0).unwrap().unwrap();
    let index = slab.waiter_open().unwrap().unwrap();
    let eventfd = slab.waiter_fd(index).unwrap();
    let set = watching(eventfd);
    // What a hostile guest does with its descriptor of the same eventfd.
    rustix::io::write(eventfd, &(u64::MAX - 2).to_ne_bytes()).unwrap();
    rustix::fs::fcntl_setfl(eventfd, rustix::fs::OFlags::empty()).unwrap();
    assert!(rings(&set));

    let guest = slab.guest_view().end(&end.upgrade(0)).unwrap();
    guest.set_waiter(Some(index));
    assert!(slab.guest_view().waiter(index).unwrap().arm());
    end.publish(b"x").unwrap();
    assert_eq!(end.notify().unwrap(), Told::Woken);
    assert!(rings(&set));
}

#[test]
fn a_guest_rings_the_bell_of_its_worker() {
    let slab = Slab::create().unwrap();
    let bell = slab.bell(2).unwrap();
    let set = watching(&bell);
    let end = slab.open(2).unwrap().unwrap();
    let guest = slab.guest_view().end(&end.upgrade(0)).unwrap();
    assert_eq!(bell.rearm_and_take(), 0);
    guest.publish(b"x");
    assert_eq!(guest.notify_data(), Wake::Bell(2));
    rustix::io::write(&bell, &EVENTFD_WAKE.to_ne_bytes()).unwrap();
    assert!(rings(&set));
    guest.publish(b"y");
    assert_eq!(guest.notify_data(), Wake::Quiet);
    assert_eq!(bell.take(), 1 << end.index());
}
