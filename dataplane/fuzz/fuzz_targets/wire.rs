//! Frames and messages of the control and attach sockets, and names.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| jd_wire::fuzz_one(input));
