//! Round trips of one message between the host's and the guest's end of a ring, in two processes with
//! real eventfds. Prints JSON for `make bench`.
//!
//! `ring_echo [SAMPLES] [HOST_CORE GUEST_CORE]`: parked on one core (the host's), polled across both, and
//! parked across both. With one core only the first is run.

#![allow(clippy::print_stdout)]

mod guest;
mod host;
mod sleep;

use std::process::ExitCode;

/// How both sides wait for the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// Sleep in epoll until the eventfd is written.
    Park,
    /// Look at the ring again and again.
    Poll,
}

/// What is measured in one run.
#[derive(Clone, Copy)]
struct Course {
    name: &'static str,
    waiting: Waiting,
    host_core: usize,
    guest_core: usize,
    message_bytes: usize,
    samples: usize,
}

const USAGE: &str = "usage: ring_echo [SAMPLES] [HOST_CORE GUEST_CORE]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = if arguments.first().is_some_and(|first| first == guest::FLAG) {
        guest::run(&arguments[1..])
    } else {
        numbers(&arguments).and_then(|numbers| measure(&numbers))
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ring_echo: {error}");
            ExitCode::FAILURE
        }
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn numbers(arguments: &[String]) -> Outcome<Vec<usize>> {
    let numbers: Result<Vec<usize>, _> = arguments.iter().map(|text| text.parse()).collect();
    match numbers {
        Ok(numbers) if matches!(numbers.len(), 0 | 1 | 3) => Ok(numbers),
        _ => Err(USAGE.into()),
    }
}

fn measure(numbers: &[usize]) -> Outcome<()> {
    let samples = numbers.first().copied().unwrap_or(100_000).max(1);
    let cores = sleep::allowed_cores()?;
    let first = cores.first().copied().ok_or("no core to run on")?;
    let (host_core, guest_core) = match numbers {
        [_, host, guest] => (*host, *guest),
        _ => (first, cores.get(1).copied().unwrap_or(first)),
    };
    let mut lines = Vec::new();
    for (name, waiting, guest_core) in [
        ("parked, one core", Waiting::Park, host_core),
        ("polled, two cores", Waiting::Poll, guest_core),
        ("parked, two cores", Waiting::Park, guest_core),
    ] {
        if name.ends_with("two cores") && guest_core == host_core {
            continue;
        }
        for message_bytes in [1, 600] {
            let course = Course {
                name,
                waiting,
                host_core,
                guest_core,
                message_bytes,
                samples,
            };
            lines.push(host::run(course)?);
        }
    }
    println!("{{\"ring_echo\": [\n  {}\n]}}", lines.join(",\n  "));
    Ok(())
}
