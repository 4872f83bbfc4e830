//! UDP sockets: made as one end of a pair, named, connected, and their datagrams routed.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use jd_wire::UDP_FD_BASE;
use rustix::io::Errno;

use crate::call::{Injection, Notification, Outcome, Reply, DONE};
use crate::datagram::{Datagram, PAYLOAD_BYTES_MAX};
use crate::egress::Task;
use crate::mark::Mark;
use crate::ports::Target;
use crate::resolver::{self, Verdict};
use crate::route::{Route, DNS_PORT};
use crate::sandbox::{set_mark, Sandbox, Subject, World};
use crate::sockets::listen::wildcard;
use crate::sys::{process, socket};

/// UDP sockets of one sandbox.
const DATAGRAMS_MAX: usize = 512;
/// Numbers that UDP descriptors are spread over: below 1,024, where select(2) still takes them.
const NUMBERS: u32 = 512;
/// Numbers tried before the kernel chooses.
const NUMBER_TRIES: u32 = 16;
/// Datagrams taken per event before others get their turn.
const ROUNDS: usize = 8;

impl Sandbox {
    pub(crate) fn datagram_socket(&mut self, call: &Notification, flags: i32, v6: bool) -> Reply {
        if self.datagrams.len() >= DATAGRAMS_MAX {
            self.shared.tally.denied.add();
            return Err(Errno::NOBUFS);
        }
        self.settle()?;
        let (guest, end) = socket::unix_pair(libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC)?;
        for half in [&guest, &end] {
            // Older kernels lack the option; control messages are never taken.
            let _ = socket::refuse_descriptors(half.as_fd());
        }
        if flags & libc::SOCK_NONBLOCK != 0 {
            rustix::fs::fcntl_setfl(&guest, rustix::fs::OFlags::NONBLOCK)?;
        }
        set_mark(
            guest.as_fd(),
            Mark {
                v6,
                datagram: true,
                ..Mark::default()
            },
        )?;
        let at = self.free_number(call)?;
        self.datagram_number = self.datagram_number.wrapping_add(1);
        let id = self.shared.id << 32 | u64::from(self.datagram_number);
        let datagram = Arc::new(Datagram::new(id, self.shared.id, end));
        self.datagrams
            .insert(socket::cookie(guest.as_fd())?, Arc::clone(&datagram));
        self.shared.tally.injected.add();
        let close_on_exec = flags & libc::SOCK_CLOEXEC != 0;
        Ok(Outcome::Inject(Injection {
            socket: guest,
            at,
            close_on_exec,
            watch: Some(datagram),
        }))
    }

    /// A number that the caller does not use, high enough for the filter to tell its messages.
    fn free_number(&mut self, call: &Notification) -> Result<Option<u32>, Errno> {
        let caller = self.caller(call)?;
        for _ in 0..NUMBER_TRIES {
            let number = UDP_FD_BASE + self.next_number % NUMBERS;
            self.next_number = self.next_number.wrapping_add(1);
            let Ok(fd) = i32::try_from(number) else { break };
            if process::descriptor_of(caller.as_fd(), fd).is_err() {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// The supervisor's half of a UDP socket; `None`: a supervisor that died held it.
    pub(crate) fn datagram(&self, subject: &Subject) -> Option<Arc<Datagram>> {
        self.datagrams.get(&subject.cookie().ok()?).cloned()
    }

    pub(crate) fn connect_datagram(
        &mut self,
        world: &World,
        subject: &Subject,
        to: Option<SocketAddr>,
    ) -> Reply {
        let datagram = self.datagram(subject).ok_or(Errno::NETDOWN)?;
        let Some(to) = to else {
            datagram.set_connected(None);
            return DONE;
        };
        if let Route::Refused(error) = self.here().route(to, &world.platform.load()) {
            self.shared.tally.denied.add();
            return Err(error);
        }
        let to = if to.ip().is_unspecified() {
            SocketAddr::new(self.here().source(to), to.port())
        } else {
            to
        };
        let local = self.name_datagram(subject, &datagram)?;
        if local.ip().is_unspecified() {
            datagram.set_local(SocketAddr::new(self.here().source(to), local.port()));
        }
        datagram.set_connected(Some(to));
        DONE
    }

    /// The address of a UDP socket, given now if it had none.
    fn name_datagram(
        &mut self,
        subject: &Subject,
        datagram: &Datagram,
    ) -> Result<SocketAddr, Errno> {
        if let Some(local) = datagram.local() {
            return Ok(local);
        }
        let mark = subject.mark.ok_or(Errno::INVAL)?;
        let mark = if mark.bound.is_some() {
            mark
        } else {
            self.take_port(subject, mark, wildcard(mark))?
        };
        let local = self.bound_address(subject, mark).ok_or(Errno::INVAL)?;
        datagram.set_local(local);
        Ok(local)
    }

    /// Sends what the guest hands in with a call.
    pub(crate) fn send_from(
        &mut self,
        world: &World,
        subject: &Subject,
        to: Option<SocketAddr>,
        bytes: &[u8],
    ) -> Result<(), Errno> {
        if bytes.len() > PAYLOAD_BYTES_MAX {
            return Err(Errno::MSGSIZE);
        }
        let datagram = self.datagram(subject).ok_or(Errno::NETDOWN)?;
        let to = to.or(datagram.connected()).ok_or(Errno::DESTADDRREQ)?;
        self.name_datagram(subject, &datagram)?;
        self.route_datagram(world, &datagram, to, bytes)
    }

    /// Sends what the guest wrote natively.
    pub(crate) fn drain_datagram(&mut self, world: &World, datagram: &Arc<Datagram>) {
        let mut bytes = vec![0; PAYLOAD_BYTES_MAX];
        for _ in 0..ROUNDS {
            let Ok(got) = socket::receive(datagram.end.as_fd(), &mut bytes, 0) else {
                return;
            };
            // Without a peer there is nowhere to send it to. A refusal has no call to go to either.
            if let Some(to) = datagram.connected() {
                let _ = self.route_datagram(world, datagram, to, &bytes[..got]);
            }
            if got == 0 {
                return;
            }
        }
    }

    fn route_datagram(
        &mut self,
        world: &World,
        from: &Arc<Datagram>,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Errno> {
        self.shared.tally.datagrams.add();
        let platform = world.platform.load();
        match self.here().route(to, &platform) {
            Route::Inside(to) => self.deliver_inside(from, to, bytes),
            Route::Resolver => self.ask(world, from, bytes),
            // The gateway takes no datagrams.
            Route::Gateway => {}
            Route::Outside(to) if self.shared.queue(bytes.len()) => {
                let (sandbox, from) = (Arc::clone(&self.shared), Arc::clone(from));
                world.egress.send(Task::Datagram {
                    sandbox,
                    from,
                    to,
                    bytes: bytes.to_vec(),
                });
            }
            Route::Outside(_) => {}
            Route::Refused(error) => {
                self.shared.tally.denied.add();
                return Err(error);
            }
        }
        Ok(())
    }

    fn deliver_inside(&mut self, from: &Datagram, to: SocketAddr, bytes: &[u8]) {
        let Some(cookie) = self.udp.receiver(Target::Address(to)) else {
            return;
        };
        let Some(receiver) = self.datagrams.get(&cookie) else {
            return;
        };
        let source = from.local().map_or(0, |local| local.port());
        let ip = from
            .local()
            .map(|local| local.ip())
            .filter(|ip| !ip.is_unspecified());
        let ip = ip.unwrap_or_else(|| self.here().source(to));
        receiver.deliver(SocketAddr::new(ip, source), bytes);
    }

    fn ask(&mut self, world: &World, from: &Arc<Datagram>, message: &[u8]) {
        self.shared.tally.dns_queries.add();
        let platform = world.platform.load();
        let resolver = SocketAddr::new(self.shared.nameserver.into(), DNS_PORT);
        match resolver::decide(message, &platform, self.here(), self.shared.hostname()) {
            Verdict::Ignore => {}
            Verdict::Answer(answer) => from.deliver(resolver, &answer),
            Verdict::Forward(query) => {
                let (from, upstreams) = (Arc::clone(from), platform.dns_upstreams.clone());
                if self.shared.queue(message.len()) {
                    let (sandbox, message) = (Arc::clone(&self.shared), message.to_vec());
                    world.egress.send(Task::Ask {
                        sandbox,
                        from,
                        upstreams,
                        resolver,
                        query,
                        message,
                    });
                }
            }
        }
    }

    /// The guest closed a UDP socket.
    pub(crate) fn close_datagram(&mut self, world: &World, id: u64) -> Option<Arc<Datagram>> {
        let cookie = *self
            .datagrams
            .iter()
            .find(|(_, datagram)| datagram.id == id)?
            .0;
        let datagram = self.datagrams.remove(&cookie)?;
        datagram.close();
        self.udp.remove_if(|binding| binding.cookie == cookie);
        world.egress.send(Task::Close { datagram: id });
        Some(datagram)
    }

    /// The UDP socket of that number.
    pub(crate) fn datagram_by_id(&self, id: u64) -> Option<Arc<Datagram>> {
        self.datagrams
            .values()
            .find(|datagram| datagram.id == id)
            .cloned()
    }
}
