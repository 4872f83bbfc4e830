//! The two halves of the data plane joined: the front door asks the sockets of sandboxes for
//! connections, and sandboxes hand their connections to the gateway over to the front door.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use jd_frontdoor::{Dialer, Events, FrontDoor};
use jd_link::Owner;
use jd_port::{Host, Platform, Supervisor};
use jd_wire::control::Event;

use crate::inbox::Inbox;
use crate::serve::Message;

/// Both halves.
pub struct Plane {
    /// Front door.
    pub front: Arc<FrontDoor>,
    /// Socket objects of the sandboxes.
    pub ports: Arc<Supervisor>,
    /// Facts that every sandbox sees.
    pub platform: Arc<ArcSwap<Platform>>,
}

/// Gives the front door its connections to functions.
pub struct FunctionDialer(pub Arc<Supervisor>);

impl Dialer for FunctionDialer {
    fn dial(
        &self,
        sandbox: &str,
        port: u16,
        owner: Option<&Arc<dyn Owner>>,
    ) -> io::Result<OwnedFd> {
        self.0.dial_for(sandbox, port, owner)
    }
}

/// Carries news of both halves to the control thread.
pub struct News {
    inbox: Inbox<Message>,
    // The front door is built on the supervisor, which is built on this: the circle is closed last.
    front: OnceLock<Arc<FrontDoor>>,
}

impl News {
    /// News for the reader of `inbox`.
    pub fn new(inbox: Inbox<Message>) -> Self {
        Self {
            inbox,
            front: OnceLock::new(),
        }
    }

    /// Tells where guests' connections to the gateway go.
    pub fn connect(&self, front: Arc<FrontDoor>) {
        let _ = self.front.set(front);
    }

    fn tell(&self, event: Event) {
        if !self.inbox.send(Message::Event(event)) {
            log::warn!("the control thread is behind; an event was dropped");
        }
    }
}

impl Events for News {
    fn wanted(&self, name: &str, namespace: &str) {
        self.tell(Event::Wanted {
            name: name.into(),
            namespace: namespace.into(),
        });
    }
}

impl Host for News {
    fn gateway_connection(&self, _sandbox: &str, connection: OwnedFd, peer: SocketAddr) {
        // Before the front door stands there is no route either; closing is the honest answer.
        if let Some(front) = self.front.get() {
            front.adopt(connection, peer);
        }
    }

    fn event(&self, event: jd_port::Event) {
        self.tell(match event {
            jd_port::Event::Listening { sandbox, port } => Event::Listening { sandbox, port },
            jd_port::Event::Detached { sandbox, reason } => Event::Detached { sandbox, reason },
            jd_port::Event::Violation { sandbox, kind } => Event::Violation { sandbox, kind },
        });
    }
}
