//! The same program bare, with the library but without rings, and on rings: what it says must be the same.

use super::guest::{Guest, Mode, MODES};
use super::library;
use super::peer::Peer;
use super::player::Player;

/// Runs a scenario in every mode and with every libc; the transcripts must be the same.
pub fn twins(
    program: &str,
    scenario: &str,
    script: impl Fn(&Peer, &mut Guest, &Player) -> String,
) -> String {
    let mut first: Option<String> = None;
    for compiler in ["cc", "musl-gcc"] {
        let Some(path) = library::program(compiler, program) else {
            continue;
        };
        for mode in MODES {
            eprintln!("{scenario}: {compiler} {mode:?}");
            let player = Player::start(mode == Mode::Rings);
            let mut guest = Guest::start(&path, &[scenario], mode, &player);
            let peer = Peer::new(player.connect(guest.port));
            peer.warm_up();
            assert_eq!(
                player.upgrades(),
                u32::from(mode == Mode::Rings),
                "{compiler} {mode:?}"
            );
            let mut transcript = script(&peer, &mut guest, &player);
            transcript.push_str(&guest.finish());
            assert!(
                !transcript.contains("FAILED"),
                "{scenario} {compiler} {mode:?}:\n{transcript}"
            );
            match &first {
                None => first = Some(transcript),
                Some(first) => assert_eq!(&transcript, first, "{scenario} {compiler} {mode:?}"),
            }
        }
    }
    first.expect("cc is installed")
}

/// A reply as a line of the transcript.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned() + "\n"
}
