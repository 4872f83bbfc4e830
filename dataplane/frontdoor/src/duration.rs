//! Durations as Go writes them: `1m30s`, `500ms`, `1.5h`.

/// Reads a duration in nanoseconds; `None` where it is none, is negative, or is too large.
pub fn parse_go_duration(text: &[u8]) -> Option<u64> {
    let mut rest = std::str::from_utf8(text).ok()?.trim();
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_ends);
        let unit_ends = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_ends);
        total = total.checked_add(part_ns(number, unit_ns(unit)?)?)?;
        rest = next;
    }
    Some(total)
}

fn unit_ns(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn part_ns(number: &str, unit_ns: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut total = if whole.is_empty() {
        0
    } else {
        whole.parse::<u64>().ok()?.checked_mul(unit_ns)?
    };
    let mut place = unit_ns;
    for digit in fraction.chars() {
        place /= 10;
        total = total.checked_add(u64::from(digit.to_digit(10)?) * place)?;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("1m30s", Some(90_000_000_000)),
            ("500ms", Some(500_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5s", Some(500_000_000)),
            ("2h", Some(7_200_000_000_000)),
            ("10µs", Some(10_000)),
            ("0", Some(0)),
            ("5", None),
            ("", None),
            ("-1s", None),
            ("s", None),
            (".s", None),
            ("1x", None),
            ("1.2.3s", None),
            ("99999999999999h", None),
        ] {
            assert_eq!(parse_go_duration(text.as_bytes()), expected, "{text:?}");
        }
    }
}
