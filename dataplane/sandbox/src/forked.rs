//! From the fork of a launcher to a keeper: what it lets go of, what it takes along.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{getppid, set_parent_process_death_signal, setsid, umask, Pid, Signal};
use rustix::stdio::dup2_stdin;

use crate::berth::{self, Berth};
use crate::cgroup_parent::Parent;
use crate::keeper::{self, Outcome, Support};
use crate::spec::Spec;
use crate::sys::clone::exit_now;
use crate::sys::namespace::keep_only;
use crate::sys::title::set_title;

/// Descriptors that [`keep_only`] gives to a keeper: leash and two namespaces.
pub(crate) const HANDED_OVER: usize = 3;

/// The life of a keeper.
pub(crate) fn keep(
    spec: Spec,
    parent: Option<Parent>,
    berth: Berth,
    leash: OwnedFd,
    launcher: Pid,
) -> Outcome {
    let prepared = || -> io::Result<Support> {
        // A keeper that nobody could find yet goes with its launcher; `keeper::run` ends that.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid() != Some(launcher) {
            exit_now(1);
        }
        setsid()?;
        umask(rustix::fs::Mode::from_raw_mode(0o077));
        dup2_stdin(File::open("/dev/null")?)?;
        let address = berth.address;
        let kept = keep_only(vec![leash, berth.guest, berth.sockets])?;
        let Ok([leash, guest, sockets]) = <[OwnedFd; HANDED_OVER]>::try_from(kept) else {
            return Err(io::Error::other("descriptors were lost"));
        };
        berth::enter(sockets.as_fd())?;
        Ok(Support {
            parent,
            berth: Some(Berth {
                guest,
                sockets,
                address,
            }),
            leash: Some(leash),
        })
    };
    let _ = set_title(&format!("jsandbox keep {}", spec.run_dir.display()));
    let id = spec.id.clone();
    let outcome = prepared().and_then(|support| keeper::run(spec, support));
    outcome.unwrap_or_else(|error| {
        eprintln!("jsandbox: {id}: {error}");
        Outcome::Failed
    })
}
