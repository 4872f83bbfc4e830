//! The guest's process: sends each message back.

use std::os::fd::{BorrowedFd, RawFd};

use jd_ring::abi::{Upgrade, EVENTFD_WAKE, SLAB_BYTES};
use jd_ring::guest::{GuestEnd, HostState, SlabView, Waiter, Wake};
use rustix::mm::{mmap, MapFlags, ProtFlags};

use crate::sleep::{pin_to, Bed};
use crate::{Outcome, Waiting};

/// First argument of the guest's process.
pub const FLAG: &str = "--guest";

/// Arguments after [`FLAG`]: core, `poll` or `park`, slot, generation, waiter, and the descriptors of
/// slab, waiter and bell.
pub fn run(arguments: &[String]) -> Outcome<()> {
    let [core, waiting, numbers @ ..] = arguments else {
        return Err("the guest's process is started by ring_echo itself".into());
    };
    pin_to(core.parse()?)?;
    let waiting = if waiting == "poll" {
        Waiting::Poll
    } else {
        Waiting::Park
    };
    let numbers: Result<Vec<u32>, _> = numbers.iter().map(|text| text.parse()).collect();
    let [slot, generation, waiter, slab_fd, waiter_fd, bell_fd] = numbers?[..] else {
        return Err("six numbers".into());
    };
    let view = map(inherited(slab_fd)?)?;
    let upgrade = Upgrade {
        slot,
        generation,
        bell: 0,
        pending: 0,
    };
    let end = view.end(&upgrade).ok_or("the slot is another's")?;
    let waiter = view.waiter(waiter).ok_or("no such waiter")?;
    end.set_waiter(Some(waiter.index()));
    echo(
        &end,
        &waiter,
        waiting,
        Bed::behind(inherited(waiter_fd)?)?,
        inherited(bell_fd)?,
    )
}

fn echo(
    end: &GuestEnd<'_>,
    waiter: &Waiter<'_>,
    waiting: Waiting,
    mut bed: Bed,
    bell: BorrowedFd<'_>,
) -> Outcome<()> {
    let mut message = [0; 4_096];
    loop {
        let state = end.host_state();
        let len = end.take_into(&mut message);
        if len > 0 {
            // Nobody waits for space in this exchange, but a shim asks after each read.
            let space = end.notify_space();
            end.publish(&message[..len]);
            if space != Wake::Quiet || end.notify_data() != Wake::Quiet {
                rustix::io::write(bell, &EVENTFD_WAKE.to_ne_bytes())?;
            }
        } else if state != HostState::Open {
            return Ok(());
        } else if waiting == Waiting::Poll {
            std::hint::spin_loop();
        } else if waiter.arm() {
            bed.sleep()?;
            let _ = waiter.take();
        } else {
            waiter.disarm();
            let _ = waiter.take();
        }
    }
}

fn map(slab: BorrowedFd<'_>) -> Outcome<SlabView<'static>> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh mapping of the slab's sealed length, kept until the process ends.
    let view = unsafe {
        let base = mmap(
            std::ptr::null_mut(),
            SLAB_BYTES,
            protection,
            MapFlags::SHARED,
            slab,
            0,
        )?;
        SlabView::new(base.cast::<u8>(), SLAB_BYTES)
    };
    view.map_err(|mismatch| format!("no slab of this build: {mismatch:?}").into())
}

fn inherited(number: u32) -> Outcome<BorrowedFd<'static>> {
    // SAFETY: inherited from the host's process, which names it, and never closed here.
    Ok(unsafe { BorrowedFd::borrow_raw(RawFd::try_from(number)?) })
}
