//! What a keeper tells the launcher that forked it: how its sandbox ended, once.
//!
//! A pipe and not a pair of sockets: a socket would count as one of the network namespace that the launcher happens to
//! be in, and keep that from being used again.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{fcntl_setfl, OFlags};
use rustix::pipe::{pipe_with, PipeFlags};

use crate::state::State;

/// What is written at once is read at once (`PIPE_BUF`).
const STATE_BYTES_MAX: usize = 4096;
/// An error is cut to this, in characters, so that a state fits.
const ERROR_CHARS_MAX: usize = 800;

/// The launcher's and the keeper's end.
///
/// # Errors
/// Those of `pipe(2)`.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (launcher, keeper) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(&launcher, OFlags::NONBLOCK)?;
    Ok((launcher, keeper))
}

/// Tells how the sandbox ended.
///
/// # Errors
/// The launcher is gone.
pub fn tell(leash: OwnedFd, state: &State) -> io::Result<()> {
    let mut state = state.clone();
    state.error = state
        .error
        .map(|text| text.chars().take(ERROR_CHARS_MAX).collect());
    File::from(leash).write_all(&serde_json::to_vec(&state)?)
}

/// What the keeper told; `None` if it has ended without a word, or has not spoken yet.
#[must_use]
pub fn hear(leash: &OwnedFd) -> Option<State> {
    let mut text = [0_u8; STATE_BYTES_MAX];
    let mut pipe = File::from(leash.try_clone().ok()?);
    let bytes = pipe.read(&mut text).ok()?;
    serde_json::from_slice(&text[..bytes]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_crosses_whole_however_long_its_error() {
        let (launcher, keeper) = pair().expect("pipe");
        assert!(hear(&launcher).is_none());
        let mut state = State::new("a", 7);
        state.error = Some("\u{1f600}".repeat(9000));
        tell(keeper, &state).expect("told");
        let heard = hear(&launcher).expect("whole");
        assert_eq!(heard.id, "a");
        assert_eq!(heard.error.map(|text| text.chars().count()), Some(800));
        assert!(hear(&launcher).is_none());
    }
}
