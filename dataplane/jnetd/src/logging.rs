//! Log lines as JSON on standard error, one object a line, for the supervisor that reads them.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{LevelFilter, Log, Metadata, Record};

struct JsonLines;

impl Log for JsonLines {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let line = serde_json::json!({
            "t": u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            "level": record.level().as_str().to_ascii_lowercase(),
            "from": record.target(),
            "message": record.args().to_string(),
        });
        // One write per line, so that lines of several threads do not mix. A reader that is gone is no reason to stop.
        let _ = std::io::stderr()
            .lock()
            .write_all(format!("{line}\n").as_bytes());
    }

    fn flush(&self) {}
}

/// Installs the logger; `JNETD_LOG` (`error` … `trace`) sets the level, `info` by default.
pub fn install() {
    let level = std::env::var("JNETD_LOG")
        .ok()
        .and_then(|text| text.parse().ok());
    if log::set_logger(&JsonLines).is_ok() {
        log::set_max_level(level.unwrap_or(LevelFilter::Info));
    }
}
