//! Which way a request target goes.

/// Namespace of a function whose name does not say another.
pub const DEFAULT_NAMESPACE: &str = "openfaas-fn";

/// Destination of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'t> {
    /// `/function/SEGMENT…`; the rest is what follows the segment, raw, and may be empty.
    Function { segment: &'t str, rest: &'t str },
    /// `/function/` with what can be no name.
    NotFound,
    /// Every other path.
    Provider,
}

/// Routes a raw target: nothing is decoded or cleaned, so a function sees what its client sent.
pub fn route(target: &str) -> Route<'_> {
    let Some(after) = target.strip_prefix("/function") else {
        return Route::Provider;
    };
    match after.as_bytes().first() {
        Some(b'/') => {}
        None | Some(b'?') => return Route::NotFound,
        Some(_) => return Route::Provider,
    }
    let name = &after[1..];
    // Names are ASCII, so whatever ends one is where a character begins.
    let end = name.bytes().position(|byte| !is_name_byte(byte));
    let (segment, rest) = name.split_at(end.unwrap_or(name.len()));
    match rest.as_bytes().first() {
        None | Some(b'/' | b'?') if !segment.is_empty() => Route::Function { segment, rest },
        _ => Route::NotFound,
    }
}

/// Bytes of function names and namespaces (contract, section 0).
pub const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Splits `name.namespace` at the last dot.
pub fn split_name(segment: &str) -> (&str, &str) {
    segment
        .rsplit_once('.')
        .unwrap_or((segment, DEFAULT_NAMESPACE))
}

/// Path of a raw rest, without its query.
pub fn path_of(rest: &str) -> &str {
    rest.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_go_their_way() {
        let function = |segment, rest| Route::Function { segment, rest };
        for (target, expected) in [
            ("/function/aes", function("aes", "")),
            ("/function/aes/", function("aes", "/")),
            (
                "/function/aes.ns/a%2Fb/../c?q=%20",
                function("aes.ns", "/a%2Fb/../c?q=%20"),
            ),
            ("/function/aes?q=/x", function("aes", "?q=/x")),
            ("/function/A_b-c.9", function("A_b-c.9", "")),
            ("/function/", Route::NotFound),
            ("/function", Route::NotFound),
            ("/function?x", Route::NotFound),
            ("/function//x", Route::NotFound),
            ("/function/a%65s", Route::NotFound),
            ("/function/a b", Route::NotFound),
            ("/functions", Route::Provider),
            ("/system/functions", Route::Provider),
            ("/async-function/aes", Route::Provider),
            ("*", Route::Provider),
            ("/", Route::Provider),
        ] {
            assert_eq!(route(target), expected, "{target}");
        }
    }

    #[test]
    fn names_are_split_at_the_last_dot() {
        assert_eq!(split_name("a"), ("a", "openfaas-fn"));
        assert_eq!(split_name("a.b"), ("a", "b"));
        assert_eq!(split_name("a.b.c"), ("a.b", "c"));
    }
}
