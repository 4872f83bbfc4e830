//! Bytes arrive in order and none is lost, with sleeping on both sides, across the cursors' overflow.

use loom::thread;

use crate::abi;
use crate::stage::{explore, Stage};

#[test]
fn what_the_host_sends_arrives() {
    explore(3, || {
        let (stage, mut side) = Stage::open();
        let guest = stage.clone();
        let reader = thread::spawn(move || {
            guest.guest().set_waiter(Some(0));
            guest.guest_reads_to_end()
        });
        stage.host_sends(&mut side, &[1, 2, 3]);
        side.set_state(&stage.slot, abi::HOST_ENDED);
        stage.tell_guest(&mut side);
        assert_eq!(reader.join().unwrap(), [1, 2, 3]);
    });
}

#[test]
fn what_the_guest_sends_arrives() {
    explore(3, || {
        let (stage, mut side) = Stage::open();
        let guest = stage.clone();
        let writer = thread::spawn(move || {
            guest.guest().set_waiter(Some(0));
            guest.guest_sends(&[1, 2, 3]);
            guest.tell_host(guest.guest().leave());
        });
        assert_eq!(stage.host_reads_to_leave(&mut side), [1, 2, 3]);
        writer.join().unwrap();
    });
}

#[test]
fn a_request_is_answered() {
    explore(3, || {
        let (stage, mut side) = Stage::open();
        let guest = stage.clone();
        let server = thread::spawn(move || {
            guest.guest().set_waiter(Some(0));
            let mut request = [0];
            while guest.guest().take_into(&mut request) == 0 {
                guest.guest_sleeps();
            }
            guest.guest_sends(&[request[0] + 1]);
        });
        stage.host_sends(&mut side, &[41]);
        let mut answer = Vec::new();
        while stage.host_takes(&mut side, &mut answer) == 0 {
            stage.host_sleeps();
        }
        assert_eq!(answer, [42]);
        server.join().unwrap();
    });
}

#[test]
fn an_end_does_not_overtake_the_data_before_it() {
    explore(4, || {
        let (stage, mut side) = Stage::open();
        let guest = stage.clone();
        let reader = thread::spawn(move || {
            guest.guest().set_waiter(Some(0));
            guest.guest_reads_to_end()
        });
        assert_eq!(side.publish(&stage.slot, &[&[1]]), Ok(1));
        side.set_state(&stage.slot, abi::HOST_ENDED);
        stage.tell_guest(&mut side);
        assert_eq!(reader.join().unwrap(), [1]);
    });
}
