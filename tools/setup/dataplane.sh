#!/bin/bash
# Release build of the data plane. The keeper and the guest's init come out static by their own build scripts
# (dataplane/sandbox/static_link.rs): they run inside the function's root, where no C library of the host exists.
set -euo pipefail
cd "$(dirname "$0")/../../dataplane"
cargo build --release --workspace
# The preloaded library comes last and alone: it must hold no std, which its neighbours' features would bring in.
cargo build --release -p jd-shim --features freestanding
# So does what is grafted into static Go programs, which is linked at addresses of its own.
cargo build --release -p jd-goshim --features freestanding
