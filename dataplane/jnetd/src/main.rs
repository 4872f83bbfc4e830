//! jnetd: owns every socket of every sandbox of one host and is its front door.
//!
//! This crate only joins parts: `jd-frontdoor` serves HTTP, `jd-port` serves the sockets of guests,
//! and the control thread here takes orders from junctiond and sandboxes from their keepers.
//! It lives through the death of every Python process; what it must know comes back by the control socket.

mod arguments;
mod client;
mod descriptors;
mod inbox;
mod keeper;
mod logging;
mod operations;
mod parting;
mod plane;
mod serve;
mod sockets;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustix::net::SocketType;

use arguments::{Arguments, Command};
use inbox::Inbox;
use operations::Operations;
use plane::{FunctionDialer, News, Plane};
use serve::{Doors, Server};

/// Threads that answer notifications of guests: two, so that one busy guest does not hold up all others.
const NOTIFY_THREADS: usize = 2;

fn main() -> ExitCode {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let arguments = match arguments::parse(std::env::args_os(), cores) {
        Ok(Command::Run(arguments)) => arguments,
        Ok(Command::Help) => return print(arguments::USAGE),
        Ok(Command::Version) => return print(env!("CARGO_PKG_VERSION")),
        Err(error) => {
            // The reason comes last: a supervisor keeps the last line.
            eprintln!("{}\n\njnetd: {error}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    logging::install();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}

fn run(arguments: &Arguments) -> io::Result<()> {
    descriptors::raise_limit(arguments.workers);
    let inbox = Inbox::new()?;
    let platform = Arc::new(ArcSwap::from_pointee(jd_port::Platform::default()));
    let news = Arc::new(News::new(inbox.clone()));
    let ports = Arc::new(jd_port::Supervisor::start(
        NOTIFY_THREADS,
        Arc::clone(&platform),
        news.clone(),
    )?);
    let listeners = arguments
        .listen
        .iter()
        .map(|&address| sockets::tcp_listener(address));
    let front = Arc::new(jd_frontdoor::FrontDoor::start(
        jd_frontdoor::Config {
            listeners: listeners.collect::<io::Result<_>>()?,
            workers: arguments.workers,
            cores: arguments.cores.clone(),
            provider_socket: arguments.provider.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            ..jd_frontdoor::Config::default()
        },
        Arc::new(FunctionDialer(Arc::clone(&ports))),
        news.clone(),
    )?);
    news.connect(Arc::clone(&front));
    let doors = Doors {
        control: sockets::unix_listener(&arguments.control, SocketType::STREAM)?,
        attach: sockets::unix_listener(&arguments.attach, SocketType::SEQPACKET)?,
        signals: termination()?,
    };
    let plane = Plane {
        front: Arc::clone(&front),
        ports,
        platform,
    };
    log::info!("serving on {:?}", arguments.listen);
    Server::new(doors, inbox.clone(), Operations::new(plane, inbox))?.run()?;
    log::info!("asked to stop");
    front.shutdown();
    Ok(())
}

/// Becomes readable at SIGTERM or SIGINT.
fn termination() -> io::Result<OwnedFd> {
    let (reader, writer) = UnixStream::pair()?;
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
    }
    Ok(reader.into())
}
