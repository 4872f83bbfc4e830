//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::prelude::{Long, Short, ValueExt};

/// What `jnetd --help` prints.
pub const USAGE: &str = "\
Usage: jnetd --listen ADDR:PORT --control PATH --attach PATH --provider PATH [--workers N]
             [--cores LIST]

Owns every socket of every sandbox of this host and serves /function/*.

  --listen ADDR:PORT   public door; may be given several times
  --control PATH       Unix socket of the control protocol (junctiond)
  --attach PATH        Unix socket on which keepers hand over sandboxes
  --provider PATH      Unix socket of the provider, which gets every other path
  --workers N          front-door threads (default: 1 on up to two cores, else half of them)
  --cores LIST         cores of these threads, dealt out in turn, as in 0,2-3 (default: not pinned)
  --version            print the version";

/// More cores than Linux is built for.
const CORES_MAX: usize = 8192;

/// Settings from the command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Public doors.
    pub listen: Vec<SocketAddr>,
    /// Control socket.
    pub control: PathBuf,
    /// Attach socket.
    pub attach: PathBuf,
    /// Provider's socket.
    pub provider: PathBuf,
    /// Front-door threads.
    pub workers: usize,
    /// Their cores; empty: not pinned.
    pub cores: Vec<usize>,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Run with these settings.
    Run(Arguments),
    /// Print the usage.
    Help,
    /// Print the version.
    Version,
}

/// Reads the command line.
///
/// # Errors
/// Unknown or missing options, and values that do not parse; the text says which.
pub fn parse(
    words: impl IntoIterator<Item = std::ffi::OsString>,
    cores: usize,
) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(words);
    let mut listen = Vec::new();
    let (mut control, mut attach, mut provider) = (None, None, None);
    let mut workers = if cores <= 2 { 1 } else { cores / 2 };
    let mut cores_of_workers = Vec::new();
    while let Some(word) = parser.next()? {
        match word {
            Long("listen") => listen.push(parser.value()?.parse()?),
            Long("control") => control = Some(PathBuf::from(parser.value()?)),
            Long("attach") => attach = Some(PathBuf::from(parser.value()?)),
            Long("provider") => provider = Some(PathBuf::from(parser.value()?)),
            Long("workers") => workers = parser.value()?.parse::<std::num::NonZeroUsize>()?.get(),
            Long("cores") => cores_of_workers = parser.value()?.parse_with(core_list)?,
            Long("version") => return Ok(Command::Version),
            Long("help") | Short('h') => return Ok(Command::Help),
            _ => return Err(word.unexpected()),
        }
    }
    if listen.is_empty() {
        return Err("--listen ADDR:PORT is missing".into());
    }
    Ok(Command::Run(Arguments {
        listen,
        control: control.ok_or("--control PATH is missing")?,
        attach: attach.ok_or("--attach PATH is missing")?,
        provider: provider.ok_or("--provider PATH is missing")?,
        workers,
        cores: cores_of_workers,
    }))
}

/// Cores as the kernel writes them (`cpuset(7)`, list format): numbers and ranges, separated by commas.
fn core_list(text: &str) -> Result<Vec<usize>, String> {
    let wrong = || format!("{text:?} is no list of cores; write numbers and ranges, as in 0,2-3");
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.parse().map_err(|_| wrong())?;
        let last: usize = last.parse().map_err(|_| wrong())?;
        if last < first || last >= CORES_MAX {
            return Err(wrong());
        }
        cores.extend(first..=last);
    }
    Ok(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str]) -> Result<Command, String> {
        parse(words.iter().map(Into::into), 2).map_err(|error| error.to_string())
    }

    const COMPLETE: [&str; 8] = [
        "--listen",
        "127.0.0.1:8080",
        "--control",
        "c",
        "--attach",
        "a",
        "--provider",
        "p",
    ];

    #[test]
    fn a_complete_line_runs() {
        let words: Vec<&str> = std::iter::once("jnetd").chain(COMPLETE).collect();
        let Ok(Command::Run(arguments)) = run(&words) else {
            panic!("refused")
        };
        assert_eq!(arguments.workers, 1);
        assert_eq!(
            arguments.listen,
            ["127.0.0.1:8080".parse().expect("address")]
        );
    }

    #[test]
    fn cores_are_numbers_and_ranges() {
        assert_eq!(core_list("0"), Ok(vec![0]));
        assert_eq!(core_list("0,2-4,9"), Ok(vec![0, 2, 3, 4, 9]));
        for wrong in ["", "a", "1-", "3-2", "0-99999", "0,,1", "-1"] {
            assert!(core_list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = run(&["jnetd", "--listen", "127.0.0.1:8080"]).expect_err("incomplete");
        assert!(error.contains("--control"), "{error}");
    }

    #[test]
    fn no_worker_at_all_is_refused() {
        let words: Vec<&str> = std::iter::once("jnetd")
            .chain(COMPLETE)
            .chain(["--workers", "0"])
            .collect();
        assert!(run(&words).is_err());
    }

    #[test]
    fn unknown_options_are_refused() {
        assert!(run(&["jnetd", "--listne", "x"]).is_err());
    }
}
