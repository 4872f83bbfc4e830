//! The sandbox specification (`docs/protocols.md`, section 1): what junctiond asks for, checked.

use std::net::Ipv4Addr;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

/// Version of the specification; another one is refused.
pub const PROTOCOL: u32 = 1;

/// Longest specification file, in bytes.
pub const SPEC_BYTES_MAX: u64 = 4 << 20;

/// Number of user and group ids that a sandbox owns from `uid_base` on.
pub const UID_COUNT: u32 = 65_536;

/// Overlayfs refuses more lower directories than this (`fs/overlayfs/params.h`, `OVL_MAX_STACK`).
const LAYERS_MAX: usize = 500;

/// Cores that a mask of this program holds (`CPU_SET(3)`).
const CORES_MAX: usize = rustix::thread::CpuSet::MAX_CPU;

/// Longest name of a sandbox: it becomes a cgroup directory.
const ID_BYTES_MAX: usize = 200;

/// Why a specification is refused.
#[derive(Debug, Error)]
pub enum SpecError {
    /// It is not the JSON that section 1 describes.
    #[error("specification is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// It parses, but a value is out of range.
    #[error("specification: {key}: {problem}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// A whole specification.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Must equal [`PROTOCOL`].
    pub protocol: u32,
    /// Name of the sandbox, unique on the host.
    pub id: String,
    /// Folder of the state file.
    pub run_dir: PathBuf,
    /// Where jnetd listens for keepers.
    pub attach_socket: PathBuf,
    /// Root file system.
    pub rootfs: Rootfs,
    /// What to run.
    pub process: Process,
    /// Read-only binds.
    #[serde(default)]
    pub binds: Vec<Bind>,
    /// Host name inside.
    pub hostname: String,
    /// Addresses inside.
    pub network: Network,
    /// Files at `/var/openfaas/secrets`.
    #[serde(default)]
    pub secrets: Vec<Secret>,
    /// First host id of the sandbox's own range of [`UID_COUNT`] ids.
    pub uid_base: u32,
    /// Resource limits.
    pub limits: Limits,
    /// Cores of the program when it starts; empty: all that the keeper may use. The host may choose others later.
    #[serde(default)]
    pub cores: Vec<usize>,
    /// Time between SIGTERM and SIGKILL, in milliseconds.
    pub grace_ms: u64,
    /// Where output goes.
    pub log: Log,
    /// Folder of all sandboxes in every cgroup hierarchy.
    pub cgroup_parent: String,
    /// Start from a snapshot, or take one.
    #[serde(default)]
    pub snapshot: Option<crate::snapshot::Wish>,
}

/// Layers and the writable part.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rootfs {
    /// Unpacked layers, top first; shared read-only with other sandboxes.
    pub layers: Vec<PathBuf>,
    /// Whether the guest may write to its root.
    #[serde(default)]
    pub read_only: bool,
    /// Size limit of what the guest writes to its root, in MiB.
    pub writable_mib: u32,
    /// Size limit of `/tmp`, in MiB.
    pub tmp_mib: u32,
}

/// The program.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Program and arguments; the program is looked up on the guest's `PATH`.
    pub argv: Vec<String>,
    /// `NAME=value` pairs.
    #[serde(default)]
    pub env: Vec<String>,
    /// Working folder.
    #[serde(default = "root_folder")]
    pub cwd: String,
    /// OCI user string; empty means root.
    #[serde(default)]
    pub user: String,
}

fn root_folder() -> String {
    "/".to_owned()
}

/// One read-only bind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bind {
    /// File or folder of the host.
    pub source: PathBuf,
    /// Absolute path inside.
    pub target: PathBuf,
}

/// Names and addresses inside.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Address of the function.
    pub address: Ipv4Addr,
    /// Address of the gateway.
    pub gateway: Ipv4Addr,
    /// Address of the resolver.
    pub nameserver: Ipv4Addr,
    /// Further lines of `/etc/hosts`: address, name.
    #[serde(default)]
    pub hosts: Vec<(Ipv4Addr, String)>,
}

/// One secret file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// File name inside.
    pub name: String,
    /// File of the host.
    pub source: PathBuf,
}

/// Limits; `None` is no limit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory, page cache of the sandbox's tmpfs included, in bytes.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a core.
    pub cpu_millicores: Option<u32>,
    /// Most processes and threads.
    pub pids_max: u32,
    /// Most open descriptors of a process.
    pub nofile_max: u64,
}

/// Log file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The file; its predecessor is `PATH.1`.
    pub path: PathBuf,
    /// Most bytes of both together.
    pub bytes_max: u64,
}

impl Spec {
    /// Parses and checks a specification.
    ///
    /// # Errors
    /// [`SpecError`] names the key and what would be right.
    pub fn parse(text: &[u8]) -> Result<Self, SpecError> {
        serde_json::from_slice::<Self>(text)?.checked()
    }

    /// The specification itself, if every value is in range.
    ///
    /// # Errors
    /// [`SpecError::Value`] names the key and what would be right.
    pub fn checked(self) -> Result<Self, SpecError> {
        self.check()?;
        Ok(self)
    }

    fn check(&self) -> Result<(), SpecError> {
        let fail = |key, problem: String| Err(SpecError::Value { key, problem });
        if self.protocol != PROTOCOL {
            return fail(
                "protocol",
                format!("is {}, this jsandbox speaks {PROTOCOL}", self.protocol),
            );
        }
        if !is_name(&self.id) || self.id.len() > ID_BYTES_MAX {
            return fail(
                "id",
                format!("must be 1 to {ID_BYTES_MAX} of a-z A-Z 0-9 . _ -"),
            );
        }
        if !is_name(&self.cgroup_parent) {
            return fail(
                "cgroup_parent",
                "must be one name of a-z A-Z 0-9 . _ -".to_owned(),
            );
        }
        if self.rootfs.layers.is_empty() || self.rootfs.layers.len() > LAYERS_MAX {
            return fail(
                "rootfs.layers",
                format!("must name 1 to {LAYERS_MAX} folders"),
            );
        }
        if self.rootfs.writable_mib == 0 || self.rootfs.tmp_mib == 0 {
            return fail(
                "rootfs",
                "writable_mib and tmp_mib must be at least 1".to_owned(),
            );
        }
        if self.hostname.is_empty()
            || self.hostname.len() > 64
            || self.hostname.contains(char::is_whitespace)
        {
            return fail(
                "hostname",
                "must be 1 to 64 bytes without blanks".to_owned(),
            );
        }
        if self.uid_base < UID_COUNT || self.uid_base.checked_add(UID_COUNT).is_none() {
            return fail(
                "uid_base",
                format!("must lie between {UID_COUNT} and {}", u32::MAX - UID_COUNT),
            );
        }
        if self.limits.pids_max == 0 || self.limits.nofile_max < 1024 {
            return fail(
                "limits",
                "pids_max must be at least 1, nofile_max at least 1024".to_owned(),
            );
        }
        if self.cores.iter().any(|&core| core >= CORES_MAX) {
            return fail("cores", format!("must be numbers below {CORES_MAX}"));
        }
        if self.limits.cpu_millicores == Some(0) || self.limits.memory_bytes == Some(0) {
            return fail(
                "limits",
                "0 is not a limit; leave it null for none".to_owned(),
            );
        }
        self.check_process()?;
        self.check_paths()
    }

    fn check_process(&self) -> Result<(), SpecError> {
        let process = &self.process;
        let problem = if process.argv.first().is_none_or(String::is_empty) {
            "argv must name a program"
        } else if process
            .argv
            .iter()
            .chain(&process.env)
            .any(|text| text.contains('\0'))
        {
            "argv and env must not hold NUL bytes"
        } else if process
            .env
            .iter()
            .any(|pair| pair.find('=').is_none_or(|at| at == 0))
        {
            "env must hold NAME=value pairs"
        } else if !process.cwd.starts_with('/') || process.cwd.contains('\0') {
            "cwd must be an absolute path"
        } else {
            return Ok(());
        };
        Err(SpecError::Value {
            key: "process",
            problem: problem.to_owned(),
        })
    }

    fn check_paths(&self) -> Result<(), SpecError> {
        let host = [&self.run_dir, &self.attach_socket, &self.log.path];
        let sources = self.binds.iter().map(|bind| &bind.source);
        let secrets = self.secrets.iter().map(|secret| &secret.source);
        let all = host
            .into_iter()
            .chain(&self.rootfs.layers)
            .chain(sources)
            .chain(secrets);
        if let Some(path) = all.into_iter().find(|path| !path.is_absolute()) {
            let problem = format!("{} must be absolute", path.display());
            return Err(SpecError::Value {
                key: "paths",
                problem,
            });
        }
        if let Some(bind) = self.binds.iter().find(|bind| !is_plain(&bind.target)) {
            let problem = format!(
                "target {} must be absolute, without '..'",
                bind.target.display()
            );
            return Err(SpecError::Value {
                key: "binds",
                problem,
            });
        }
        if let Some(secret) = self.secrets.iter().find(|secret| !is_name(&secret.name)) {
            let problem = format!(
                "{:?} must be one file name of a-z A-Z 0-9 . _ -",
                secret.name
            );
            return Err(SpecError::Value {
                key: "secrets",
                problem,
            });
        }
        if self.network.hosts.iter().any(|(_, name)| !is_name(name)) {
            let problem = "names must be of a-z A-Z 0-9 . _ -".to_owned();
            return Err(SpecError::Value {
                key: "network.hosts",
                problem,
            });
        }
        Ok(())
    }
}

/// One path component that cannot climb, hide or break a line.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !text.is_empty() && text.len() <= 253 && !text.starts_with('.') && text.bytes().all(allowed)
}

fn is_plain(path: &Path) -> bool {
    let plain = |part: Component| matches!(part, Component::RootDir | Component::Normal(_));
    path.is_absolute() && path.components().all(plain) && path != Path::new("/")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const EXAMPLE: &str = r#"{
      "protocol": 1, "id": "aes.openfaas-fn.3f9c2a", "run_dir": "/run/j/sandboxes/x",
      "attach_socket": "/run/j/attach.sock",
      "rootfs": {"layers": ["/var/lib/j/layers/a/diff"], "read_only": false, "writable_mib": 512, "tmp_mib": 64},
      "process": {"argv": ["/handler"], "env": ["PATH=/usr/bin"], "cwd": "/", "user": "app:staff"},
      "binds": [{"source": "/usr/lib/junctiond/jinit", "target": "/.junction/jinit"}],
      "hostname": "aes",
      "network": {"address": "10.62.0.5", "gateway": "10.62.0.1", "nameserver": "10.62.0.1", "hosts": [["10.62.0.1", "gateway"]]},
      "secrets": [{"name": "api-key", "source": "/var/lib/j/function-secrets/openfaas-fn/api-key"}],
      "uid_base": 1000000,
      "limits": {"memory_bytes": null, "cpu_millicores": null, "pids_max": 1024, "nofile_max": 65536},
      "grace_ms": 30000, "log": {"path": "/var/lib/j/logs/x.log", "bytes_max": 8388608},
      "cgroup_parent": "junctiond"}"#;

    fn with(from: &str, to: &str) -> Result<Spec, SpecError> {
        let text = EXAMPLE.replace(from, to);
        assert_ne!(text, EXAMPLE, "{from} is not in the example");
        Spec::parse(text.as_bytes())
    }

    #[test]
    fn the_documented_example_is_accepted() {
        let spec = Spec::parse(EXAMPLE.as_bytes()).expect("valid");
        assert_eq!(spec.network.hosts[0].1, "gateway");
        assert_eq!(spec.limits.memory_bytes, None);
    }

    #[test]
    fn names_that_could_climb_out_of_a_folder_are_refused() {
        for id in ["..", ".hidden", "a/b", "", "a b", "a\\nb"] {
            assert!(with("aes.openfaas-fn.3f9c2a", id).is_err(), "{id:?}");
        }
        assert!(with("\"api-key\"", "\"../x\"").is_err());
        assert!(with("/.junction/jinit", "/a/../../etc").is_err());
        assert!(with(
            "\"cgroup_parent\": \"junctiond\"",
            "\"cgroup_parent\": \"a/b\""
        )
        .is_err());
    }

    #[test]
    fn unknown_keys_and_versions_are_refused() {
        assert!(with("\"hostname\"", "\"privileged\": true, \"hostname\"").is_err());
        assert!(with("\"protocol\": 1", "\"protocol\": 2").is_err());
    }

    #[test]
    fn ids_of_the_host_are_never_given_away() {
        assert!(with("1000000", "0").is_err());
        assert!(with("1000000", "65535").is_err());
        assert!(with("1000000", "4294967295").is_err());
    }

    #[test]
    fn limits_of_zero_are_refused() {
        assert!(with("\"memory_bytes\": null", "\"memory_bytes\": 0").is_err());
        assert!(with("\"pids_max\": 1024", "\"pids_max\": 0").is_err());
        assert!(with("65536", "512").is_err());
    }

    #[test]
    fn cores_that_no_mask_holds_are_refused() {
        let some = with("\"hostname\"", "\"cores\": [0, 3], \"hostname\"");
        assert_eq!(some.expect("valid").cores, [0, 3]);
        assert!(with("\"hostname\"", "\"cores\": [1024], \"hostname\"").is_err());
    }
}
