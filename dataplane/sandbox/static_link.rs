//! Build script of the two executables that must be static: the keeper (no relocations, so hundreds of
//! replicas share its pages) and the guest's init (it runs on roots that have no loader).
//!
//! `-C target-feature=+crt-static` cannot be given to one package of a workspace, and given to all it
//! forbids procedural macros. So the linker is told here: small linker scripts stand in for the shared
//! objects that rustc names, and point at the archives.

use std::path::PathBuf;

const ARCHIVES: [(&str, &str); 7] = [
    ("gcc_s", "-lgcc_eh"),
    ("c", "-l:libc.a"),
    ("m", "-l:libm.a"),
    ("pthread", "-l:libpthread.a"),
    ("dl", "-l:libdl.a"),
    ("rt", "-l:librt.a"),
    ("util", "-l:libutil.a"),
];

fn main() {
    println!("cargo:rerun-if-changed=../sandbox/static_link.rs");
    if std::env::var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("gnu") {
        return;
    }
    // Already asked for by the caller's flags: the linker knows.
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    if features.split(',').any(|feature| feature == "crt-static") {
        return;
    }
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for (name, archive) in ARCHIVES {
        let script = folder.join(format!("lib{name}.so"));
        std::fs::write(script, format!("INPUT({archive})\n")).expect("OUT_DIR is writable");
    }
    let search = format!("-L{}", folder.display());
    let group = [
        "-Wl,--start-group",
        "-l:libc.a",
        "-lgcc_eh",
        "-lgcc",
        "-Wl,--end-group",
    ];
    for argument in [search.as_str(), "-static", "-no-pie"]
        .into_iter()
        .chain(group)
    {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
