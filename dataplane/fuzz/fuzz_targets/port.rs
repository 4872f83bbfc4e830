//! What the supervisor decodes of a notified call and of a guest's memory.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| jd_port::fuzz_one(input));
