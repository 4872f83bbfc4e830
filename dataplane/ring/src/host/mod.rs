//! The host's side for jnetd: slabs, the ends of connections, bells and waiters. Safe to call.
//!
//! ```no_run
//! use jd_ring::host::{HostEnd, Slab};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let slab = Slab::create()?;               // one for each sandbox, at its first upgrade
//! let bell = slab.bell(0)?;                 // this worker's; its eventfd goes into epoll, edge-triggered
//! let mut end: HostEnd = slab.open(bell.index())?.expect("a free slot");
//! end.publish(b"GET / HTTP/1.1\r\n\r\n")?;
//! end.notify()?;                            // once for any number of publishes and takes
//! let slots = bell.take();                  // after the bell's eventfd woke the worker
//! # let _ = slots;
//! let mut answer = Vec::new();
//! end.take_into(&mut answer, 65_536)?;
//! end.notify()?;                            // tells a guest that waits for space
//! while bell.rearm_and_take() != 0 { /* serve those slots too, a bounded number of times */ break }
//! # Ok(()) }
//! ```

mod bell;
mod counts;
mod end;
mod error;
mod fuzz;
mod mapping;
mod slab;
mod toll;

pub use bell::Bell;
pub use counts::Counts;
pub use end::{HostEnd, Sleeper, Told};
pub use error::{RingError, SlabError};
pub use fuzz::fuzz_one;
pub use slab::Slab;
pub use toll::Toll;

pub use crate::side::{GuestState, Violation};
