#!/bin/bash
# Release build of the data plane. The keeper and the guest's init are linked statically: they run inside the
# function's own root, where no C library of the host exists.
set -euo pipefail
cd "$(dirname "$0")/../../dataplane"

triple=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}
cargo build --release --workspace --exclude jd-sandbox --exclude jd-guestinit
# A target triple keeps the flag away from build scripts and procedural macros, which cannot be static.
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
    cargo build --release --target "$triple" -p jd-sandbox -p jd-guestinit
install -m 0755 "$target/$triple/release/jsandbox" "$target/$triple/release/jinit" "$target/release/"
