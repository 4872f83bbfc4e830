//! Replays a fuzzer's committed corpus, and random changes of it, in an ordinary test.

use std::fs;
use std::path::Path;

pub use proptest;

/// The files of a corpus, in the order of their names.
///
/// # Panics
/// The folder or a file of it cannot be read, or there are fewer files than any corpus has.
#[must_use]
pub fn corpus(folder: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<_> = fs::read_dir(Path::new(folder))
        .expect("corpus")
        .map(|entry| entry.expect("entry").path())
        .collect();
    files.sort();
    assert!(files.len() >= 10, "the corpus was not found");
    files
        .iter()
        .map(|path| fs::read(path).expect("readable"))
        .collect()
}

/// The tests of a target: `replay!(fuzz_one)` in `tests/corpus.rs`, beside the files in `tests/corpus/`.
#[macro_export]
macro_rules! replay {
    ($fuzz_one:path) => {
        use $crate::proptest;
        use $crate::proptest::prelude::*;

        fn corpus() -> Vec<Vec<u8>> {
            $crate::corpus(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus"))
        }

        #[test]
        fn every_file_of_the_corpus_holds() {
            corpus().iter().for_each(|bytes| $fuzz_one(bytes));
        }

        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

            #[test]
            fn any_bytes_hold(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
                $fuzz_one(&bytes);
            }

            #[test]
            fn changed_files_of_the_corpus_hold(
                file in any::<prop::sample::Index>(),
                changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
                cut in any::<prop::sample::Index>(),
            ) {
                let corpus = corpus();
                let mut bytes = corpus[file.index(corpus.len())].clone();
                for (place, byte) in changes {
                    let place = place.index(bytes.len());
                    bytes[place] = byte;
                }
                $fuzz_one(&bytes);
                bytes.truncate(cut.index(bytes.len() + 1));
                $fuzz_one(&bytes);
            }
        }
    };
}
