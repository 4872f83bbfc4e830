//! From the bytes of a request head to the decision who serves it.

use std::sync::Arc;

use jd_http::{BodyDecoder, Framing, HeadScan, HttpError, Method, RequestHead};

use crate::buf::BufPool;
use crate::config::ns;
use crate::deadlines::Deadline;
use crate::down::{Down, Exchange};
use crate::duration::parse_go_duration;
use crate::headers::{push_request, Onward, Reply};
use crate::identity::CallIds;
use crate::reply;
use crate::route::{route, split_name, Route};
use crate::shed::Pace;
use crate::slab::Key;
use crate::table::{Function, RouteTable};
use crate::watchdog::{own_path, Own};
use crate::worker::{Flow, Worker};

/// Who serves a request.
enum Decision {
    Function,
    Provider,
    Reply(Box<Reply>),
}

/// What a decision needs beside the head.
struct Intake<'a> {
    exchange: &'a mut Exchange,
    peer: &'a str,
    started_unix_ns: u64,
    table: &'a RouteTable,
    ids: &'a mut CallIds,
    pool: &'a mut BufPool,
}

impl Worker {
    /// Between requests or inside a head.
    pub fn step_head(&mut self, key: Key) -> Flow {
        let Some(down) = self.downs.get_mut(key) else {
            return Flow::Gone;
        };
        let timeouts = &self.shared.timeouts;
        if !down.conn.unsent.is_empty() {
            let before = self.io.moved;
            if down.conn.flush(&mut self.io, false).is_err() {
                self.close_down(key);
                return Flow::Gone;
            }
            if !down.conn.unsent.is_empty() {
                // The next request is not looked at before the response to this one is on its way.
                down.watch_write(self.io.now_ns, before != self.io.moved, ns(timeouts.write));
                return Flow::Wait;
            }
        }
        down.deadlines.clear(Deadline::Write);
        if self.stopping.is_some() && down.conn.received.is_empty() {
            self.close_down(key);
            return Flow::Gone;
        }
        if down.conn.received.is_empty() || !down.scan.is_at_start() {
            match down.conn.fill(&mut self.io) {
                Ok(0) if !down.conn.ended => {
                    if down.conn.received.is_empty() {
                        down.conn.release(&mut self.io);
                    }
                    return Flow::Wait;
                }
                Err(error) if error.kind() == std::io::ErrorKind::OutOfMemory => {
                    down.conn.ended = false;
                    self.refuse_for_memory(key);
                    return Flow::Again;
                }
                Ok(0) | Err(_) => {
                    self.close_down(key);
                    return Flow::Gone;
                }
                Ok(_) => {}
            }
        }
        down.deadlines.clear(Deadline::Idle);
        down.deadlines.begin(
            Deadline::Head,
            self.io.now_ns.saturating_add(ns(timeouts.head)),
        );
        self.take_request(key);
        Flow::Again
    }

    /// Limits for the scanner.
    pub fn http_limits(&self) -> jd_http::Limits {
        let limits = &self.shared.limits;
        jd_http::Limits {
            head_bytes_max: limits.head_bytes_max,
            target_bytes_max: limits.target_bytes_max,
        }
    }

    fn refuse_head(&mut self, key: Key, error: HttpError) {
        if let Some(down) = self.downs.get_mut(key) {
            down.exchange.reset();
        }
        self.answer_and_close(key, &reply::refused(error));
    }

    fn take_request(&mut self, key: Key) {
        let limits = self.http_limits();
        let Some(down) = self.downs.get_mut(key) else {
            return;
        };
        let Down {
            conn,
            scan,
            exchange,
            deadlines,
            peer,
            pace,
            ..
        } = down;
        let bytes = conn.received.pending();
        let head = match RequestHead::read(bytes, scan, &limits, &mut self.io.headers) {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(error) => return self.refuse_head(key, error),
        };
        self.shared.shards[self.index].requests.add(1);
        *scan = HeadScan::request();
        deadlines.clear_all();
        exchange.reset();
        *pace = Pace::new(self.io.now_ns);
        exchange.started_ns = self.io.now_ns;
        let decision = Intake {
            exchange,
            peer,
            started_unix_ns: self.io.calendar.unix_ns(self.io.now_ns),
            table: self.routes.load(),
            ids: &mut self.ids,
            pool: &mut self.io.pool,
        }
        .decide(&head);
        let length = head.length();
        conn.received.consume(length);
        exchange.keep_alive &= self.stopping.is_none();
        match decision {
            Decision::Function => self.dispatch(key),
            Decision::Provider => self.dispatch_to_provider(key),
            Decision::Reply(reply) => self.answer(key, &reply),
        }
    }
}

impl Intake<'_> {
    fn decide(&mut self, head: &RequestHead<'_, '_>) -> Decision {
        let exchange = &mut *self.exchange;
        exchange.method = head.method;
        exchange.version = head.version;
        exchange.keep_alive = head.keep_alive;
        exchange.request_body = BodyDecoder::new(head.framing);
        exchange.expects_continue = head.expect_continue;
        exchange.wants_upgrade = head.upgrade.is_some();
        if matches!(head.method, Method::Connect | Method::Trace) {
            exchange.keep_alive = false;
            return Decision::Reply(Box::new(reply::method_not_allowed()));
        }
        if head.target == "*" {
            return Decision::Reply(Box::new(reply::ready()));
        }
        match route(head.target) {
            Route::NotFound => Decision::Reply(Box::new(reply::not_found())),
            Route::Function { segment, rest } => self.go_to_function(head, segment, rest),
            Route::Provider => {
                self.push_onward(head, head.target, false);
                Decision::Provider
            }
        }
    }

    fn go_to_function(
        &mut self,
        head: &RequestHead<'_, '_>,
        segment: &str,
        rest: &str,
    ) -> Decision {
        self.exchange.for_function = true;
        let push_id = |out: &mut Vec<u8>| match head.call_id {
            Some(id) => out.extend_from_slice(id),
            None => self.ids.push(out),
        };
        self.exchange.stamp.write(push_id, self.started_unix_ns);
        let Some(function) = self.table.find(segment) else {
            let (name, namespace) = split_name(segment);
            return Decision::Reply(Box::new(reply::unknown_function(name, namespace)));
        };
        let settings = &function.settings;
        let limit = settings.body_bytes_max;
        if limit > 0 && matches!(head.framing, Framing::Length(length) if length > limit) {
            return Decision::Reply(Box::new(reply::too_large(limit)));
        }
        self.exchange.body_bytes_max = limit;
        self.exchange.exec_timeout_ns = exec_timeout_ns(head, function);
        let mut target = rest;
        if settings.watchdog {
            match own_path(function, rest, head.method, head.method_text == "GET") {
                Own::No => {}
                Own::Reply(reply) => return Decision::Reply(reply),
                Own::Ask(path) => {
                    target = path;
                    self.exchange.limited = false;
                }
            }
        }
        self.exchange.function = Some(Arc::clone(function));
        self.push_onward(head, target, true);
        Decision::Function
    }

    fn push_onward(&mut self, head: &RequestHead<'_, '_>, target: &str, function: bool) {
        let exchange = &mut *self.exchange;
        let onward = Onward {
            target,
            function,
            stamp: &exchange.stamp,
            peer: self.peer,
        };
        push_request(exchange.request.back(self.pool), head, &onward);
    }
}

/// How long the function may take; 0: as long as it wants. Streams have no end to wait for.
fn exec_timeout_ns(head: &RequestHead<'_, '_>, function: &Function) -> u64 {
    if head.accepts_stream || head.upgrade.is_some() {
        return 0;
    }
    let set = function.settings.exec_timeout_ms.saturating_mul(1_000_000);
    let asked = head
        .timeout
        .filter(|_| function.settings.watchdog)
        .and_then(parse_go_duration);
    match (set, asked) {
        (set, None | Some(0)) => set,
        (0, Some(asked)) => asked,
        (set, Some(asked)) => set.min(asked),
    }
}
