use super::*;
use proptest::prelude::*;

/// Feeds pieces of `step` bytes; returns the body and the bytes used, or the error.
fn feed(framing: Framing, input: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), HttpError> {
    let mut decoder = BodyDecoder::new(framing);
    let (mut body, mut used) = (Vec::new(), 0);
    for piece in input.chunks(step) {
        let taken = decoder.take_data(piece, |data| body.extend_from_slice(data))?;
        used += taken.raw;
        if taken.raw < piece.len() {
            break;
        }
    }
    Ok((body, used, decoder.is_done()))
}

fn everywhere(framing: Framing, input: &[u8]) -> Result<(Vec<u8>, usize, bool), HttpError> {
    let whole = feed(framing, input, input.len().max(1));
    assert_eq!(feed(framing, input, 1), whole);
    whole
}

#[test]
fn bodies_end_where_they_end() {
    let next = b"GET /";
    for (framing, text, body) in [
        (Framing::None, &b""[..], &b""[..]),
        (Framing::Length(4), b"abcd", b"abcd"),
        (Framing::Chunked, b"4\r\nabcd\r\n0\r\n\r\n", b"abcd"),
        (
            Framing::Chunked,
            b"2;x=\"y\"\r\nab\r\n0002\r\ncd\r\n000\r\nA: b\r\nC:\r\n\r\n",
            b"abcd",
        ),
        (Framing::Chunked, b"0\r\n\r\n", b""),
    ] {
        let input = [text, next].concat();
        assert_eq!(
            everywhere(framing, &input),
            Ok((body.to_vec(), text.len(), true))
        );
    }
    assert_eq!(
        everywhere(Framing::UntilClose, b"abc"),
        Ok((b"abc".to_vec(), 3, false))
    );
}

#[test]
fn malformed_chunks_are_refused() {
    for text in [
        &b"\r\n"[..],
        b"x\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b" 1\r\n",
        b"1 \r\na\r\n",
        b"1\na\n",
        b"1\r\nab\r\n",
        b"1\r\na\n",
        b"1\r\nab",
        b"1;a\nb\r\n",
        b"1;\0\r\n",
        b"ffffffffffffffff\r\n",
        b"1\rX",
        b";a\r\n",
    ] {
        assert_eq!(
            everywhere(Framing::Chunked, text),
            Err(HttpError::Chunk),
            "{text:?}"
        );
    }
    let long = [b"1;".to_vec(), vec![b'a'; 300]].concat();
    assert_eq!(everywhere(Framing::Chunked, &long), Err(HttpError::Chunk));
}

#[test]
fn malformed_trailers_are_refused() {
    for trailer in [
        &b"A b: c\r\n"[..],
        b" A: b\r\n",
        b"A\r\n",
        b"A: b\n",
        b"A: b\0\r\n",
        b"Content-Length: 3\r\n",
        b"TRANSFER-ENCODING: x\r\n",
        b"host: x\r\n",
        b"\n",
        b"\rx",
    ] {
        let text = [b"0\r\n", trailer, b"\r\n"].concat();
        assert_eq!(
            everywhere(Framing::Chunked, &text),
            Err(HttpError::Trailer),
            "{trailer:?}"
        );
    }
    let long = [b"0\r\nA: ".to_vec(), vec![b'a'; 17 << 10]].concat();
    assert_eq!(everywhere(Framing::Chunked, &long), Err(HttpError::Trailer));
}

#[test]
fn a_closed_connection_ends_only_what_may_end_so() {
    assert!(BodyDecoder::new(Framing::UntilClose).end_of_input().is_ok());
    assert!(BodyDecoder::new(Framing::Length(1)).end_of_input().is_err());
    assert!(BodyDecoder::new(Framing::Chunked).end_of_input().is_err());
    assert!(BodyDecoder::new(Framing::None).end_of_input().is_ok());
}

proptest! {
    #[test]
    fn what_was_chunked_comes_out_again(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..8),
        step in 1usize..64,
    ) {
        let mut coded = Vec::new();
        for piece in &pieces {
            crate::push_chunk_head(&mut coded, piece.len());
            coded.extend_from_slice(piece);
            coded.extend_from_slice(crate::CHUNK_END);
        }
        coded.extend_from_slice(crate::LAST_CHUNK);
        let length = coded.len();
        prop_assert_eq!(feed(Framing::Chunked, &coded, step), Ok((pieces.concat(), length, true)));
    }

    #[test]
    fn pieces_never_change_the_outcome(input in prop::collection::vec(
        prop::sample::select(b"01aF;\r\n:A bc".to_vec()), 0..80), step in 1usize..16) {
        prop_assert_eq!(feed(Framing::Chunked, &input, step), feed(Framing::Chunked, &input, input.len().max(1)));
    }
}
