//! What the tests of the shim share: the library as it is preloaded, a host that plays jnetd, and programs to run.
#![allow(dead_code, missing_docs)]

pub mod guest;
pub mod library;
pub mod peer;
pub mod player;
pub mod twins;
