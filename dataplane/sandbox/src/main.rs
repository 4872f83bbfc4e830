//! `jsandbox`: see `docs/protocols.md`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jd_sandbox::keeper::{self, Outcome, Support};
use jd_sandbox::spec::{Spec, SPEC_BYTES_MAX};
use jd_sandbox::sys::namespace;
use jd_sandbox::{probe, serve, sweep};

const USAGE: &str = "usage: jsandbox run --spec FILE
       jsandbox serve --run-dir DIR --cgroup-parent NAME
       jsandbox check [--json]
       jsandbox sweep --run-dir DIR --cgroup-parent NAME
       jsandbox --version";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["run", "--spec", file] => run(Path::new(file)),
        ["sweep", "--run-dir", folder, "--cgroup-parent", parent]
        | ["sweep", "--cgroup-parent", parent, "--run-dir", folder] => {
            clean(Path::new(folder), parent)
        }
        ["serve", "--run-dir", folder, "--cgroup-parent", parent] => {
            launcher(Path::new(folder), parent)
        }
        ["check"] => check(false),
        ["check", "--json"] => check(true),
        ["--version"] => {
            println!("jsandbox {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn read(file: &Path) -> Result<Spec, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let mut text = Vec::new();
    let source = File::open(file).map_err(|error| named(&error))?;
    source
        .take(SPEC_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|error| named(&error))?;
    Spec::parse(&text).map_err(|error| named(&error))
}

fn run(file: &Path) -> ExitCode {
    // Before anything is open: a keeper outlives its daemon and must not hold the daemon's sockets. It also keeps
    // our numbers below those that the filter takes for datagram sockets.
    namespace::close_range(3, u32::MAX, true);
    let outcome = read(file)
        .and_then(|spec| keeper::run(spec, Support::default()).map_err(|error| error.to_string()));
    match outcome {
        Ok(Outcome::Ended | Outcome::Held) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("jsandbox: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Launches for the daemon at standard input until that closes.
fn launcher(folder: &Path, parent: &str) -> ExitCode {
    namespace::close_range(3, u32::MAX, true);
    match serve::serve(folder, parent) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jsandbox: serve: {error}");
            ExitCode::FAILURE
        }
    }
}

fn clean(folder: &Path, parent: &str) -> ExitCode {
    let report = |removed: Vec<PathBuf>| {
        removed
            .iter()
            .for_each(|path| println!("removed {}", path.display()))
    };
    match sweep::sweep(folder, parent).map(report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jsandbox: sweep: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Exits 1 when something is off without which no sandbox can start.
fn check(json: bool) -> ExitCode {
    let findings = probe::findings();
    if json {
        match serde_json::to_string(&findings) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("jsandbox: check: {error}"),
        }
    } else {
        for finding in &findings {
            let state = if finding.on { "on " } else { "off" };
            println!("{state}  {:<22} {}", finding.name, finding.why);
            if !finding.on {
                println!("     mend: {}", finding.mend);
            }
        }
    }
    let whole = findings
        .iter()
        .all(|finding| finding.on || !finding.required);
    if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
