//! The preloaded library and the C programs, built once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

fn target() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("shim")
}

/// Builds `libjshim.so` with these features, in a folder of its own: the features differ from the workspace's.
fn build(features: &str) -> PathBuf {
    let folder = target().join(features.replace(',', "-"));
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--quiet",
            "-p",
            "jd-shim",
            "--features",
            features,
            "--target-dir",
        ])
        .arg(&folder)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("CARGO_TARGET_DIR")
        .status()
        .expect("cargo runs");
    assert!(
        status.success(),
        "building the shim with features {features}"
    );
    folder.join("release/libjshim.so")
}

/// The library as it is shipped.
pub fn shipped() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build("freestanding"))
}

/// The library that asks the tests' own host.
pub fn for_tests() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build("test-host"))
}

/// A program of `tests/guests`, built by a compiler; `None` where that compiler is not installed.
pub fn program(compiler: &str, name: &str) -> Option<PathBuf> {
    if Command::new(compiler).arg("--version").output().is_err() {
        return None;
    }
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _held = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = target();
    std::fs::create_dir_all(&folder).expect("a folder for programs");
    // Tests run at the same time, in several processes: each builds its own copy.
    let path = folder.join(format!("{name}-{compiler}-{}", std::process::id()));
    if !path.exists() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/guests/{name}.c"));
        let status = Command::new(compiler)
            .args([
                "-O2",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-D_GNU_SOURCE",
                "-D_FORTIFY_SOURCE=2",
                "-pthread",
                "-o",
            ])
            .arg(&path)
            .arg(source)
            .status()
            .expect("the compiler runs");
        assert!(status.success(), "building {name} with {compiler}");
    }
    Some(path)
}
