//! Real sandboxes from the real program. Root is needed, a C compiler too (the guest is a static C program).
#![allow(missing_docs)]

mod attaching;
mod common;
mod lifecycle;
mod serving;
mod wall;
