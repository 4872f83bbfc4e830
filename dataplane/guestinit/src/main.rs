//! `jinit`: serves HTTP inside a sandbox and forks the function's process for every request, with the contract of
//! the OpenFaaS watchdogs (of-watchdog `streaming` and `serializing`, classic watchdog).

mod answer;
mod calendar;
mod child;
mod client;
mod connection;
mod exchange;
mod fork_env;
mod line_log;
mod marshal;
mod request;
mod server;
mod settings;
mod sys;

use std::process::ExitCode;

use settings::Settings;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let env = std::env::vars_os()
        .map(|(name, value)| (lossy(name), lossy(value)))
        .collect();
    let outcome = Settings::read(&arguments, &env)
        .map_err(|error| error.to_string())
        .and_then(|settings| {
            let termination = sys::termination().map_err(|error| error.to_string())?;
            server::run(settings, &termination).map_err(|error| error.to_string())
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jinit: {error}");
            ExitCode::FAILURE
        }
    }
}
