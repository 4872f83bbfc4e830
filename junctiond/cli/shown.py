"""Numbers, ages and sizes as tables show them. Pure."""

from datetime import UTC, datetime


def age(since_ns: int, now_ns: int) -> str:
    """How long ago a stored time was, in its two largest units ("3h12m"); "-" for no time."""
    if since_ns <= 0:
        return "-"
    seconds = max(0, now_ns - since_ns) // 1_000_000_000
    for unit_s, unit, part_s, part in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if seconds >= unit_s:
            return f"{seconds // unit_s}{unit}{seconds % unit_s // part_s:02}{part}"
    return f"{seconds}s"


def size(count: int) -> str:
    """Bytes with a binary prefix; "-" for none."""
    if count <= 0:
        return "-"
    if count < 1024:
        return f"{count} B"
    value = float(count)
    for prefix in ("Ki", "Mi", "Gi"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {prefix}B"
    return f"{value / 1024:.1f} TiB"


def duration(seconds: float) -> str:
    """A latency in the unit that reads best."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    return f"{seconds:.2f} s"


def timestamp(unix_ns: int) -> str:
    """A stored time in RFC 3339, UTC, with milliseconds."""
    whole, rest = divmod(unix_ns, 1_000_000_000)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest // 1_000_000:03}Z"


def printable(text: str) -> str:
    """The text with control characters but tabs shown as hexadecimal escapes."""
    return "".join(
        char if char == "\t" or char.isprintable() else f"\\x{ord(char):02x}" for char in text
    )
