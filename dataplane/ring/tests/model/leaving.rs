//! A guest that goes back to its descriptor loses no byte in either direction.

use loom::thread;

use crate::side::GuestState;
use crate::stage::{explore, Stage};

#[test]
fn what_the_guest_had_not_taken_comes_back() {
    explore(3, || {
        let (stage, mut side) = Stage::open();
        let guest = stage.clone();
        let leaver = thread::spawn(move || {
            let mut piece = [0];
            let taken = guest.guest().take_into(&mut piece);
            guest.tell_host(guest.guest().leave());
            piece[..taken].to_vec()
        });
        let sent = side.publish(&stage.slot, &[&[1, 2]]).unwrap();
        while side.guest(&stage.slot).unwrap() == GuestState::Open {
            stage.host_sleeps();
        }
        let mut back = [0; 2];
        // SAFETY: writable for the ring's length.
        let len = unsafe { side.take_back(&stage.slot, back.as_mut_ptr()) }.unwrap();
        let mut whole = leaver.join().unwrap();
        whole.extend_from_slice(&back[..len]);
        assert_eq!(whole, [1, 2][..sent]);
    });
}

#[test]
fn what_the_guest_published_before_it_left_arrives() {
    explore(3, || {
        let (stage, mut side) = Stage::open();
        let guest = stage.clone();
        let leaver = thread::spawn(move || {
            assert_eq!(guest.guest().publish(&[1, 2]), 2);
            guest.tell_host(guest.guest().leave());
        });
        assert_eq!(stage.host_reads_to_leave(&mut side), [1, 2]);
        leaver.join().unwrap();
    });
}
