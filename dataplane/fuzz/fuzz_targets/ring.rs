//! The host's side of a ring, under a guest that writes any word.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| jd_ring::host::fuzz_one(input));
