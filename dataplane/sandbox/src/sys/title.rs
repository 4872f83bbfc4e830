//! The command line that `ps` shows of this process.

use std::ffi::CString;
use std::fs;
use std::io;
use std::mem;

use super::checked;

/// `PR_SET_MM_MAP` of `prctl(2)`: all places of a process's memory at once, which needs no capability as setting one does.
const PR_SET_MM_MAP: libc::c_int = 14;

/// `struct prctl_mm_map` of `linux/prctl.h`.
#[repr(C)]
struct Places {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_bytes: u32,
    exe: u32,
}

/// Replaces it.
///
/// # Errors
/// `EINVAL` where the kernel was built without `CONFIG_CHECKPOINT_RESTORE`. The title is for people only.
pub fn set_title(title: &str) -> io::Result<()> {
    let title = CString::new(title)?;
    let length = title.as_bytes_with_nul().len() as u64;
    let mut places = places().ok_or(io::ErrorKind::InvalidData)?;
    // The kernel reads it whenever somebody looks, so it is never freed.
    places.arg_start = title.into_raw() as u64;
    places.arg_end = places.arg_start + length;
    // SAFETY: the kernel reads one structure of the size that is given and checks every address in it; all but the
    // title's are those that it has already.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_MM,
            PR_SET_MM_MAP,
            std::ptr::from_ref(&places),
            mem::size_of_val(&places),
            0,
        )
    };
    checked(libc::c_long::from(result)).map(|_| ())
}

/// As they are now (`proc_pid_stat(5)`, fields 26 to 28 and 45 to 51).
fn places() -> Option<Places> {
    let line = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything, blanks and parentheses too; after it comes field 3.
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse().ok();
    // SAFETY: moves nothing, only asks where the heap ends.
    let brk = unsafe { libc::sbrk(0) } as u64;
    Some(Places {
        start_code: field(26)?,
        end_code: field(27)?,
        start_data: field(45)?,
        end_data: field(46)?,
        start_brk: field(47)?,
        brk,
        start_stack: field(28)?,
        arg_start: field(48)?,
        arg_end: field(49)?,
        env_start: field(50)?,
        env_end: field(51)?,
        auxv: 0,
        auxv_bytes: 0,
        exe: u32::MAX,
    })
}
