//! Where a program may be, as `execvp(3)` looks for it.

/// Used when the guest has no `PATH` (as Docker does).
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Paths to try in order. A name with a slash is tried as it is; an empty entry of `PATH` is the working folder.
#[must_use]
pub fn candidates(program: &str, env: &[String]) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    let path = env
        .iter()
        .find_map(|pair| pair.strip_prefix("PATH="))
        .unwrap_or(PATH_DEFAULT);
    let place = |folder: &str| match folder {
        "" => program.to_owned(),
        _ => format!("{}/{program}", folder.trim_end_matches('/')),
    };
    path.split(':').map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_path(path: &str) -> Vec<String> {
        candidates("sh", &["A=1".to_owned(), format!("PATH={path}")])
    }

    #[test]
    fn path_is_walked_in_order() {
        assert_eq!(with_path("/usr/bin:/bin/"), ["/usr/bin/sh", "/bin/sh"]);
        assert_eq!(with_path("/a::/b"), ["/a/sh", "sh", "/b/sh"]);
        assert_eq!(with_path("/"), ["/sh"]);
    }

    #[test]
    fn a_slash_means_exactly_that_file() {
        assert_eq!(candidates("./fwatchdog", &[]), ["./fwatchdog"]);
    }

    #[test]
    fn without_path_the_usual_places() {
        assert!(candidates("sh", &[]).contains(&"/bin/sh".to_owned()));
    }
}
