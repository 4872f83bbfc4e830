//! One entry for fuzzers: any bytes, checked against what must always hold.

use crate::{header_space, BodyDecoder, Framing, HeadScan, Limits, RequestHead, ResponseHead};

/// Reads `input` as a request, as a response and as a chunked body, whole and byte by byte.
///
/// # Panics
/// When an invariant does not hold: the two ways differ, or a head written anew reads differently.
pub fn fuzz_one(input: &[u8]) {
    let limits = Limits {
        head_bytes_max: 4096,
        target_bytes_max: 512,
    };
    request(input, &limits);
    response(input, &limits);
    chunked(input);
}

fn scan_both(input: &[u8], limits: &Limits, new: fn() -> HeadScan) -> Option<usize> {
    let whole = new().advance(input, limits);
    let mut scan = new();
    let bytewise =
        (1..=input.len()).find_map(|length| scan.advance(&input[..length], limits).transpose());
    match (whole, bytewise) {
        (Ok(found), None) => assert_eq!(found, None),
        (Ok(found), Some(Ok(length))) => assert_eq!(found, Some(length)),
        // Byte by byte the fault may show earlier, and as another one, but it shows.
        (Err(_), Some(Err(_))) => {}
        (whole, bytewise) => panic!("whole {whole:?}, byte by byte {bytewise:?}"),
    }
    whole.ok().flatten()
}

fn request(input: &[u8], limits: &Limits) {
    let Some(length) = scan_both(input, limits, HeadScan::request) else {
        return;
    };
    let mut space = header_space();
    let Ok(head) = RequestHead::parse(&input[..length], &mut space) else {
        return;
    };
    let mut again = format!("{} {} HTTP/1.1\r\n", head.method_text, head.target).into_bytes();
    let mut count = 0;
    for (_, header) in head.forwarded() {
        crate::push_field(&mut again, header.name, header.value);
        count += 1;
    }
    again.extend_from_slice(b"\r\n");
    let mut other_space = header_space();
    match RequestHead::parse(&again, &mut other_space) {
        Ok(other) => assert_eq!(
            (other.forwarded().count(), other.framing),
            (count, Framing::None)
        ),
        // Without a Host (HTTP/1.0) the copy is no valid HTTP/1.1 request.
        Err(error) => assert_eq!(error, crate::HttpError::Host),
    }
}

fn response(input: &[u8], limits: &Limits) {
    let Some(length) = scan_both(input, limits, HeadScan::response) else {
        return;
    };
    let mut space = header_space();
    if let Ok(head) = ResponseHead::parse(&input[..length], &mut space, false) {
        assert!((100..600).contains(&head.status));
    }
}

fn chunked(input: &[u8]) {
    let mut whole = BodyDecoder::new(Framing::Chunked);
    let taken = whole.take(input);
    let mut bytewise = BodyDecoder::new(Framing::Chunked);
    let (mut raw, mut data) = (0, 0);
    for &byte in input {
        match bytewise.take(&[byte]) {
            Ok(one) => (raw, data) = (raw + one.raw, data + one.data),
            Err(error) => return assert_eq!(taken, Err(error)),
        }
    }
    assert_eq!(taken, Ok(crate::Taken { raw, data }));
    assert_eq!(whole.is_done(), bytewise.is_done());
}
