//! What one sandbox may have open towards the outside.

/// Connections that stand or are being made.
pub(crate) const CONNECTIONS_MAX: usize = 1024;
/// Of these, how many may be in the making.
pub(crate) const CONNECTING_MAX: usize = 256;
/// UDP sockets with traffic out of the host.
pub(crate) const FLOWS_MAX: usize = 128;
/// Questions to upstream resolvers that wait for an answer.
pub(crate) const QUESTIONS_MAX: usize = 64;
/// The same of all sandboxes together.
pub(crate) const QUESTIONS_TOTAL_MAX: usize = 1024;
