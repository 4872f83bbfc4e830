//! `getsockopt(2)` of level `JR`: a guest asks for rings (docs/protocols.md, section 7).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jd_link::{Granted, Owner, Refusal, Ticket, Upgrade};
use jd_ring::abi;
use jd_wire::names::Name;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::{fcntl_dupfd_cloexec, Errno};

use crate::call::{Injection, Notification, Outcome, Reply, Wait, DONE};
use crate::inbox::Command;
use crate::sandbox::{Sandbox, Subject};
use crate::sys::{notify, process, socket};

/// Numbers of the descriptors that a guest gets: above those of its UDP sockets, where its own never come
/// to lie as long as it has fewer.
const NUMBER_BASE: u32 = 1024;
const NUMBERS: u32 = 256;
const NUMBER_TRIES: u32 = 32;

/// How long a worker of the front door may take to change a connection over.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(2);

impl Sandbox {
    /// Answers an option of that level on a stream socket.
    pub(crate) fn ring_option(&mut self, call: &Notification, subject: Subject) -> Reply {
        if subject.is_datagram() {
            return Err(Errno::NOPROTOOPT);
        }
        match call.int(2) {
            abi::OPTION_SLAB => {
                let rings = self.shared.rings()?;
                let memory = fcntl_dupfd_cloexec(rings.memory(), 0)?;
                self.give(call, memory)
            }
            abi::OPTION_UPGRADE => self.upgrade(call, subject),
            abi::OPTION_BELL => {
                let index = self.read_word(call, call.args[3])?;
                let bell = self.shared.rings()?.bell(index);
                let bell = fcntl_dupfd_cloexec(bell.map_err(|_| Errno::INVAL)?, 0)?;
                self.give(call, bell)
            }
            abi::OPTION_WAITER => self.give_waiter(call),
            abi::OPTION_WAITER_FREE => {
                let index = self.read_word(call, call.args[3])?;
                self.shared.rings()?.give_back_waiter(index)?;
                DONE
            }
            _ => Err(Errno::NOPROTOOPT),
        }
    }

    fn give(&mut self, call: &Notification, descriptor: OwnedFd) -> Reply {
        Ok(Outcome::Inject(Injection {
            at: self.ring_number(call)?,
            socket: descriptor,
            close_on_exec: true,
            watch: None,
        }))
    }

    /// A high number that the caller does not use.
    fn ring_number(&mut self, call: &Notification) -> Result<Option<u32>, Errno> {
        let caller = self.caller(call)?;
        for _ in 0..NUMBER_TRIES {
            let number = NUMBER_BASE + self.next_ring_number % NUMBERS;
            self.next_ring_number = self.next_ring_number.wrapping_add(1);
            let Ok(fd) = i32::try_from(number) else { break };
            if matches!(process::descriptor_of(caller.as_fd(), fd), Err(Errno::BADF)) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    fn give_waiter(&mut self, call: &Notification) -> Reply {
        let rings = self.shared.rings()?;
        let owner = process::open_process(call.pid)?;
        let index = rings.take_waiter(owner)?;
        let given = self.hand_over_waiter(call, index, rings.waiter(index).ok_or(Errno::NOBUFS)?);
        if given.is_err() {
            let _ = rings.give_back_waiter(index);
        }
        given
    }

    fn hand_over_waiter(
        &mut self,
        call: &Notification,
        index: u32,
        eventfd: BorrowedFd<'_>,
    ) -> Reply {
        self.write(call, call.args[3], &index.to_ne_bytes())?;
        let at = self.ring_number(call)?;
        let inject = |at| notify::inject(self.notify.as_fd(), call.id, eventfd, at, true);
        match inject(at) {
            // Beyond the caller's limit of open files.
            Err(Errno::BADF) if at.is_some() => inject(None)?,
            injected => injected?,
        }
        Ok(Outcome::Answered)
    }

    fn upgrade(&mut self, call: &Notification, subject: Subject) -> Reply {
        if self.room(call, call.args[4])? < size_of::<abi::Upgrade>() {
            return Err(Errno::INVAL);
        }
        let owner = self.dialler(&subject).ok_or(Errno::NOPROTOOPT)?;
        let rings = self.shared.rings()?;
        let number = self.shared.next_upgrade.fetch_add(1, Ordering::Relaxed);
        let ticket = Arc::new(Ticket::default());
        let deadline = Instant::now() + UPGRADE_TIMEOUT;
        let (sandbox, inbox, holder) =
            (self.shared.id, Arc::clone(&self.inbox), Arc::clone(&owner));
        let done = Box::new(move |outcome| {
            inbox.send(Command::Upgraded {
                sandbox,
                number,
                outcome,
                owner: holder,
            });
        });
        owner.upgrade(Upgrade::new(rings, subject.fd, Arc::clone(&ticket), done));
        Ok(Outcome::Park(Wait::Upgrade {
            number,
            ticket,
            deadline,
        }))
    }

    /// Who holds the other end, if it is a live connection of the platform. A guest's own connections have
    /// other names; one that died may leave its name to a later one, so a dead one names nobody.
    fn dialler(&self, subject: &Subject) -> Option<Arc<dyn Owner>> {
        let name = socket::peer_name(subject.fd.as_fd()).ok().flatten()?;
        let Name::Client {
            source,
            destination,
        } = Name::parse(&name)?
        else {
            return None;
        };
        let mut fds = [PollFd::new(&subject.fd, PollFlags::empty())];
        let hung_up = rustix::event::poll(&mut fds, Some(&Timespec::default())) != Ok(0);
        if hung_up || source.ip() != self.shared.gateway {
            return None;
        }
        self.shared.dials.owner(source, destination)
    }

    /// Tells the guest that its connection changed over, or why not.
    pub(crate) fn finish_upgrade(
        &mut self,
        call: &Notification,
        outcome: Result<Granted, Refusal>,
    ) -> Reply {
        let granted = outcome.map_err(|refusal| match refusal {
            Refusal::Unsuitable => Errno::NOPROTOOPT,
            Refusal::NoSlot => Errno::NOBUFS,
            Refusal::Already => Errno::ALREADY,
        })?;
        let words = [
            granted.slot,
            granted.generation,
            granted.bell,
            granted.pending,
        ];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::INVAL)?;
        self.write_both(
            call,
            (call.args[3], &bytes),
            (call.args[4], &length.to_ne_bytes()),
        )?;
        DONE
    }
}
