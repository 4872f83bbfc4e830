//! Requests of one connection, one after the other.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::answer::{guess_type, Answer};
use crate::child::{Child, Ending};
use crate::client::Client;
use crate::exchange::{Exchange, Sink};
use crate::line_log::{say, LineLog};
use crate::marshal;
use crate::request::{read_head, Request};
use crate::server::Shared;
use crate::settings::Mode;

const TEXT: &str = "text/plain; charset=utf-8";
/// Go's middleware names itself so; clients tell the platform's answers from the function's by it.
const LIMITER: &str = "faas-middleware";

/// Serves a connection until one side ends it.
pub fn serve(shared: &Shared, socket: OwnedFd) {
    let mut client = Client::new(socket);
    // The client's disappearance in the middle of anything only ends its connection.
    while let Ok(true) = serve_one(shared, &mut client) {}
}

/// One request; false when the connection is over.
fn serve_one(shared: &Shared, client: &mut Client) -> io::Result<bool> {
    if client.input.is_empty() {
        client.read_until(None)?;
    }
    let read_deadline = Instant::now() + shared.settings.read_timeout;
    let mut request = match read_head(&shared.settings, client, read_deadline)? {
        Ok(request) => request,
        Err(error) => {
            let answer = Answer {
                status: error.status(),
                content_type: TEXT,
                close: true,
                ..Answer::default()
            };
            send(shared, client, &answer, error.to_string().as_bytes(), false)?;
            return Ok(false);
        }
    };
    client.begin_body(request.framing);
    request.keep_alive &= !shared.draining.load(Ordering::Relaxed);
    if request.expect_continue {
        client
            .output
            .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        client.write_until(Some(read_deadline))?;
    }
    let keep = answer(shared, client, &mut request, read_deadline)?;
    if !keep || !request.keep_alive {
        return Ok(false);
    }
    skip_body(client, read_deadline)?;
    Ok(true)
}

/// Answers the request; false if the connection cannot be used again.
fn answer(
    shared: &Shared,
    client: &mut Client,
    request: &mut Request,
    read_deadline: Instant,
) -> io::Result<bool> {
    let path = request.target.split('?').next().unwrap_or_default();
    let classic = shared.settings.mode == Mode::Classic;
    if path == "/_/health" || (path == "/_/ready" && !classic) {
        return health(shared, client, request, path == "/_/ready");
    }
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    if classic && !known.contains(&request.method.as_str()) {
        let answer = Answer {
            status: 405,
            content_type: TEXT,
            ..Answer::default()
        };
        return send(shared, client, &answer, b"", request.head_only);
    }
    let Some(_place) = shared.inflight.enter() else {
        let most = shared.settings.max_inflight;
        let text = format!("Concurrent request limit exceeded. Max concurrent requests: {most}\n");
        let answer = Answer {
            status: 429,
            content_type: TEXT,
            internal: Some(LIMITER),
            ..Answer::default()
        };
        return send(shared, client, &answer, text.as_bytes(), request.head_only);
    };
    match shared.settings.mode {
        Mode::Streaming => stream(shared, client, request, read_deadline),
        Mode::Serializing | Mode::Classic => collect(shared, client, request, read_deadline),
    }
}

fn health(
    shared: &Shared,
    client: &mut Client,
    request: &Request,
    ready: bool,
) -> io::Result<bool> {
    let status = match request.method.as_str() {
        "GET" | "HEAD" if shared.draining.load(Ordering::Relaxed) => 503,
        "GET" | "HEAD" if ready && shared.inflight.is_full() => 429,
        "GET" | "HEAD" => 200,
        _ => 405,
    };
    let body: &[u8] = if status == 200 && !ready { b"OK" } else { b"" };
    let answer = Answer {
        status,
        content_type: TEXT,
        ..Answer::default()
    };
    send(shared, client, &answer, body, request.head_only)
}

/// of-watchdog streaming: the head goes out before anyone knows how the process will end.
fn stream(
    shared: &Shared,
    client: &mut Client,
    request: &mut Request,
    read_deadline: Instant,
) -> io::Result<bool> {
    let settings = &shared.settings;
    let mut child = match spawn(shared, request) {
        Ok(child) => child,
        Err(error) => return refuse(shared, client, request, &error),
    };
    let content_type = settings
        .content_type
        .as_deref()
        .unwrap_or("application/octet-stream");
    request.keep_alive &= !request.http10;
    let answer = Answer {
        status: 200,
        content_type,
        close: !request.keep_alive,
        ..Answer::default()
    };
    answer.push_head(&mut client.output, !request.http10);
    client.begin_answer(!request.http10, request.head_only);
    client.write_some()?;
    let exchange = Exchange {
        child: &mut child,
        client,
        sink: Sink::Client,
        log: &mut LineLog::new(settings.prefix_logs),
        deadline: settings
            .exec_timeout
            .map(|timeout| request.started + timeout),
        read_deadline: Some(read_deadline),
        feed: Vec::new(),
    };
    let ending = exchange.run()?;
    if ending == Ending::ClientGone {
        return Ok(false);
    }
    if ending != Ending::Code(0) {
        say(&ending.text());
    }
    client.end_answer();
    client.write_until(Some(Instant::now() + settings.write_timeout))?;
    access_log(shared, request, 200, None);
    Ok(true)
}

/// of-watchdog serializing and the classic watchdog: the whole body in, the whole answer out.
fn collect(
    shared: &Shared,
    client: &mut Client,
    request: &mut Request,
    read_deadline: Instant,
) -> io::Result<bool> {
    let settings = &shared.settings;
    let mut body = Vec::new();
    if let Err(error) = read_body(client, &mut body, read_deadline) {
        let status = if error.kind() == io::ErrorKind::TimedOut {
            408
        } else {
            400
        };
        request.keep_alive = false;
        let answer = Answer {
            status,
            content_type: TEXT,
            close: true,
            ..Answer::default()
        };
        return send(
            shared,
            client,
            &answer,
            error.to_string().as_bytes(),
            request.head_only,
        );
    }
    if let Some(headers) = &request.headers {
        body = marshal::request(headers, &body);
    }
    let mut child = match spawn(shared, request) {
        Ok(child) => child,
        Err(error) => return refuse(shared, client, request, &error),
    };
    let mut output = Vec::new();
    let exchange = Exchange {
        child: &mut child,
        client,
        sink: Sink::Memory(&mut output),
        log: &mut LineLog::new(settings.prefix_logs),
        deadline: settings
            .exec_timeout
            .map(|timeout| request.started + timeout),
        read_deadline: None,
        feed: body,
    };
    let ending = exchange.run()?;
    let duration = request.started.elapsed();
    let (status, output) = match (settings.mode, ending) {
        (_, Ending::ClientGone) => return Ok(false),
        (_, Ending::Code(0)) => (200, output),
        (Mode::Classic, Ending::TimedOut) => (408, b"Killed process.\n".to_vec()),
        (Mode::Classic, _) => (500, [ending.text().as_bytes(), b"\n", &output].concat()),
        (_, _) => (500, ending.text().into_bytes()),
    };
    if status == 200 && settings.mode == Mode::Classic {
        say(&format!(
            "Wrote {} Bytes - Duration: {:.6}s",
            output.len(),
            duration.as_secs_f64()
        ));
    } else if status != 200 {
        say(&ending.text());
    }
    let content_type = content_type(shared, request, status, &output);
    let answer = Answer {
        status,
        content_type: &content_type,
        duration_s: Some(duration.as_secs_f64()),
        close: !request.keep_alive,
        ..Answer::default()
    };
    access_log(shared, request, status, Some(output.len()));
    send(shared, client, &answer, &output, request.head_only)
}

fn content_type(shared: &Shared, request: &Request, status: u16, output: &[u8]) -> String {
    let set = shared.settings.content_type.clone();
    match shared.settings.mode {
        _ if status != 200 => TEXT.to_owned(),
        Mode::Classic => set
            .or_else(|| request.content_type.clone())
            .unwrap_or_else(|| guess_type(output).to_owned()),
        _ => set.unwrap_or_else(|| "application/octet-stream".to_owned()),
    }
}

fn spawn(shared: &Shared, request: &mut Request) -> io::Result<Child> {
    if shared.settings.mode == Mode::Classic {
        say("Forking fprocess.");
    }
    Child::spawn(&shared.settings, std::mem::take(&mut request.variables))
}

/// The process could not be started.
fn refuse(
    shared: &Shared,
    client: &mut Client,
    request: &Request,
    error: &io::Error,
) -> io::Result<bool> {
    let status = if error.raw_os_error() == Some(libc::E2BIG) {
        431
    } else {
        500
    };
    let text = format!("cannot start {:?}: {error}\n", shared.settings.process[0]);
    say(text.trim_end());
    access_log(shared, request, status, Some(text.len()));
    let answer = Answer {
        status,
        content_type: TEXT,
        close: !request.keep_alive,
        ..Answer::default()
    };
    send(shared, client, &answer, text.as_bytes(), request.head_only)
}

/// Queues a whole answer.
fn send(
    shared: &Shared,
    client: &mut Client,
    answer: &Answer<'_>,
    body: &[u8],
    head_only: bool,
) -> io::Result<bool> {
    let answer = Answer {
        length: Some(body.len()),
        ..answer.clone()
    };
    answer.push_head(&mut client.output, false);
    client.begin_answer(false, head_only);
    client.push(body);
    client.write_until(Some(Instant::now() + shared.settings.write_timeout))?;
    Ok(!answer.close)
}

fn read_body(client: &mut Client, body: &mut Vec<u8>, deadline: Instant) -> io::Result<()> {
    loop {
        client.take_body(body)?;
        if client.body_is_done() {
            return Ok(());
        }
        client.read_until(Some(deadline))?;
    }
}

/// Reads past a body that nobody wanted, so that the next request can be found.
fn skip_body(client: &mut Client, deadline: Instant) -> io::Result<()> {
    let mut nowhere = Vec::new();
    while !client.body_is_done() {
        nowhere.clear();
        client.take_body(&mut nowhere)?;
        if !client.body_is_done() {
            client.read_until(Some(deadline))?;
        }
    }
    Ok(())
}

fn access_log(shared: &Shared, request: &Request, status: u16, bytes: Option<usize>) {
    let settings = &shared.settings;
    if settings.mode == Mode::Classic || request.user_agent.starts_with("kube-probe") {
        return;
    }
    let took: Duration = request.started.elapsed();
    let size = bytes
        .map(|bytes| format!(" - ContentLength: {bytes}B"))
        .unwrap_or_default();
    let id = if settings.log_call_id {
        format!(" [{}]", request.call_id)
    } else {
        String::new()
    };
    let Request { method, target, .. } = request;
    say(&format!(
        "{method} {target} - {status}{size} ({:.4}s){id}",
        took.as_secs_f64()
    ));
}
