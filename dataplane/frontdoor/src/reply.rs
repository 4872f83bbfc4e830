//! What the front door says itself, in the words of the contract.

use crate::dispatch::Why;
use crate::headers::Reply;
use crate::table::Function;

/// Marks a failure of the platform, for clients that retry.
const INTERNAL: &str = "junctiond";

/// Mark of the watchdog whose limiter and timeouts the front door stands in for.
const LIMITER: &str = "faas-middleware";
const WATCHDOG: &str = "of-watchdog";

fn reply(status: u16, internal: Option<&'static str>, body: impl Into<String>) -> Reply {
    Reply {
        status,
        reason: reason(status),
        internal,
        nosniff: true,
        extra: None,
        body: body.into(),
    }
}

/// Reason phrases of the statuses the front door uses (RFC 9110, section 15; RFC 6585).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

/// A request that is no HTTP, or one that two servers could read differently.
pub fn refused(error: jd_http::HttpError) -> Reply {
    reply(error.status(), None, format!("{error}\n"))
}

/// A path that cannot name a function.
pub fn not_found() -> Reply {
    reply(404, None, "404 page not found\n")
}

/// `segment` names no function; the text is the incumbent's, on which tools rely.
pub fn unknown_function(name: &str, namespace: &str) -> Reply {
    let text = format!(
        "error finding function {name}.{namespace}: server returned non-200 status code (404) for function, {name}, body: "
    );
    Reply {
        nosniff: false,
        ..reply(404, None, text)
    }
}

/// CONNECT and TRACE.
pub fn method_not_allowed() -> Reply {
    Reply {
        extra: Some(("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")),
        ..reply(405, None, "")
    }
}

/// The head or body of a request did not come in time.
pub fn too_slow() -> Reply {
    reply(408, None, "The request did not arrive in time\n")
}

/// The body is longer than the function allows.
pub fn too_large(limit: u64) -> Reply {
    reply(
        413,
        Some(INTERNAL),
        format!("Request body is larger than the limit of {limit} bytes\n"),
    )
}

/// No place in the queue.
pub fn queue_full(function: &Function, why: Why) -> Reply {
    let max = function.settings.replica_inflight_max;
    if max > 0 && why == Why::Busy {
        let text = format!("Concurrent request limit exceeded. Max concurrent requests: {max}");
        return reply(429, Some(LIMITER), text);
    }
    reply(
        429,
        Some(INTERNAL),
        format!(
            "Too many requests wait for {}.{}\n",
            function.name, function.namespace
        ),
    )
}

/// No replica came in time, or none may be started.
pub fn no_replica(name: &str) -> Reply {
    reply(
        503,
        Some(INTERNAL),
        format!("No endpoints available for: {name}.\n"),
    )
}

/// The function went away, or never took the connection.
pub fn function_gone(name: &str) -> Reply {
    reply(
        502,
        Some(INTERNAL),
        format!("Can't reach service for: {name}.\n"),
    )
}

/// The function answered something that is no HTTP.
pub fn function_broke(name: &str, error: jd_http::HttpError) -> Reply {
    reply(
        502,
        Some(INTERNAL),
        format!("Invalid response from: {name}: {error}.\n"),
    )
}

/// The function ran too long.
pub fn exec_timeout(function: &Function) -> Reply {
    reply(
        504,
        Some(if function.settings.watchdog {
            WATCHDOG
        } else {
            INTERNAL
        }),
        "",
    )
}

/// Nobody answers on the provider's socket.
pub fn provider_gone() -> Reply {
    let text =
        "The OpenFaaS provider of this host does not answer; functions are served without it. \
                See \"junctiond logs\" and restart junctiond\n";
    reply(502, Some(INTERNAL), text)
}

/// All connections to the provider are in use.
pub fn provider_busy() -> Reply {
    reply(
        503,
        Some(INTERNAL),
        "Too many requests for the provider at once; try again\n",
    )
}

/// All buffers together hold as much as they may, and this request was among the slowest.
pub fn no_memory() -> Reply {
    Reply {
        extra: Some(("Retry-After", "1")),
        ..reply(
            503,
            Some(INTERNAL),
            "Memory for requests is used up, and this one was among the slowest; try again\n",
        )
    }
}

/// The watchdog's own paths.
pub fn health(available: bool) -> Reply {
    if available {
        reply(200, None, "OK")
    } else {
        reply(503, None, "")
    }
}

/// An empty 200.
pub fn ready() -> Reply {
    reply(200, None, "")
}
