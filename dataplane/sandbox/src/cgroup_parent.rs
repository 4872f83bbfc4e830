//! The folder that holds the control groups of all sandboxes, in every hierarchy.
//!
//! Found and made once for many launches: each file of a control group that is read costs a system call or three, and
//! which controllers a host has does not change while it runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cgroup::{hierarchies, lists, with_path, write, Controller, Hierarchy};

/// The parent of all groups.
#[derive(Clone, Debug)]
pub struct Parent {
    /// Its name in every hierarchy.
    pub name: String,
    pub(crate) places: Vec<Place>,
    pub(crate) warnings: Vec<String>,
}

/// The parent in one hierarchy.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Its controllers are those that children get.
    pub hierarchy: Hierarchy,
    pub folder: PathBuf,
    /// Whether a new cpuset must be filled by hand.
    pub fills: bool,
}

impl Parent {
    /// Makes it in every hierarchy of this host and hands controllers down to it.
    ///
    /// # Errors
    /// When `/proc` is not mounted or a folder cannot be made.
    pub fn prepare(name: &str) -> io::Result<Self> {
        let mut parent = Self {
            name: name.to_owned(),
            places: Vec::new(),
            warnings: Vec::new(),
        };
        for hierarchy in hierarchies()? {
            parent.join(hierarchy)?;
        }
        Ok(parent)
    }

    fn join(&mut self, mut hierarchy: Hierarchy) -> io::Result<()> {
        let folder = hierarchy.mount.join(&self.name);
        fs::create_dir_all(&folder).map_err(|error| with_path(&folder, &error))?;
        let mut fills = false;
        if hierarchy.v1_options.is_none() {
            delegate(&hierarchy, &folder, &mut self.warnings);
            let given =
                fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap_or_default();
            hierarchy
                .controllers
                .retain(|controller| lists(&given, *controller));
        } else if hierarchy.controllers.contains(&Controller::Cpuset) {
            inherit_cpus(&hierarchy.mount, &folder)?;
            // The kernel then fills children itself (cpuset(7), cgroup.clone_children).
            fills = write(&folder, "cgroup.clone_children", "1").is_err();
        }
        self.places.push(Place {
            hierarchy,
            folder,
            fills,
        });
        Ok(())
    }
}

/// A new cpuset of version 1 is empty and takes no task until it is filled (`cpuset(7)`).
///
/// # Errors
/// The parent's cannot be read, or the kernel refuses it here.
pub(crate) fn inherit_cpus(parent: &Path, folder: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = fs::read_to_string(folder.join(file)).unwrap_or_default();
        if own.trim().is_empty() {
            let value =
                fs::read_to_string(parent.join(file)).map_err(|error| with_path(parent, &error))?;
            write(folder, file, value.trim())?;
        }
    }
    Ok(())
}

/// Version 2 hands controllers down one level at a time. One that it refuses is missed by the limits, which say so.
fn delegate(hierarchy: &Hierarchy, parent: &Path, warnings: &mut Vec<String>) {
    for folder in [hierarchy.mount.as_path(), parent] {
        let given = fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap_or_default();
        for controller in hierarchy
            .controllers
            .iter()
            .filter(|controller| !lists(&given, **controller))
        {
            let switch = format!("+{}", controller.name());
            if let Err(error) = write(folder, "cgroup.subtree_control", &switch) {
                warnings.push(format!(
                    "{error}; delegate the controller to junctiond (systemd: Delegate=yes)"
                ));
            }
        }
    }
}
