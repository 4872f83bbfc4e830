//! From a guest's output to log records (`docs/protocols.md`, section 1): pure, bounded by one record of memory.

use std::fmt::Write as _;

/// Most bytes of text in one record; a longer line is continued in the next record.
pub const RECORD_BYTES_MAX: usize = 16 * 1024;

/// Which output of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
        }
    }
}

/// Cuts one stream into records.
#[derive(Debug)]
pub struct Framer {
    stream: Stream,
    pending: Vec<u8>,
}

impl Framer {
    /// A framer with nothing pending.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            pending: Vec::new(),
        }
    }

    /// Takes output read at `now_ns` and appends complete records to `log`.
    pub fn push(&mut self, mut output: &[u8], now_ns: u64, log: &mut String) {
        while let Some(end) = output.iter().position(|byte| *byte == b'\n') {
            self.extend(&output[..end], now_ns, log);
            self.record(self.pending.len(), false, now_ns, log);
            output = &output[end + 1..];
        }
        self.extend(output, now_ns, log);
        if self.pending.is_empty() {
            self.pending = Vec::new(); // An idle replica keeps no buffer.
        }
    }

    /// Ends the stream: what is pending becomes its last record.
    pub fn finish(&mut self, now_ns: u64, log: &mut String) {
        if !self.pending.is_empty() {
            self.record(self.pending.len(), false, now_ns, log);
        }
    }

    fn extend(&mut self, mut output: &[u8], now_ns: u64, log: &mut String) {
        loop {
            let room = RECORD_BYTES_MAX - self.pending.len();
            let taken = room.min(output.len());
            self.pending.extend_from_slice(&output[..taken]);
            output = &output[taken..];
            if output.is_empty() {
                return;
            }
            self.record(character_boundary(&self.pending), true, now_ns, log);
        }
    }

    fn record(&mut self, length: usize, continues: bool, now_ns: u64, log: &mut String) {
        let text = String::from_utf8_lossy(&self.pending[..length]);
        let partial = if continues { r#""p":true,"# } else { "" };
        let _ = write!(
            log,
            r#"{{"t":{now_ns},"s":"{}",{partial}"m":"#,
            self.stream.name()
        );
        quote(&text, log);
        log.push_str("}\n");
        self.pending.drain(..length);
    }
}

/// Where to cut so that no character is torn: before an unfinished last one, if that is what ends the text.
fn character_boundary(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(4);
    let start = (tail..bytes.len())
        .rev()
        .find(|at| bytes[*at] & 0xc0 != 0x80);
    let Some(start) = start else {
        return bytes.len();
    };
    let length = match bytes[start] {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    };
    if start > 0 && start + length > bytes.len() {
        start
    } else {
        bytes.len()
    }
}

/// Appends a JSON string (RFC 8259 section 7).
fn quote(text: &str, log: &mut String) {
    log.push('"');
    for character in text.chars() {
        match character {
            '"' => log.push_str("\\\""),
            '\\' => log.push_str("\\\\"),
            '\n' => log.push_str("\\n"),
            '\r' => log.push_str("\\r"),
            '\t' => log.push_str("\\t"),
            '\0'..='\x1f' => {
                let _ = write!(log, "\\u{:04x}", u32::from(character));
            }
            _ => log.push(character),
        }
    }
    log.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(serde::Deserialize)]
    struct Record {
        t: u64,
        s: String,
        #[serde(default)]
        p: bool,
        m: String,
    }

    fn records(log: &str) -> Vec<Record> {
        log.lines()
            .map(|line| serde_json::from_str(line).expect("a record is JSON"))
            .collect()
    }

    /// Joins continued records to lines again.
    fn lines(log: &str) -> Vec<String> {
        let (mut lines, mut line) = (Vec::new(), String::new());
        for record in records(log) {
            assert!(
                record.m.len() <= RECORD_BYTES_MAX * 3,
                "replacement characters triple a byte at most"
            );
            line.push_str(&record.m);
            if !record.p {
                lines.push(std::mem::take(&mut line));
            }
        }
        assert!(line.is_empty(), "the last record continues");
        lines
    }

    #[test]
    fn a_line_becomes_a_record() {
        let (mut framer, mut log) = (Framer::new(Stream::Err), String::new());
        framer.push(b"hello \"you\"\\\x01", 5, &mut log);
        assert_eq!(log, "");
        framer.push(b"\n", 7, &mut log);
        assert_eq!(
            log,
            "{\"t\":7,\"s\":\"err\",\"m\":\"hello \\\"you\\\"\\\\\\u0001\"}\n"
        );
    }

    #[test]
    fn a_line_of_a_mebibyte_comes_through_whole() {
        let (mut framer, mut log) = (Framer::new(Stream::Out), String::new());
        let line = "ä".repeat(512 * 1024 - 1) + "x";
        for part in line.as_bytes().chunks(1000) {
            framer.push(part, 1, &mut log);
        }
        framer.push(b"\nnext", 2, &mut log);
        framer.finish(3, &mut log);
        assert_eq!(lines(&log), [line.as_str(), "next"]);
        assert!(records(&log)
            .iter()
            .all(|r| r.s == "out" && r.t > 0 && r.m.len() <= RECORD_BYTES_MAX));
    }

    proptest! {
        #[test]
        fn any_output_in_any_pieces_gives_its_lines(
            output in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..3000),
            piece in 1_usize..700,
        ) {
            let (mut framer, mut log) = (Framer::new(Stream::Out), String::new());
            for part in output.chunks(piece) {
                framer.push(part, 1, &mut log);
            }
            framer.finish(2, &mut log);
            let mut expected: Vec<_> = output.split(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line).into_owned()).collect();
            if expected.last().is_some_and(String::is_empty) {
                expected.pop();
            }
            prop_assert_eq!(lines(&log), expected);
        }
    }
}
