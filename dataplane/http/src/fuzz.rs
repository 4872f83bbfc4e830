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
    request_both(input, limits);
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
    response_both(input, limits);
    let Some(length) = scan_both(input, limits, HeadScan::response) else {
        return;
    };
    let mut space = header_space();
    if let Ok(head) = ResponseHead::parse(&input[..length], &mut space, false) {
        assert!((100..600).contains(&head.status));
    }
}

/// Read at once and read closely, a head is the same.
fn request_both(input: &[u8], limits: &Limits) {
    let (mut space, mut scan) = (header_space(), HeadScan::request());
    let quick = RequestHead::read(input, &mut scan, limits, &mut space);
    let (mut other_space, mut other_scan) = (header_space(), HeadScan::request());
    let close = other_scan.advance(input, limits).and_then(|found| {
        found
            .map(|length| RequestHead::parse(&input[..length], &mut other_space))
            .transpose()
    });
    match (quick, close) {
        (Ok(Some(quick)), Ok(Some(close))) => {
            let lines = |head: &RequestHead<'_, '_>| {
                format!(
                    "{:?}",
                    (
                        head.method_text,
                        head.target,
                        head.version,
                        head.framing,
                        head.keep_alive,
                        head.upgrade,
                        head.host
                    )
                )
            };
            assert_eq!(lines(&quick), lines(&close));
            assert_eq!(quick.length(), close.length());
            assert!(quick.forwarded().eq(close.forwarded()));
        }
        (quick, close) => assert_eq!(
            quick.map(|quick| quick.is_some()),
            close.map(|close| close.is_some())
        ),
    }
}

fn response_both(input: &[u8], limits: &Limits) {
    let (mut space, mut scan) = (header_space(), HeadScan::response());
    let quick = ResponseHead::read(input, &mut scan, limits, &mut space, false);
    let (mut other_space, mut other_scan) = (header_space(), HeadScan::response());
    let close = other_scan.advance(input, limits).and_then(|found| {
        found
            .map(|length| ResponseHead::parse(&input[..length], &mut other_space, false))
            .transpose()
    });
    match (quick, close) {
        (Ok(Some(quick)), Ok(Some(close))) => {
            assert!(quick.forwarded().eq(close.forwarded()));
            let (mut onward, mut other) = (Vec::new(), Vec::new());
            quick.copy_onward(&mut onward);
            close.copy_onward(&mut other);
            assert_eq!(onward, other);
            assert_eq!(quick.length(), close.length());
            assert_eq!(
                (quick.framing, quick.keep_alive),
                (close.framing, close.keep_alive)
            );
        }
        (quick, close) => assert_eq!(
            quick.map(|quick| quick.is_some()),
            close.map(|close| close.is_some())
        ),
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
