//! The host's process: sends a message, waits for it, takes the time.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use jd_ring::host::{Bell, HostEnd, Slab};
use rustix::io::{fcntl_setfd, FdFlags};

use crate::sleep::{pin_to, Bed};
use crate::{guest, Course, Outcome, Waiting};

/// Runs one course and describes it as a JSON object.
pub fn run(course: Course) -> Outcome<String> {
    pin_to(course.host_core)?;
    let slab = Slab::create()?;
    let bell = slab.bell(0)?;
    let mut end = slab.open(0)?.ok_or("a fresh slab has slots")?;
    let waiter = slab.waiter_open()?.ok_or("a fresh slab has waiters")?;
    let waiter_fd = slab
        .waiter_fd(waiter)
        .ok_or("a given waiter has its eventfd")?;
    let mut guest = start_guest(
        &course,
        &end,
        waiter,
        [slab.memfd(), waiter_fd, bell.as_fd()],
    )?;
    let times = Exchange {
        course,
        bell: &bell,
        bed: Bed::behind(&bell)?,
    }
    .run(&mut end);
    end.go();
    let woken = end.notify();
    guest.wait()?;
    woken?;
    let (mut times, counts) = (times?, end.take_counts());
    times.sort_unstable();
    let at_permille = |part: usize| times[(times.len() - 1) * part / 1_000].as_secs_f64() * 1e6;
    Ok(format!(
        "{{\"name\": \"{}\", \"message_bytes\": {}, \"cores\": [{}, {}], \"samples\": {}, \
         \"p50_us\": {:.3}, \"p99_us\": {:.3}, \"wakes_written\": {}, \"wakes_avoided\": {}}}",
        course.name,
        course.message_bytes,
        course.host_core,
        course.guest_core,
        times.len(),
        at_permille(500),
        at_permille(990),
        counts.wakes_written,
        counts.wakes_avoided,
    ))
}

fn start_guest(
    course: &Course,
    end: &HostEnd,
    waiter: u32,
    descriptors: [BorrowedFd<'_>; 3],
) -> Outcome<Child> {
    let upgrade = end.upgrade(0);
    let waiting = if course.waiting == Waiting::Poll {
        "poll"
    } else {
        "park"
    };
    let mut command = Command::new(std::env::current_exe()?);
    command.args([guest::FLAG, &course.guest_core.to_string(), waiting]);
    command.args([upgrade.slot, upgrade.generation, waiter].map(|number| number.to_string()));
    for descriptor in descriptors {
        fcntl_setfd(descriptor, FdFlags::empty())?;
        command.arg(descriptor.as_raw_fd().to_string());
    }
    Ok(command.spawn()?)
}

struct Exchange<'a> {
    course: Course,
    bell: &'a Bell,
    bed: Bed,
}

impl Exchange<'_> {
    /// Times of all round trips but the first tenth.
    fn run(&mut self, end: &mut HostEnd) -> Outcome<Vec<Duration>> {
        let message = vec![0x5a; self.course.message_bytes];
        let mut answer = Vec::with_capacity(message.len());
        let warm_up = self.course.samples / 10;
        let mut times = Vec::with_capacity(self.course.samples);
        for round in 0..warm_up + self.course.samples {
            answer.clear();
            let start = Instant::now();
            end.publish(&message)?;
            end.notify()?;
            while answer.len() < message.len() {
                if end.take_into(&mut answer, message.len())? == 0 {
                    self.wait()?;
                }
            }
            let time = start.elapsed();
            if round >= warm_up {
                times.push(time);
            }
        }
        Ok(times)
    }

    fn wait(&mut self) -> Outcome<()> {
        if self.course.waiting == Waiting::Poll {
            std::hint::spin_loop();
        } else if self.bell.rearm_and_take() == 0 {
            self.bed.sleep()?;
        }
        Ok(())
    }
}
