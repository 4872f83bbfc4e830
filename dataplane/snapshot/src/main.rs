//! `jrestore`: becomes the program that a snapshot describes. Started by `jsandbox` inside a new sandbox, as the function's
//! user and under its filter, in place of the function's program; see `docs/decisions/0007-python-start.md`.

use std::process::ExitCode;

use jd_snapshot::{ascent, sys};

fn main() -> ExitCode {
    let Err(failure) = ascent::run();
    ascent::tell(&failure);
    ExitCode::from(sys::jump::FAILED)
}
