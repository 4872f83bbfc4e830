//! Replays the committed corpus of the fuzzer, and random changes of it.

jd_corpus::replay!(jd_port::fuzz_one);
