//! `jrestore`: becomes the program that a snapshot describes. Started by `jsandbox` inside a new sandbox, as the function's
//! user and under its filter, in place of the function's program; see `docs/decisions/0007-python-start.md`.

use std::process::ExitCode;

/// Of a restorer that could not; the keeper has heard why.
const FAILED: u8 = 125;

#[cfg(target_arch = "x86_64")]
fn main() -> ExitCode {
    let Err(failure) = jd_snapshot::ascent::run();
    jd_snapshot::ascent::tell(&failure);
    ExitCode::from(FAILED)
}

#[cfg(not(target_arch = "x86_64"))]
fn main() -> ExitCode {
    ExitCode::from(FAILED)
}
