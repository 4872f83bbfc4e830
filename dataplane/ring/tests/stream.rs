//! Both ends against a model of a byte stream, for random amounts, wrapping, sleeping and leaving.

use std::collections::VecDeque;

use jd_ring::abi::RING_BYTES;
use jd_ring::guest::{GuestEnd, HostState, Waiter, Wake};
use jd_ring::host::{Bell, GuestState, HostEnd, Slab, Told};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    HostPublishes(Vec<usize>),
    HostTakes(usize),
    HostWantsSpace,
    HostSleeps,
    GuestPublishes(usize),
    GuestTakes(usize),
    GuestPeeks(usize),
    GuestSkips(usize),
    GuestWantsSpace,
    GuestSleeps,
}

fn amounts() -> impl Strategy<Value = usize> {
    prop_oneof![
        0..3_usize,
        1..1_500_usize,
        RING_BYTES - 3..RING_BYTES + 3,
        0..2 * RING_BYTES
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::collection::vec(amounts(), 0..4).prop_map(Step::HostPublishes),
        amounts().prop_map(Step::HostTakes),
        Just(Step::HostWantsSpace),
        Just(Step::HostSleeps),
        amounts().prop_map(Step::GuestPublishes),
        amounts().prop_map(Step::GuestTakes),
        amounts().prop_map(Step::GuestPeeks),
        amounts().prop_map(Step::GuestSkips),
        Just(Step::GuestWantsSpace),
        Just(Step::GuestSleeps),
    ]
}

/// Both ends, and what a byte stream between them would hold.
struct Twin<'a> {
    host: HostEnd,
    guest: GuestEnd<'a>,
    waiter: Waiter<'a>,
    bell: Bell,
    to_guest: VecDeque<u8>,
    to_host: VecDeque<u8>,
    guest_sleeps: bool,
    host_sleeps: bool,
    next: u8,
}

impl<'a> Twin<'a> {
    fn open(slab: &'a Slab, start: u32) -> Self {
        let host = slab.open_from(3, start).unwrap().unwrap();
        let guest = slab.guest_view().end(&host.upgrade(0)).unwrap();
        let waiter = slab.waiter_open().unwrap().unwrap();
        guest.set_waiter(Some(waiter));
        Self {
            host,
            guest,
            waiter: slab.guest_view().waiter(waiter).unwrap(),
            bell: slab.bell(3).unwrap(),
            to_guest: VecDeque::new(),
            to_host: VecDeque::new(),
            guest_sleeps: false,
            host_sleeps: false,
            next: 0,
        }
    }

    fn fresh(&mut self, len: usize) -> Vec<u8> {
        (0..len)
            .map(|_| {
                self.next = self.next.wrapping_mul(5).wrapping_add(7);
                self.next
            })
            .collect()
    }

    /// Data must wake a sleeper; space only one that asked for it.
    fn host_tells(&mut self, must: bool) {
        match self.host.notify().unwrap() {
            Told::Woken => {
                assert!(self.guest_sleeps);
                self.guest_sleeps = false;
                assert_ne!(self.waiter.take(), 0);
            }
            Told::Awake => assert!(!self.guest_sleeps),
            Told::Nobody => assert!(!must),
        }
    }

    fn guest_tells(&mut self, wake: Wake, must: bool) {
        if wake == Wake::Bell(3) {
            assert!(self.host_sleeps);
            self.host_sleeps = false;
            assert_ne!(self.bell.take(), 0);
        } else {
            assert_eq!(wake, Wake::Quiet);
            assert!(!(must && self.host_sleeps));
        }
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::HostPublishes(lens) => {
                let parts: Vec<Vec<u8>> = lens.iter().map(|len| self.fresh(*len)).collect();
                let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
                let free = RING_BYTES - self.to_guest.len();
                let sent = self.host.publish_parts(&slices).unwrap();
                let whole = parts.concat();
                assert_eq!(sent, whole.len().min(free));
                self.to_guest.extend(&whole[..sent]);
                self.host_tells(sent > 0);
            }
            Step::HostTakes(max) => {
                let mut got = vec![0xee];
                let taken = self.host.take_into(&mut got, *max).unwrap();
                assert_eq!(taken, self.to_host.len().min(*max));
                assert!(got[1..].iter().copied().eq(self.to_host.drain(..taken)));
                self.host_tells(false);
            }
            Step::HostWantsSpace => {
                let half_free = self.to_guest.len() <= RING_BYTES / 2;
                assert_eq!(self.host.wants_space().unwrap(), half_free);
            }
            Step::HostSleeps => self.host_sleeps = self.bell.rearm_and_take() == 0,
            Step::GuestPublishes(len) => {
                let bytes = self.fresh(*len);
                let sent = self.guest.publish(&bytes);
                assert_eq!(sent, (*len).min(RING_BYTES - self.to_host.len()));
                self.to_host.extend(&bytes[..sent]);
                let wake = self.guest.notify_data();
                self.guest_tells(wake, true);
            }
            Step::GuestTakes(len) => {
                let mut got = vec![0; *len];
                let taken = self.guest.take_into(&mut got);
                assert_eq!(taken, self.to_guest.len().min(*len));
                assert!(got[..taken]
                    .iter()
                    .copied()
                    .eq(self.to_guest.drain(..taken)));
                let wake = self.guest.notify_space();
                self.guest_tells(wake, false);
            }
            Step::GuestPeeks(len) => {
                let mut got = vec![0; *len];
                // SAFETY: `got` is writable for its length.
                let seen = unsafe { self.guest.peek(got.as_mut_ptr(), got.len()) };
                assert_eq!(seen, self.to_guest.len().min(*len));
                assert!(got[..seen].iter().eq(self.to_guest.iter().take(seen)));
            }
            Step::GuestSkips(len) => {
                let skipped = self.guest.skip(*len);
                assert_eq!(skipped, self.to_guest.len().min(*len));
                self.to_guest.drain(..skipped);
                let wake = self.guest.notify_space();
                self.guest_tells(wake, false);
            }
            Step::GuestWantsSpace => {
                let half_free = self.to_host.len() <= RING_BYTES / 2;
                assert_eq!(self.guest.wants_space(), half_free);
            }
            Step::GuestSleeps => self.guest_sleeps = self.waiter.arm() || self.guest_slept(),
        }
        assert_eq!(self.guest.readable(), self.to_guest.len());
        assert_eq!(self.guest.free(), RING_BYTES - self.to_host.len());
        assert_eq!(self.host.readable().unwrap(), self.to_host.len());
        assert_eq!(self.host.free().unwrap(), RING_BYTES - self.to_guest.len());
    }

    /// News kept the guest from sleeping: it takes them and stays awake.
    fn guest_slept(&self) -> bool {
        self.waiter.disarm();
        assert_ne!(self.waiter.take(), 0);
        false
    }

    /// The guest leaves: the host finds what it published, and gets back what it did not take.
    fn part(mut self) {
        let wake = self.guest.leave();
        self.guest_tells(wake, true);
        assert_eq!(self.host.guest().unwrap(), GuestState::Left);
        let mut rest = Vec::new();
        self.host.take_into(&mut rest, usize::MAX).unwrap();
        assert!(rest.iter().eq(self.to_host.iter()));
        let mut back = Vec::new();
        assert_eq!(self.host.take_back(&mut back).unwrap(), self.to_guest.len());
        assert!(back.iter().eq(self.to_guest.iter()));
        assert_eq!(self.host.take_back(&mut back).unwrap(), 0, "once");
        self.host.go();
        assert_eq!(self.guest.host_state(), HostState::Gone);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_directions_are_byte_streams(
        start in prop_oneof![Just(0_u32), any::<u32>(), u32::MAX - 100_000..=u32::MAX],
        steps in prop::collection::vec(steps(), 1..120),
    ) {
        let slab = Slab::create().unwrap();
        let mut twin = Twin::open(&slab, start);
        for step in &steps {
            twin.play(step);
        }
        twin.part();
    }
}
