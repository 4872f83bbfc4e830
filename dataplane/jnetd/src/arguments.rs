//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::prelude::{Long, Short, ValueExt};

/// What `jnetd --help` prints.
pub const USAGE: &str = "\
Usage: jnetd --listen ADDR:PORT --control PATH --attach PATH --provider PATH [--workers N]

Owns every socket of every sandbox of this host and serves /function/*.

  --listen ADDR:PORT   public door; may be given several times
  --control PATH       Unix socket of the control protocol (junctiond)
  --attach PATH        Unix socket on which keepers hand over sandboxes
  --provider PATH      Unix socket of the provider, which gets every other path
  --workers N          front-door threads (default: 1 on up to two cores, else half of them)
  --version            print the version";

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
    while let Some(word) = parser.next()? {
        match word {
            Long("listen") => listen.push(parser.value()?.parse()?),
            Long("control") => control = Some(PathBuf::from(parser.value()?)),
            Long("attach") => attach = Some(PathBuf::from(parser.value()?)),
            Long("provider") => provider = Some(PathBuf::from(parser.value()?)),
            Long("workers") => workers = parser.value()?.parse::<std::num::NonZeroUsize>()?.get(),
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
    }))
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
