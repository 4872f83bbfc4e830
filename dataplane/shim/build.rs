//! Links the library without any other: whatever it calls, the program that it is loaded into has already.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_FREESTANDING").is_none() {
        return;
    }
    for argument in [
        "-nostdlib",
        "-nostartfiles",
        "-Wl,-soname,libjshim.so",
        "-Wl,-z,now",
        "-Wl,-z,relro",
        "-Wl,--gc-sections",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
}
