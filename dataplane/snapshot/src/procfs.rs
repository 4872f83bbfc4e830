//! Files of `/proc/PID` that are read whole, with a bound.

use std::fs::File;
use std::io::Read;

use crate::error::{unfit, Part, Refusal};

/// Longest text that is read, in bytes.
const TEXT_BYTES_MAX: u64 = 8 << 20;

/// The content of `/proc/PID/name`.
///
/// # Errors
/// [`Refusal`] when it cannot be read or is too long.
pub fn bytes(pid: i32, name: &str) -> Result<Vec<u8>, Refusal> {
    let path = format!("/proc/{pid}/{name}");
    let mut content = Vec::new();
    let file = File::open(&path).part(|| &path)?;
    file.take(TEXT_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .part(|| &path)?;
    if content.len() as u64 > TEXT_BYTES_MAX {
        return unfit(format!("{name} of its process is too long"));
    }
    Ok(content)
}

/// The same as text; bytes that are no UTF-8 are replaced, so that a path with such bytes is not found again.
///
/// # Errors
/// As [`bytes`].
pub fn text(pid: i32, name: &str) -> Result<String, Refusal> {
    bytes(pid, name).map(|content| String::from_utf8_lossy(&content).into_owned())
}

/// Where a link of `/proc/PID` leads.
///
/// # Errors
/// [`Refusal::Host`].
pub fn link(pid: i32, name: &str) -> Result<String, Refusal> {
    let path = format!("/proc/{pid}/{name}");
    let target = std::fs::read_link(&path).part(|| &path)?;
    Ok(target.to_string_lossy().into_owned())
}

/// The value of `key` in a text of `key: value` lines.
#[must_use]
pub fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let found = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name == key).then_some(value.trim())
    });
    found.unwrap_or("")
}

/// The fields of `/proc/PID/stat` from the third on: the second is a name that may hold anything.
#[must_use]
pub fn stat_fields(stat: &str) -> Vec<&str> {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().collect()
}

/// The only child of a process, if it has exactly one.
///
/// # Errors
/// As [`bytes`].
pub fn only_child(pid: i32) -> Result<Option<i32>, Refusal> {
    let children = text(pid, &format!("task/{pid}/children"))?;
    let mut words = children.split_whitespace();
    let first = words.next().and_then(|word| word.parse().ok());
    Ok(if words.next().is_some() { None } else { first })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_do_not_shift_fields() {
        assert_eq!(stat_fields("7 (a) b) S 1 2"), ["S", "1", "2"]);
        assert_eq!(value("A:\t1\nAB: 2 3\n", "AB"), "2 3");
        assert_eq!(value("A: 1", "B"), "");
    }
}
