//! The HTTP parser.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| jd_http::fuzz_one(input));
