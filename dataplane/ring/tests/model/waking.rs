//! No wake is lost, and none is written twice.

use loom::sync::atomic::{AtomicU32, Ordering::Relaxed};
use loom::sync::Arc;
use loom::thread;

use crate::abi::Doorbell;
use crate::doorbell;
use crate::stage::{explore, Stage};

/// Two publishers of different slots behind one sleeper: it sees both marks, and at most one of them is
/// told to write the eventfd for one time that it asked.
#[test]
fn one_of_two_publishers_wakes() {
    explore(4, || {
        let bell = Arc::new(Doorbell::default());
        let writes = Arc::new(AtomicU32::new(0));
        let armed = doorbell::rearm_and_take(&bell);
        assert_eq!(armed, 0);
        let publishers = [1_u64, 2].map(|bit| {
            let (bell, writes) = (bell.clone(), writes.clone());
            thread::spawn(move || {
                if doorbell::mark(&bell, bit) {
                    writes.fetch_add(1, Relaxed);
                }
            })
        });
        for publisher in publishers {
            publisher.join().unwrap();
        }
        assert_eq!(writes.load(Relaxed), 1);
        assert_eq!(doorbell::take(&bell), 3);
    });
}

/// A guest that says where it waits after the host has published sees it in the ring itself.
#[test]
fn a_waiter_set_late_misses_nothing() {
    explore(4, || {
        let (stage, mut side) = Stage::open();
        let guest = stage.clone();
        let reader = thread::spawn(move || {
            let mut piece = [0];
            if guest.guest().take_into(&mut piece) == 0 {
                guest.guest().set_waiter(Some(0));
                while guest.guest().take_into(&mut piece) == 0 {
                    guest.guest_sleeps();
                }
            }
            piece[0]
        });
        assert_eq!(side.publish(&stage.slot, &[&[7]]), Ok(1));
        stage.tell_guest(&mut side);
        assert_eq!(reader.join().unwrap(), 7);
    });
}

/// The host sleeps for space while the guest takes in one go.
#[test]
fn a_host_that_waits_for_space_is_told() {
    explore(4, || {
        let (stage, mut side) = Stage::open();
        assert_eq!(side.publish(&stage.slot, &[&[1, 2]]), Ok(2));
        let guest = stage.clone();
        let reader = thread::spawn(move || {
            let mut piece = [0; 2];
            assert_eq!(guest.guest().take_into(&mut piece), 2);
            guest.tell_host(guest.guest().notify_space());
        });
        while !side.wants_space(&stage.slot).unwrap() {
            stage.host_sleeps();
        }
        assert_eq!(side.publish(&stage.slot, &[&[3]]), Ok(1));
        reader.join().unwrap();
    });
}

/// The guest sleeps for space while the host takes in one go.
#[test]
fn a_guest_that_waits_for_space_is_told() {
    explore(4, || {
        let (stage, mut side) = Stage::open();
        stage.guest().set_waiter(Some(0));
        assert_eq!(stage.guest().publish(&[1, 2]), 2);
        let guest = stage.clone();
        let writer = thread::spawn(move || {
            while !guest.guest().wants_space() {
                guest.guest_sleeps();
            }
            assert_eq!(guest.guest().publish(&[3]), 1);
        });
        let mut read = Vec::new();
        assert_eq!(stage.host_takes(&mut side, &mut read), 2);
        stage.tell_guest(&mut side);
        writer.join().unwrap();
    });
}
