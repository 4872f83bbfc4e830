//! The control thread: clients of the control socket, keepers, news of the other threads, signals.
//!
//! It sleeps in one epoll and never waits anywhere else; probes and drains are run by the front door
//! and answered through the inbox.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use jd_wire::control::{Event, Reply, Request};
use rustix::event::epoll;
use rustix::net::{accept_with, SocketFlags};

use crate::client::{Client, Closed};
use crate::inbox::Inbox;
use crate::keeper::{Keeper, Said};
use crate::operations::Operations;
use crate::parting::Parting;
use crate::sockets::peer_is_root;

/// Connections of clients and keepers together; past this new ones are closed at once.
const CONNECTIONS_MAX: usize = 65_536;

const CONTROL: u64 = 0;
const ATTACH: u64 = 1;
const INBOX: u64 = 2;
const SIGNALS: u64 = 3;
const FIRST_CONNECTION: u64 = 16;

/// What other threads tell the control thread.
pub enum Message {
    /// News for every subscribed client.
    Event(Event),
    /// The late answer to a client's request.
    Reply {
        /// Which connection asked.
        client: u64,
        /// What it gets.
        reply: Reply,
    },
}

/// Listeners and wake-ups that the loop starts with.
pub struct Doors {
    /// Control socket.
    pub control: OwnedFd,
    /// Attach socket.
    pub attach: OwnedFd,
    /// Becomes readable when the process is asked to stop.
    pub signals: OwnedFd,
}

/// The loop's state.
pub struct Server {
    epoll: OwnedFd,
    doors: Doors,
    inbox: Inbox<Message>,
    operations: Operations,
    clients: HashMap<u64, Client>,
    keepers: HashMap<u64, Keeper>,
    parting: Parting,
    next_connection: u64,
}

impl Server {
    /// Prepares the loop.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn new(doors: Doors, inbox: Inbox<Message>, operations: Operations) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        watch(&epoll, &doors.control, CONTROL)?;
        watch(&epoll, &doors.attach, ATTACH)?;
        watch(&epoll, &inbox, INBOX)?;
        watch(&epoll, &doors.signals, SIGNALS)?;
        let (clients, keepers) = (HashMap::new(), HashMap::new());
        let next_connection = FIRST_CONNECTION;
        Ok(Self {
            epoll,
            doors,
            inbox,
            operations,
            clients,
            keepers,
            parting: Parting::default(),
            next_connection,
        })
    }

    /// Runs until a signal asks to stop.
    ///
    /// # Errors
    /// The kernel refuses to wait; nothing can be done then.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(64);
        loop {
            events.clear();
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                None,
            ) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    CONTROL => self.accept(true),
                    ATTACH => self.accept(false),
                    INBOX => self.deliver(),
                    SIGNALS => return Ok(()),
                    id if self.keepers.contains_key(&id) => self.hear_keeper(id),
                    id => self.hear_client(id, event.flags),
                }
            }
        }
    }

    fn accept(&mut self, control: bool) {
        let listener = if control {
            &self.doors.control
        } else {
            &self.doors.attach
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(socket) = accept_with(listener, flags) else {
            return;
        };
        let full = self.clients.len() + self.keepers.len() >= CONNECTIONS_MAX;
        if full || !peer_is_root(&socket) {
            log::warn!(
                "a connection was refused: {}",
                if full { "too many" } else { "not root" }
            );
            return;
        }
        let id = self.next_connection;
        self.next_connection += 1;
        if let Err(error) = watch(&self.epoll, &socket, id) {
            log::warn!("a connection cannot be watched: {error}");
        } else if control {
            self.clients.insert(id, Client::new(socket));
        } else {
            self.keepers.insert(id, Keeper::new(socket));
        }
    }

    fn hear_keeper(&mut self, id: u64) {
        let Some(keeper) = self.keepers.get_mut(&id) else {
            return;
        };
        match keeper.receive() {
            Said::Nothing => {}
            Said::Handover(handover) if keeper.sandbox.is_none() => {
                let sandbox = handover.hello.sandbox.clone();
                match self.operations.attach(*handover) {
                    Ok(()) => {
                        keeper.sandbox = Some(sandbox.clone());
                        let answered = keeper.answer(None);
                        log::info!("sandbox {sandbox} attached");
                        self.publish(&Event::Attached { sandbox });
                        if answered.is_err() {
                            self.drop_keeper(id, "its keeper hung up");
                        }
                    }
                    Err(error) => {
                        log::warn!("sandbox {sandbox} was refused: {error}");
                        let _ = keeper.answer(Some(&error.to_string()));
                        self.drop_keeper(id, "refused");
                    }
                }
            }
            Said::Handover(_) => self.drop_keeper(id, "it attached twice"),
            Said::Nonsense(why) => {
                log::warn!("a keeper does not keep to the protocol: {why}");
                let _ = keeper.answer(Some(&why));
                self.drop_keeper(id, &why);
            }
            Said::Gone => self.drop_keeper(id, "its keeper is gone"),
        }
    }

    fn drop_keeper(&mut self, id: u64, reason: &str) {
        let Some(keeper) = self.keepers.remove(&id) else {
            return;
        };
        let _ = epoll::delete(&self.epoll, &keeper);
        // The end of its connection tells the keeper that nothing of its sandbox is held any more.
        if let Some(sandbox) = keeper.sandbox {
            if self.operations.detach(&sandbox, reason) {
                self.parting.add(sandbox, keeper.socket);
            }
        }
    }

    fn hear_client(&mut self, id: u64, flags: epoll::EventFlags) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        if flags.contains(epoll::EventFlags::OUT) {
            let flushed = client.flush();
            self.after_sending(id, flushed);
        }
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        if !flags
            .intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR)
        {
            return;
        }
        match client.receive() {
            Ok(frames) => frames.iter().for_each(|frame| self.answer(id, frame)),
            Err(closed) => self.drop_client(id, &closed),
        }
    }

    fn answer(&mut self, id: u64, frame: &[u8]) {
        match serde_json::from_slice::<Request>(frame) {
            Ok(request) => {
                if let (true, Some(client)) = (request.subscribes(), self.clients.get_mut(&id)) {
                    client.subscribed = true;
                }
                if let Some(reply) = self.operations.execute(id, request) {
                    self.reply(id, &reply);
                }
            }
            Err(error) => {
                let reply = crate::operations::unreadable(frame, &error);
                self.reply(id, &reply);
            }
        }
    }

    fn deliver(&mut self) {
        for message in self.inbox.take() {
            match message {
                Message::Event(event) => {
                    if let Event::Detached { sandbox, .. } = &event {
                        self.parting.release(sandbox);
                    }
                    self.publish(&event);
                }
                Message::Reply { client, reply } => self.reply(client, &reply),
            }
        }
    }

    fn reply(&mut self, id: u64, reply: &Reply) {
        match serde_json::to_vec(reply) {
            Ok(body) => self.send(id, &body),
            Err(error) => log::error!("an answer cannot be written: {error}"),
        }
    }

    fn publish(&mut self, event: &Event) {
        let Ok(body) = serde_json::to_vec(event) else {
            return;
        };
        let subscribed: Vec<u64> = self
            .clients
            .iter()
            .filter(|(_, client)| client.subscribed)
            .map(|(id, _)| *id)
            .collect();
        for id in subscribed {
            self.send(id, &body);
        }
    }

    fn send(&mut self, id: u64, body: &[u8]) {
        if let Some(client) = self.clients.get_mut(&id) {
            let sent = client.send(body);
            self.after_sending(id, sent);
        }
    }

    fn after_sending(&mut self, id: u64, sent: Result<bool, Closed>) {
        match sent {
            Ok(more) => {
                let Some(client) = self.clients.get(&id) else {
                    return;
                };
                let mut flags = epoll::EventFlags::IN;
                flags.set(epoll::EventFlags::OUT, more);
                let _ = epoll::modify(&self.epoll, client, epoll::EventData::new_u64(id), flags);
            }
            Err(closed) => self.drop_client(id, &closed),
        }
    }

    fn drop_client(&mut self, id: u64, why: &Closed) {
        if let Some(client) = self.clients.remove(&id) {
            let _ = epoll::delete(&self.epoll, &client);
            log::info!("a control client is gone: {why}");
        }
    }
}

fn watch(epoll: &OwnedFd, descriptor: impl AsFd, id: u64) -> io::Result<()> {
    epoll::add(
        epoll,
        descriptor,
        epoll::EventData::new_u64(id),
        epoll::EventFlags::IN,
    )?;
    Ok(())
}
