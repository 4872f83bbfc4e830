//! `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of the guest.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{chown, OpenOptionsExt};
use std::path::Path;

use crate::launch_error::{LaunchError, Step};
use crate::rootfs::folder;
use crate::spec::{Network, Spec};

/// Text of `/etc/hosts`.
#[must_use]
pub fn hosts(hostname: &str, network: &Network) -> String {
    let mut text =
        String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    let _ = writeln!(text, "{}\t{hostname}", network.address);
    for (address, name) in &network.hosts {
        let _ = writeln!(text, "{address}\t{name}");
    }
    text
}

/// Text of `/etc/resolv.conf`.
#[must_use]
pub fn resolv_conf(network: &Network) -> String {
    format!(
        "nameserver {}\noptions timeout:2 attempts:2\n",
        network.nameserver
    )
}

/// Writes all three, in the entered root. A link or special file of the image in their place is replaced, so that
/// nothing is written through it.
///
/// # Errors
/// [`LaunchError`] names the file.
pub fn write(spec: &Spec) -> Result<(), LaunchError> {
    let owner = spec.uid_base;
    folder(Path::new("/etc"), owner)?;
    replace("/etc/hosts", &hosts(&spec.hostname, &spec.network), owner)?;
    replace("/etc/hostname", &format!("{}\n", spec.hostname), owner)?;
    replace("/etc/resolv.conf", &resolv_conf(&spec.network), owner)
}

fn replace(path: &str, text: &str, owner: u32) -> Result<(), LaunchError> {
    let step = || format!("writing {path} in the image's root");
    if fs::symlink_metadata(path).is_ok() {
        fs::remove_file(path).step(step)?;
    }
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
        .step(step)?;
    file.write_all(text.as_bytes()).step(step)?;
    chown(path, Some(owner), Some(owner)).step(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_hold_what_the_specification_says() {
        let spec = Spec::parse(crate::spec::tests::EXAMPLE.as_bytes()).expect("valid");
        let text = hosts(&spec.hostname, &spec.network);
        assert!(text.contains("127.0.0.1\tlocalhost\n"));
        assert!(text.contains("10.62.0.5\taes\n"));
        assert!(text.contains("10.62.0.1\tgateway\n"));
        assert!(resolv_conf(&spec.network).starts_with("nameserver 10.62.0.1\n"));
    }
}
