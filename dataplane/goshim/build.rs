//! Links a static image at fixed addresses: it is grafted into programs, not run.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=layout.ld");
    if std::env::var_os("CARGO_FEATURE_FREESTANDING").is_none() {
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/layout.ld");
    for argument in [
        "-nostdlib",
        "-nostartfiles",
        "-static",
        "-no-pie",
        "-Wl,--gc-sections",
        "-Wl,--build-id=none",
        "-Wl,-z,norelro",
        &format!("-Wl,-T,{script}"),
    ] {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
