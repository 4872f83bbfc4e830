//! HTTP/1.1 without input or output: heads as views over a buffer, bodies as state machines.
//!
//! A caller brings bytes as they arrive and asks what they mean; nothing here reads, writes, waits
//! or looks at a clock. What two servers could read differently is refused (RFC 9112, sections 3
//! to 7 and 11.2): that is what request smuggling lives on.
//!
//! ```
//! use jd_http::{HeadScan, Limits, RequestHead, header_space};
//! let bytes = b"GET /function/aes HTTP/1.1\r\nHost: gateway\r\n\r\n";
//! let mut scan = HeadScan::request();
//! let length = scan.advance(bytes, &Limits::default()).unwrap().expect("complete");
//! let mut space = header_space();
//! let head = RequestHead::parse(&bytes[..length], &mut space).unwrap();
//! assert_eq!((head.target, head.keep_alive), ("/function/aes", true));
//! ```

#![deny(unsafe_code)]

mod body;
mod chunked;
mod closely;
mod connection;
mod emit;
mod error;
mod field;
mod first_line;
mod framing;
mod fuzz;
mod lines;
mod request;
mod response;
mod scan;
mod space;
#[allow(unsafe_code)]
mod sys;
mod trailer;

pub use body::{BodyDecoder, Taken};
pub use emit::{
    push_chunk_head, push_decimal, push_field, push_millionths, push_number, push_padded,
    CHUNK_END, LAST_CHUNK,
};
pub use error::HttpError;
pub use field::{has_token, Field};
pub use framing::Framing;
pub use fuzz::fuzz_one;
pub use request::{Method, RequestHead, Version};
pub use response::ResponseHead;
pub use scan::{HeadScan, Limits};
pub use space::{header_space, Header, HeaderSpace};

/// Most headers of one head. Both bounds hold: this one and the bytes of [`Limits::head_bytes_max`].
pub const HEADERS_MAX: usize = 4096;

/// Headers of an unusual head that cost no allocation.
const HEADERS_INLINE: usize = 64;
