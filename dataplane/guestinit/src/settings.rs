//! What the OpenFaaS watchdogs read from their environment, with their defaults
//! (of-watchdog and classic watchdog, configuration tables of their READMEs).

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

/// How requests become processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// of-watchdog: bodies flow while the process runs; the status is always 200.
    Streaming,
    /// of-watchdog: the answer is sent when the process has ended.
    Serializing,
    /// Classic watchdog.
    Classic,
}

/// Why the program cannot start.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// No program.
    #[error("no function process: set fprocess (or function_process), or name it after --")]
    Process,
    /// A mode that this program does not serve.
    #[error("unknown mode {0:?}: streaming, serializing or classic")]
    Mode(String),
    /// Port out of range.
    #[error("port {0:?} is not a number between 1 and 65535")]
    Port(String),
    /// An argument.
    #[error(
        "unknown argument {0:?}; usage: jinit [--mode MODE] [--port PORT] [-- PROGRAM ARGUMENT...]"
    )]
    Argument(String),
}

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How requests become processes.
    pub mode: Mode,
    /// Port of the server.
    pub port: u16,
    /// Program and arguments.
    pub process: Vec<String>,
    /// Longest run of a process; `None` is no limit.
    pub exec_timeout: Option<Duration>,
    /// Longest time from the first byte of a request to its last.
    pub read_timeout: Duration,
    /// Longest wait for a client that does not read, and for running requests at the end.
    pub write_timeout: Duration,
    /// Content type of answers, where it is set.
    pub content_type: Option<String>,
    /// Most running processes; 0 is no limit.
    pub max_inflight: usize,
    /// Whether lines of the process get a time stamp.
    pub prefix_logs: bool,
    /// Whether `X-Call-Id` goes into the access log.
    pub log_call_id: bool,
    /// Classic: whether standard error is part of the answer.
    pub combine_output: bool,
    /// Classic: whether the request becomes `Http_*` variables.
    pub cgi_headers: bool,
    /// Classic: whether the process reads the request as one JSON object.
    pub marshal_request: bool,
    /// Whether the lock file is left out.
    pub suppress_lock: bool,
}

type Env = BTreeMap<String, String>;

impl Settings {
    /// Reads arguments and environment; arguments win.
    ///
    /// # Errors
    /// [`SettingsError`] for what the watchdogs refuse too.
    pub fn read(arguments: &[String], env: &Env) -> Result<Self, SettingsError> {
        let mut mode = env.get("mode").cloned();
        let mut port = env.get("port").cloned();
        let mut process = Vec::new();
        let mut left = arguments.iter();
        while let Some(argument) = left.next() {
            match argument.as_str() {
                "--mode" => mode = left.next().cloned(),
                "--port" => port = left.next().cloned(),
                "--" => process = left.by_ref().cloned().collect(),
                _ => return Err(SettingsError::Argument(argument.clone())),
            }
        }
        let mode = match mode.as_deref() {
            None | Some("streaming" | "") => Mode::Streaming,
            Some("serializing") => Mode::Serializing,
            Some("classic") => Mode::Classic,
            Some(other) => return Err(SettingsError::Mode(other.to_owned())),
        };
        if process.is_empty() {
            process = process_of(env);
        }
        if process.is_empty() {
            return Err(SettingsError::Process);
        }
        let port = port.unwrap_or_else(|| "8080".to_owned());
        let number = port.parse().ok().filter(|port| *port > 0);
        Ok(Self::with(
            mode,
            number.ok_or(SettingsError::Port(port))?,
            process,
            env,
        ))
    }

    fn with(mode: Mode, port: u16, process: Vec<String>, env: &Env) -> Self {
        let seconds = Duration::from_secs;
        let time = |key: &str, default| {
            env.get(key)
                .and_then(|text| duration(text))
                .unwrap_or(default)
        };
        let exec_default = if mode == Mode::Classic {
            Duration::ZERO
        } else {
            seconds(30)
        };
        let flag = |key: &str, default| env.get(key).map_or(default, |text| is_true(text));
        let exec_timeout = time("exec_timeout", exec_default);
        Self {
            mode,
            port,
            process,
            exec_timeout: (!exec_timeout.is_zero()).then_some(exec_timeout),
            read_timeout: time("read_timeout", seconds(30)),
            write_timeout: time("write_timeout", seconds(30)),
            content_type: env
                .get("content_type")
                .filter(|text| is_header_value(text))
                .cloned(),
            max_inflight: env
                .get("max_inflight")
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
            prefix_logs: flag("prefix_logs", true),
            log_call_id: flag("log_callid", false),
            combine_output: flag("combine_output", true),
            cgi_headers: flag("cgi_headers", true),
            marshal_request: mode == Mode::Classic && flag("marshal_request", false),
            suppress_lock: flag("suppress_lock", false),
        }
    }
}

/// `function_process` wins over `fprocess`; split on single spaces, no quoting, no shell.
fn process_of(env: &Env) -> Vec<String> {
    let text = env.get("function_process").or_else(|| env.get("fprocess"));
    let text = text.map(String::as_str).unwrap_or_default();
    if text.is_empty() {
        return Vec::new();
    }
    text.split(' ').map(str::to_owned).collect()
}

fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

fn is_header_value(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}

/// Whole seconds (`60`) or a Go duration (`1m30s`, `250ms`, `1.5h`); `None` for anything else.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let seconds = match &rest[..unit] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn durations_as_go_writes_them() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("60", Some(ms(60_000))),
            ("1m30s", Some(ms(90_000))),
            ("250ms", Some(ms(250))),
            ("1.5h", Some(ms(5_400_000))),
            ("0", Some(Duration::ZERO)),
            ("0s", Some(Duration::ZERO)),
            ("", None),
            ("-5s", None),
            ("5 s", None),
            ("5x", None),
            ("s", None),
            ("1..5s", None),
            ("999999999999999999999h", None),
        ] {
            assert_eq!(duration(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_fall_over(text in "[0-9a-zµ.]{0,40}") {
            let _ = duration(&text);
        }
    }

    #[test]
    fn defaults_differ_between_the_watchdogs() {
        let of = Settings::read(&words("--mode streaming -- cat"), &Env::new()).expect("valid");
        assert_eq!(
            (of.exec_timeout, of.port),
            (Some(Duration::from_secs(30)), 8080)
        );
        let classic = Settings::read(&words("--mode classic -- cat"), &Env::new()).expect("valid");
        assert_eq!(classic.exec_timeout, None);
        assert!(classic.combine_output && classic.cgi_headers && classic.prefix_logs);
    }

    #[test]
    fn the_environment_is_read_as_the_watchdogs_do() {
        let set = env(&[
            ("fprocess", "never"),
            ("function_process", "sh -c  echo"),
            ("exec_timeout", "0s"),
            ("read_timeout", "wrong"),
            ("max_inflight", "3"),
            ("combine_output", "0"),
            ("content_type", "text/html\r\nX: y"),
            ("port", "9000"),
        ]);
        let settings = Settings::read(&words("--mode classic"), &set).expect("valid");
        assert_eq!(settings.process, ["sh", "-c", "", "echo"]);
        assert_eq!(settings.exec_timeout, None);
        assert_eq!(settings.read_timeout, Duration::from_secs(30));
        assert_eq!(
            (
                settings.max_inflight,
                settings.combine_output,
                settings.port
            ),
            (3, false, 9000)
        );
        assert_eq!(
            settings.content_type, None,
            "a line break would be a second header"
        );
    }

    #[test]
    fn what_cannot_start_says_why() {
        let read = |arguments: &str| Settings::read(&words(arguments), &Env::new());
        assert_eq!(read("--mode streaming"), Err(SettingsError::Process));
        assert_eq!(
            read("--mode http -- x"),
            Err(SettingsError::Mode("http".into()))
        );
        assert_eq!(read("--port 0 -- x"), Err(SettingsError::Port("0".into())));
        assert_eq!(
            read("--verbose"),
            Err(SettingsError::Argument("--verbose".into()))
        );
    }
}
