//! The wake-and-park protocol and the cursors under the model checker (loom): every interleaving, and
//! every value that the memory model lets a load return, for a ring of a few bytes.
//!
//! The modules under test are compiled here a second time, from the same files, against loom's atomics
//! (`sync.rs` beside this file). So `cargo test` runs it with no flags, and nothing else is built twice.
//! The bytes of a ring are cells that fail the test when both sides may touch one at a time.

#[allow(dead_code)]
#[path = "../../src/abi.rs"]
mod abi;
#[allow(dead_code)]
#[path = "../../src/doorbell.rs"]
mod doorbell;
#[allow(dead_code, unused_imports)]
#[path = "../../src/guest/mod.rs"]
mod guest;
#[allow(dead_code)]
#[path = "../../src/lane.rs"]
mod lane;
#[allow(dead_code)]
#[path = "../../src/side.rs"]
mod side;
mod sync;

mod leaving;
mod stage;
mod stream;
mod waking;
