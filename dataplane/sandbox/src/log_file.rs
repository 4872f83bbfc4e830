//! The log file of one sandbox: append, and rename at half the limit so that disk use is bounded.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use crate::spec::Log;

/// An open log file.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    bytes_max: u64,
    complained: bool,
}

impl LogFile {
    /// Opens it for appending and makes its folder.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(log: &Log) -> io::Result<Self> {
        if let Some(folder) = log.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::options().append(true).create(true).open(&log.path)?;
        let bytes = file.metadata()?.len();
        let bytes_max = (log.bytes_max / 2).max(1);
        Ok(Self {
            path: log.path.clone(),
            file: Some(file),
            bytes,
            bytes_max,
            complained: false,
        })
    }

    /// Appends whole records. A full disk loses records but never stops the guest; it is said once on stderr.
    pub fn append(&mut self, records: &str) {
        if records.is_empty() {
            return;
        }
        if let Err(error) = self.write(records) {
            if !self.complained {
                eprintln!(
                    "jsandbox: {}: {error}; records are lost",
                    self.path.display()
                );
            }
            self.complained = true;
        }
    }

    fn write(&mut self, records: &str) -> io::Result<()> {
        if self.bytes >= self.bytes_max || self.file.is_none() {
            self.rotate()?;
        }
        if let Some(file) = &mut self.file {
            file.write_all(records.as_bytes())?;
            self.bytes += records.len() as u64;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let mut older = self.path.clone().into_os_string();
        older.push(".1");
        self.file = None;
        fs::rename(&self.path, older)?;
        self.file = Some(File::options().append(true).create(true).open(&self.path)?);
        self.bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_use_stays_bounded() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("deep/x.log");
        let mut log = LogFile::open(&Log {
            path: path.clone(),
            bytes_max: 1000,
        })
        .expect("opened");
        for number in 0..1000 {
            log.append(&format!("{number:09}\n"));
        }
        let now = fs::read_to_string(&path).expect("current");
        let before = fs::read_to_string(folder.path().join("deep/x.log.1")).expect("older");
        assert!(now.len() + before.len() <= 1010);
        assert!(now.ends_with("000000999\n"));
        assert_eq!(before.len(), 500);
    }
}
