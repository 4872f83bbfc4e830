//! What a keeper tells the launcher that forked it: how its sandbox ended, once.
//!
//! A pipe and not a pair of sockets: a socket would count as one of the network namespace that the launcher happens to
//! be in, and keep that from being used again.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{fcntl_setfl, OFlags};
use rustix::pipe::{pipe_with, PipeFlags};

use crate::state::State;

/// Most bytes of a state; a pipe takes more without waiting for its reader.
const STATE_BYTES_MAX: usize = 32 << 10;
/// Each of the texts in it is cut so that it takes no more, in bytes of JSON.
const TEXT_BYTES_MAX: usize = 8 << 10;
/// The length that comes before the state, in bytes.
const PREFIX_BYTES: usize = 4;

/// What a leash said so far.
#[derive(Debug)]
pub enum Heard {
    /// How the sandbox ended.
    State(Box<State>),
    /// Not all of it; listen again.
    Part,
    /// The keeper ended without a word, or said what is none.
    Nothing,
}

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
    state.error = state.error.map(|text| shortened(&text));
    if let Some(snapshot) = &mut state.snapshot {
        snapshot.fallback = snapshot.fallback.take().map(|text| shortened(&text));
        snapshot.refused = snapshot.refused.take().map(|text| shortened(&text));
    }
    let text = serde_json::to_vec(&state)?;
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    File::from(leash).write_all(&[&length.to_le_bytes(), text.as_slice()].concat())
}

/// As much of a text as takes [`TEXT_BYTES_MAX`] in JSON, where a control character takes six.
fn shortened(text: &str) -> String {
    let mut left = TEXT_BYTES_MAX;
    let fits = |letter: &char| {
        let cost = match letter {
            '"' | '\\' => 2,
            letter if letter.is_ascii_control() => 6,
            letter => letter.len_utf8(),
        };
        left.checked_sub(cost).is_some_and(|rest| {
            left = rest;
            true
        })
    };
    text.chars().take_while(fits).collect()
}

/// Reads what the keeper told and appends it to `said`, which is empty the first time.
#[must_use]
pub fn hear(leash: &OwnedFd, said: &mut Vec<u8>) -> Heard {
    let Ok(mut pipe) = leash.try_clone().map(File::from) else {
        return Heard::Nothing;
    };
    let mut piece = [0_u8; 4096];
    while said.len() <= PREFIX_BYTES + STATE_BYTES_MAX {
        match pipe.read(&mut piece) {
            Ok(0) => return whole(said).unwrap_or(Heard::Nothing),
            Ok(bytes) => said.extend_from_slice(&piece[..bytes]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return whole(said).unwrap_or(Heard::Part);
            }
            Err(_) => return Heard::Nothing,
        }
    }
    Heard::Nothing
}

/// The state, once all of it is there.
fn whole(said: &[u8]) -> Option<Heard> {
    let (prefix, text) = said.split_first_chunk::<PREFIX_BYTES>()?;
    let text = text.get(..u32::from_le_bytes(*prefix) as usize)?;
    Some(serde_json::from_slice(text).map_or(Heard::Nothing, Heard::State))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: &str) -> State {
        let (launcher, keeper) = pair().expect("pipe");
        let mut said = Vec::new();
        assert!(matches!(hear(&launcher, &mut said), Heard::Part));
        let mut state = State::new("a", 7);
        state.error = Some(error.to_owned());
        state.snapshot = Some(crate::snapshot::Outcome {
            fallback: state.error.clone(),
            refused: state.error.clone(),
            ..Default::default()
        });
        tell(keeper, &state).expect("told");
        let Heard::State(heard) = hear(&launcher, &mut said) else {
            panic!("not whole: {} bytes", said.len());
        };
        assert!(matches!(hear(&launcher, &mut Vec::new()), Heard::Nothing));
        *heard
    }

    #[test]
    fn a_state_crosses_whole_however_long_its_texts() {
        let short = "C\u{e9}dille \"x\"\n";
        assert_eq!(told(short).error.as_deref(), Some(short));
        for letter in ["\u{1f600}", "\u{1}", "\"", "x"] {
            let heard = told(&letter.repeat(90_000));
            assert_eq!(heard.id, "a");
            let error = heard.error.expect("an error");
            assert!(error.len() > 1000 && error.chars().all(|one| letter.starts_with(one)));
            assert_eq!(heard.snapshot.expect("a snapshot").refused, Some(error));
        }
    }

    #[test]
    fn a_state_may_come_in_pieces_and_never_without_end() {
        let (launcher, keeper) = pair().expect("pipe");
        let mut text = serde_json::to_vec(&State::new("a", 7)).expect("JSON");
        let length = u32::try_from(text.len()).expect("short");
        text.splice(0..0, length.to_le_bytes());
        let (mut keeper, mut said) = (File::from(keeper), Vec::new());
        let (first, last) = text.split_at(60);
        keeper.write_all(first).expect("written");
        assert!(matches!(hear(&launcher, &mut said), Heard::Part));
        keeper.write_all(last).expect("written");
        assert!(matches!(hear(&launcher, &mut said), Heard::State(_)));
        keeper.write_all(&[0xff; 60_000]).expect("written");
        assert!(matches!(hear(&launcher, &mut Vec::new()), Heard::Nothing));
    }
}
