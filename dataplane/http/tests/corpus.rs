//! Replays the committed corpus, and random changes of it, through the fuzzing entry.

use proptest::prelude::*;

fn corpus() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("corpus")
        .map(|entry| entry.expect("entry").path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| std::fs::read(path).expect("readable"))
        .collect()
}

#[test]
fn every_file_of_the_corpus_holds() {
    let corpus = corpus();
    assert!(corpus.len() >= 10, "the corpus was not found");
    corpus.iter().for_each(|bytes| jd_http::fuzz_one(bytes));
}

proptest! {
    #[test]
    fn any_bytes_hold(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        jd_http::fuzz_one(&bytes);
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
        jd_http::fuzz_one(&bytes);
        bytes.truncate(cut.index(bytes.len() + 1));
        jd_http::fuzz_one(&bytes);
    }
}
