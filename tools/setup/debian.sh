#!/bin/bash
# Installs the Debian packages named in the file $1 that are missing. Needs root only where one is missing.
set -euo pipefail

mapfile -t wanted < <(grep -vE '^\s*(#|$)' "$1")
missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done

for tool in cargo go; do
    command -v "$tool" >/dev/null || {
        echo "setup: $tool is not on PATH; install Rust (rustup) and Go, then run make setup again" >&2
        exit 1
    }
done

if [ ${#missing[@]} -eq 0 ]; then
    echo "all ${#wanted[@]} packages are there"
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "setup: missing Debian packages, run as root: apt-get install ${missing[*]}" >&2
    exit 1
fi

echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# A registry that the package starts as a service would hold port 5000; the tests start their own on a free port.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
fi
apt-get install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}"
