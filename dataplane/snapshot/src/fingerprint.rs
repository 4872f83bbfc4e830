//! What a snapshot is good for: this boot of this kernel on this processor.
//!
//! The boot matters because programs keep points of the monotonic clock; the kernel because of its vdso; the processor
//! because libraries chose their code by it.

use std::io;

use crate::sys::processor;

/// A text that differs where a snapshot must not be used.
///
/// # Errors
/// When `/proc` is not there.
pub fn fingerprint() -> io::Result<String> {
    let name = rustix::system::uname();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let words: Vec<String> = processor::words()
        .iter()
        .map(|word| format!("{word:x}"))
        .collect();
    Ok(format!(
        "{} {} {} {}",
        name.release().to_string_lossy(),
        name.version().to_string_lossy(),
        boot.trim(),
        words.join(".")
    ))
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_the_same_at_every_look() {
        assert_eq!(
            super::fingerprint().expect("proc"),
            super::fingerprint().expect("proc")
        );
    }
}
