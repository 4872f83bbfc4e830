//! The sandbox launcher: everything behind the binary `jsandbox`.
//!
//! A sandbox is three processes: the *keeper* (this program, outside), *process 1* (builds the sandbox, then only
//! reaps) and the function's program. `docs/protocols.md` sections 1 and 2 are the contract with junctiond and jnetd.

pub mod account;
pub mod attach;
pub mod berth;
pub mod cgroup;
pub mod cgroup_parent;
mod clock;
mod device;
mod forked;
pub mod guest;
pub mod keeper;
pub mod launch;
pub mod launch_error;
pub mod leash;
pub mod log_file;
mod log_rate;
pub mod log_record;
pub mod lookup;
mod members;
pub mod names;
mod orders;
mod payload;
mod privilege;
pub mod probe;
mod procfs;
mod report;
mod rootfs;
pub mod seccomp;
pub mod serve;
pub mod snapshot;
pub mod spec;
pub mod state;
pub mod sweep;
pub mod sys;
pub mod user_namespace;
