//! Moves one request to its function and the response back, as far as both sides let it.

use jd_http::{Framing, HttpError, Limits, ResponseHead, Version};

use crate::conn::Io;
use crate::down::{Answer, Down, Recode};
use crate::headers::{push_interim, push_response, push_upgraded, Backward};
use crate::up::{Up, REPLAY_BYTES_MAX};

/// Bytes that may wait for one side before the other is not read any more.
pub const HIGH_WATER_BYTES: usize = 64 << 10;

/// Turns of one connection before the others have theirs.
const TURNS_MAX: usize = 8;

/// How far a relay came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Neither side has or takes anything now.
    Waits,
    /// There is more to do, but others are due.
    GoesOn,
    /// The response is complete; its last bytes wait to be sent to the client.
    Done,
    /// Both sides agreed to change the protocol.
    Upgraded,
    /// The client is not there any more.
    ClientGone,
    /// The client's body is malformed.
    Refused(HttpError),
    /// The client's body is longer than allowed.
    TooLarge,
    /// A connection used before was closed before it took this request, which can be sent again.
    Stale,
    /// The function closed before it answered.
    Gone,
    /// The function's answer is malformed or cut off.
    Broke(HttpError),
}

/// Both sides of an exchange.
pub struct Relay<'a> {
    pub down: &'a mut Down,
    pub up: &'a mut Up,
    pub io: &'a mut Io,
    pub limits: &'a Limits,
    pub served_by: &'a str,
}

impl Relay<'_> {
    /// Moves what can be moved.
    pub fn run(&mut self) -> Outcome {
        for _ in 0..TURNS_MAX {
            let before = self.io.moved;
            if let Err(outcome) = self.request_side().and_then(|()| self.response_side()) {
                return outcome;
            }
            if self.io.moved == before || self.is_still() {
                return Outcome::Waits;
            }
        }
        Outcome::GoesOn
    }

    /// Whether another turn can only find what this one left.
    fn is_still(&self) -> bool {
        let (down, up) = (&self.down.conn, &self.up.conn);
        let body_waits = !self.down.exchange.request_body.is_done()
            && (down.readable || !down.received.is_empty());
        let all_sent = up.unsent.is_empty() && down.unsent.is_empty();
        all_sent && !up.readable && !body_waits
    }

    fn request_side(&mut self) -> Result<(), Outcome> {
        if !self.down.exchange.request_body.is_done() && !self.up.conn.broken {
            self.move_body()?;
        }
        if !self.up.conn.unsent.is_empty() {
            // A function that does not read any more may have answered already: the response side will tell.
            if let Ok(sent) = self.up.conn.flush(self.io, self.up.replayable) {
                self.up.wrote |= sent > 0;
            }
        }
        Ok(())
    }

    fn move_body(&mut self) -> Result<(), Outcome> {
        let (conn, exchange) = (&mut self.down.conn, &mut self.down.exchange);
        if self.up.conn.unsent.len() >= HIGH_WATER_BYTES {
            return Ok(());
        }
        if conn.received.is_empty() {
            let count = conn.fill(self.io).map_err(|_| Outcome::ClientGone)?;
            if count == 0 {
                return if conn.ended {
                    Err(Outcome::ClientGone)
                } else {
                    Ok(())
                };
            }
        }
        let taken = exchange
            .request_body
            .take(conn.received.pending())
            .map_err(Outcome::Refused)?;
        exchange.bytes_in += taken.data as u64;
        if exchange.body_bytes_max > 0 && exchange.bytes_in > exchange.body_bytes_max {
            return Err(Outcome::TooLarge);
        }
        let unsent = &mut self.up.conn.unsent;
        unsent.take_from(&mut conn.received, taken.raw, &mut self.io.pool);
        if self.up.replayable && self.up.conn.unsent.held() > REPLAY_BYTES_MAX {
            self.up.stop_replay();
        }
        Ok(())
    }

    fn response_side(&mut self) -> Result<(), Outcome> {
        if self.down.conn.unsent.len() >= HIGH_WATER_BYTES {
            self.flush_client()?;
            if self.down.conn.unsent.len() >= HIGH_WATER_BYTES {
                return Ok(());
            }
        }
        // A reset says the same as an end here: what it means depends on what came before.
        if self.up.conn.fill(self.io).unwrap_or(0) > 0 && self.up.replayable {
            self.up.stop_replay();
        }
        while self.down.exchange.answer == Answer::Head && self.take_head()? {}
        if self.down.exchange.answer == Answer::Body {
            self.take_body()?;
        } else if self.up.conn.ended {
            return Err(self.ended_without_answer());
        }
        self.flush_client()
    }

    fn flush_client(&mut self) -> Result<(), Outcome> {
        if self.down.conn.unsent.is_empty() {
            return Ok(());
        }
        self.down
            .conn
            .flush(self.io, false)
            .map(drop)
            .map_err(|_| Outcome::ClientGone)
    }

    fn ended_without_answer(&self) -> Outcome {
        let exchange = &self.down.exchange;
        let untouched = self.up.conn.received.is_empty() && !exchange.retried && self.up.replayable;
        if untouched && (exchange.method.is_idempotent() || !self.up.wrote) {
            return Outcome::Stale;
        }
        if self.up.conn.received.is_empty() {
            Outcome::Gone
        } else {
            Outcome::Broke(HttpError::Head("cut off"))
        }
    }

    /// Reads one response head; true: it was an interim one, look for the next.
    fn take_head(&mut self) -> Result<bool, Outcome> {
        let Self {
            down,
            up,
            io,
            limits,
            served_by,
        } = self;
        let Down { conn, exchange, .. } = &mut **down;
        let received = up.conn.received.pending();
        if received.is_empty() {
            return Ok(false);
        }
        let to_head = exchange.method_is_head();
        let scan = &mut exchange.response_scan;
        let read = ResponseHead::read(received, scan, limits, &mut io.headers, to_head);
        let Some(head) = read.map_err(Outcome::Broke)? else {
            return Ok(false);
        };
        let out = conn.unsent.back(&mut io.pool);
        let status = head.status;
        if status >= 200 {
            exchange.recode = recode(head.framing, exchange.version);
            exchange.keep_alive &= exchange.recode != Recode::FromChunks
                && (head.framing != Framing::UntilClose || exchange.recode == Recode::ToChunks);
            let backward = Backward {
                exchange,
                served_by,
                now_ns: io.now_ns,
            };
            push_response(out, &head, exchange.recode, &backward);
            exchange.response_body = jd_http::BodyDecoder::new(head.framing);
            exchange.answer = Answer::Body;
            exchange.status = Some(status);
            up.keep_alive = head.keep_alive;
        } else if status == 101 {
            if !exchange.wants_upgrade {
                return Err(Outcome::Broke(HttpError::Head(
                    "101 without a request for it",
                )));
            }
            let backward = Backward {
                exchange,
                served_by,
                now_ns: io.now_ns,
            };
            push_upgraded(out, &head, &backward);
        } else if status != 100 && exchange.version == Version::Http11 {
            push_interim(out, &head);
        }
        let length = head.length();
        up.conn.received.consume(length);
        exchange.response_scan = jd_http::HeadScan::response();
        if status == 101 {
            exchange.status = Some(status);
            return Err(Outcome::Upgraded);
        }
        Ok(status < 200)
    }

    fn take_body(&mut self) -> Result<(), Outcome> {
        let Self { down, up, io, .. } = self;
        let Down { conn, exchange, .. } = &mut **down;
        let from = &mut up.conn.received;
        if !from.is_empty() && !exchange.response_body.is_done() {
            let (body, out) = (&mut exchange.response_body, &mut conn.unsent);
            let taken = if exchange.recode == Recode::Raw {
                let taken = body.take(from.pending()).map_err(Outcome::Broke)?;
                out.take_from(from, taken.raw, &mut io.pool);
                taken
            } else {
                let out = out.back_with_room(from.len() + CHUNK_EXTRA_BYTES, &mut io.pool);
                let chunks = exchange.recode == Recode::ToChunks;
                let taken = body.take_data(from.pending(), |data| push_data(out, data, chunks));
                let taken = taken.map_err(Outcome::Broke)?;
                from.consume(taken.raw);
                taken
            };
            exchange.bytes_out += taken.data as u64;
        }
        if !exchange.response_body.is_done() && up.conn.ended {
            exchange
                .response_body
                .end_of_input()
                .map_err(Outcome::Broke)?;
            if exchange.recode == Recode::ToChunks {
                conn.unsent
                    .back(&mut io.pool)
                    .extend_from_slice(jd_http::LAST_CHUNK);
            }
        }
        if exchange.response_body.is_done() {
            // The last bytes are sent after the replica's place is given back: a client that has them may
            // count on a free place.
            return Err(Outcome::Done);
        }
        Ok(())
    }
}

/// Room for the head and end of one chunk.
const CHUNK_EXTRA_BYTES: usize = 32;

fn push_data(out: &mut Vec<u8>, data: &[u8], as_chunk: bool) {
    if as_chunk {
        jd_http::push_chunk_head(out, data.len());
    }
    out.extend_from_slice(data);
    if as_chunk {
        out.extend_from_slice(jd_http::CHUNK_END);
    }
}

fn recode(framing: Framing, version: Version) -> Recode {
    match (framing, version) {
        (Framing::UntilClose, Version::Http11) => Recode::ToChunks,
        (Framing::Chunked, Version::Http10) => Recode::FromChunks,
        _ => Recode::Raw,
    }
}
