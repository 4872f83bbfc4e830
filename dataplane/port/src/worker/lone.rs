//! A sandbox that holds up its worker gets one of its own, with the calls that wait.

use std::sync::{mpsc, Arc};

use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;

use super::datagrams::WANTED;
use super::{Command, Inbox, Parked, Resident, Source, Worker};

impl Worker {
    /// Moves a sandbox to a thread of its own.
    pub(super) fn set_apart(&mut self, id: u64) {
        if self.lone || !self.residents.contains_key(&id) {
            return;
        }
        let (inbox, hand_over) = match self.start_lone() {
            Ok(started) => started,
            Err(error) => {
                log::error!(
                    "a sandbox holds up others, and no thread for it can be started: {error}"
                );
                return;
            }
        };
        let Some((mut resident, parked)) = self.take_out(id) else {
            return;
        };
        let sandbox = &mut resident.sandbox;
        sandbox.inbox = Arc::clone(&inbox);
        log::warn!(
            "sandbox {} makes its worker wait: it gets one of its own",
            sandbox.shared.name
        );
        // From here on commands go there; those that came here before are passed on.
        self.registry.moved(id, inbox);
        // It waits for this, so it is there.
        let _ = hand_over.send((resident, parked));
    }

    #[expect(clippy::type_complexity, reason = "one caller, which takes it apart")]
    fn start_lone(&self) -> std::io::Result<(Arc<Inbox>, mpsc::Sender<(Resident, Vec<Parked>)>)> {
        let (inbox, commands) = Inbox::new()?;
        let inbox = Arc::new(inbox);
        let mut worker = Self::new(
            Arc::clone(&self.world),
            Arc::clone(&self.registry),
            Arc::clone(&inbox),
            commands,
        )?;
        worker.lone = true;
        let (hand_over, handed) = mpsc::channel();
        std::thread::Builder::new()
            .name("jd-port-lone".into())
            .spawn(move || {
                if let Ok((resident, parked)) = handed.recv() {
                    worker.take_in(resident, parked);
                    worker.run();
                }
            })?;
        Ok((inbox, hand_over))
    }

    fn take_out(&mut self, id: u64) -> Option<(Resident, Vec<Parked>)> {
        let waits = |(number, parked): (&u64, &Parked)| (parked.sandbox == id).then_some(*number);
        let numbers: Vec<u64> = self.parked.iter().filter_map(waits).collect();
        let parked = numbers.into_iter().filter_map(|number| self.unpark(number));
        let parked = parked.collect();
        let resident = self.residents.remove(&id)?;
        let _ = epoll::delete(&self.epoll, &resident.sandbox.notify);
        let _ = epoll::delete(&self.epoll, &resident.init);
        for datagram in resident.sandbox.datagrams.values() {
            let _ = epoll::delete(&self.epoll, &datagram.end);
        }
        Some((resident, parked))
    }

    fn take_in(&mut self, resident: Resident, parked: Vec<Parked>) {
        let id = resident.sandbox.shared.id;
        let watched = self.watch(&resident);
        for datagram in resident.sandbox.datagrams.values() {
            let source = Source::Datagram(datagram.id).data();
            let _ = epoll::add(&self.epoll, &datagram.end, source, WANTED);
        }
        // Alone it has nobody to rest for.
        self.residents.insert(
            id,
            Resident {
                rests_until: None,
                ..resident
            },
        );
        for parked in parked {
            self.park_again(parked);
        }
        if let Err(error) = watched {
            self.evict(id, &format!("its descriptors cannot be watched: {error}"));
        }
    }

    /// Watches for the calls and the end of a sandbox.
    pub(super) fn watch(&self, resident: &Resident) -> Result<(), Errno> {
        let id = resident.sandbox.shared.id;
        let notify = &resident.sandbox.notify;
        epoll::add(
            &self.epoll,
            notify,
            Source::Notify(id).data(),
            EventFlags::IN,
        )?;
        epoll::add(
            &self.epoll,
            &resident.init,
            Source::Init(id).data(),
            EventFlags::IN,
        )
    }

    /// Passes a command on to the worker that has its sandbox now; `None`: it is here, or gone.
    pub(super) fn pass_on(&self, command: Command) -> Option<Command> {
        let id = match &command {
            Command::Detach(id, _) => *id,
            Command::Connected { sandbox, .. } | Command::Upgraded { sandbox, .. } => *sandbox,
            Command::Attach(..) | Command::Stop => return Some(command),
        };
        if self.residents.contains_key(&id) {
            return Some(command);
        }
        match self.registry.inbox_of(id) {
            Some(inbox) if !Arc::ptr_eq(&inbox, &self.inbox) => {
                inbox.send(command);
                None
            }
            _ => Some(command),
        }
    }
}
