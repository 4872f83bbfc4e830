//! The signal frame by which all registers are loaded at once (`struct rt_sigframe` of Linux on x86-64). Pure.

use std::io;

use crate::format::Thread;

/// Bytes before the floating point state: return address, `struct ucontext` (304 bytes) and `siginfo` (128), rounded up to 64.
const STATE_OFFSET: usize = 448;
const UC_FP_XSTATE: u64 = 1;
const UC_SIGCONTEXT_SS: u64 = 2;
const UC_STRICT_RESTORE_SS: u64 = 4;
const MAGIC1: u32 = 0x4650_5853;
const MAGIC2: u32 = 0x4650_5845;
/// Where the legacy area keeps what software knows about the frame.
const SOFTWARE_OFFSET: usize = 464;
/// Legacy area and header of an XSAVE area.
const LEGACY_BYTES: usize = 576;
/// AMX tiles: not in a frame unless the process asked for them.
const TILES: u64 = 3 << 17;
/// Positions in `struct user_regs_struct` of what `struct sigcontext` wants, in its order (r8 to flags).
const ORDER: [usize; 18] = [9, 8, 7, 6, 3, 2, 1, 0, 14, 13, 4, 5, 12, 10, 11, 19, 16, 18];

/// The frame as it must lie at address `at`, which is a multiple of 64.
///
/// # Errors
/// `InvalidData` when the registers are not those of this architecture.
pub fn frame(thread: &Thread, at: u64) -> io::Result<Vec<u8>> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "registers of another machine");
    let state = state(&thread.extended).ok_or_else(bad)?;
    let register = |index: usize| thread.registers.get(index).copied().ok_or_else(bad);
    let mut words = vec![
        0, // return address: never used
        UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
        0, // uc_link
        thread.stack[0],
        thread.stack[1],
        thread.stack[2],
    ];
    for index in ORDER {
        words.push(register(index)?);
    }
    let (code, stack) = (register(17)? & 0xffff, register(20)? & 0xffff);
    words.push(code | stack << 48);
    words.extend([0; 4]); // err, trapno, oldmask, cr2
    words.push(at + STATE_OFFSET as u64);
    words.extend([0; 8]);
    words.push(thread.mask);
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
    bytes.resize(STATE_OFFSET, 0);
    bytes.extend(state);
    Ok(bytes)
}

/// The XSAVE area as a frame has it: cut to the default features, with both magic words.
fn state(extended: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| {
        extended
            .get(at..at + 8)?
            .first_chunk()
            .copied()
            .map(u64::from_ne_bytes)
    };
    let features = word(SOFTWARE_OFFSET)? & !TILES;
    if word(512)? & !features != 0 {
        return None;
    }
    let bytes = size(features).min(extended.len());
    let mut area = extended.get(..bytes)?.to_vec();
    let length = u32::try_from(bytes).ok()?;
    let mut software = Vec::with_capacity(48);
    software.extend(MAGIC1.to_ne_bytes());
    software.extend((length + 4).to_ne_bytes());
    software.extend(features.to_ne_bytes());
    software.extend(length.to_ne_bytes());
    software.resize(48, 0);
    area.get_mut(SOFTWARE_OFFSET..512)?
        .copy_from_slice(&software);
    area.extend(MAGIC2.to_ne_bytes());
    Some(area)
}

/// Length of a not compacted XSAVE area that holds `features`.
fn size(features: u64) -> usize {
    let ends = (2..63)
        .filter(|bit| features >> bit & 1 == 1)
        .map(crate::sys::processor::feature_end);
    ends.max().unwrap_or(0).max(LEGACY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread() -> Thread {
        let mut extended = vec![0; 4096];
        extended[SOFTWARE_OFFSET] = 3;
        extended[512] = 3;
        Thread {
            registers: (0..27).collect(),
            extended,
            mask: 7,
            ..Thread::default()
        }
    }

    #[test]
    fn the_frame_has_the_kernels_layout() {
        let bytes = frame(&thread(), 0x1000).expect("valid");
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight"));
        // sigcontext begins at 48: r8 first, flags last of 18, then the state's address, then the mask.
        assert_eq!((word(48), word(48 + 17 * 8)), (9, 18));
        assert_eq!(word(48 + 184), 0x1000 + STATE_OFFSET as u64);
        assert_eq!(word(48 + 256), 7);
        assert_eq!(bytes.len(), STATE_OFFSET + LEGACY_BYTES + 4);
    }

    #[test]
    fn registers_that_the_frame_cannot_hold_are_refused() {
        let mut odd = thread();
        odd.extended[512] = 7;
        assert!(frame(&odd, 0).is_err());
        odd.extended.truncate(100);
        assert!(frame(&odd, 0).is_err());
        assert!(frame(
            &Thread {
                registers: vec![],
                ..thread()
            },
            0
        )
        .is_err());
    }
}
