//! Who the program runs as: the OCI user string against the guest's own `passwd` and `group`.

use thiserror::Error;

use crate::spec::UID_COUNT;

/// Supplementary groups beyond this are ignored; the kernel's own limit is 65,536.
const GROUPS_MAX: usize = 64;

/// A resolved user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Supplementary groups inside.
    pub groups: Vec<u32>,
    /// Home folder, `/` when the user is not listed.
    pub home: String,
}

/// Why a user string means nobody.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AccountError {
    /// No such line in `/etc/passwd`.
    #[error("unknown user {0:?}: the image's /etc/passwd does not list it; give a number or a listed name")]
    User(String),
    /// No such line in `/etc/group`.
    #[error("unknown group {0:?}: the image's /etc/group does not list it; give a number or a listed name")]
    Group(String),
    /// Outside the range of the sandbox.
    #[error("id {0} is not below {UID_COUNT}, the number of ids that a sandbox has")]
    Range(u32),
}

struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn users(passwd: &str) -> impl Iterator<Item = Passwd<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).unwrap_or("/");
        Some(Passwd {
            name,
            uid,
            gid,
            home,
        })
    })
}

fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or("")))
    })
}

/// Resolves `user`, `uid`, `user:group`, `uid:gid` or the empty string (root), as the OCI image
/// configuration defines `User`.
///
/// # Errors
/// [`AccountError`] for names that are not listed and ids that the sandbox does not own.
pub fn resolve(user: &str, passwd: &str, group: &str) -> Result<Account, AccountError> {
    let (name, group_name) = match user.split_once(':') {
        Some((name, group_name)) => (name, Some(group_name)),
        None => (user, None),
    };
    let number = if name.is_empty() {
        Some(0)
    } else {
        name.parse::<u32>().ok()
    };
    let listed = match number {
        Some(uid) => users(passwd).find(|entry| entry.uid == uid),
        None => users(passwd).find(|entry| entry.name == name),
    };
    let uid = number.or(listed.as_ref().map(|entry| entry.uid));
    let uid = uid.ok_or_else(|| AccountError::User(name.to_owned()))?;
    let gid = match group_name.filter(|text| !text.is_empty()) {
        Some(text) => find_group(text, group)?,
        None => listed.as_ref().map_or(0, |entry| entry.gid),
    };
    if let Some(id) = [uid, gid].into_iter().find(|id| *id >= UID_COUNT) {
        return Err(AccountError::Range(id));
    }
    let groups = match (&listed, group_name) {
        (Some(entry), None) => memberships(entry.name, gid, group),
        _ => vec![gid],
    };
    let home = listed.map_or("/", |entry| entry.home);
    let home = if home.starts_with('/') { home } else { "/" };
    Ok(Account {
        uid,
        gid,
        groups,
        home: home.to_owned(),
    })
}

fn find_group(text: &str, group: &str) -> Result<u32, AccountError> {
    if let Ok(gid) = text.parse() {
        return Ok(gid);
    }
    let found = groups(group).find(|(name, ..)| *name == text);
    found
        .map(|(_, gid, _)| gid)
        .ok_or_else(|| AccountError::Group(text.to_owned()))
}

fn memberships(user: &str, primary: u32, group: &str) -> Vec<u32> {
    let member = |members: &str| members.split(',').any(|member| member == user);
    let others = groups(group).filter(|(_, gid, members)| *gid < UID_COUNT && member(members));
    let mut all = vec![primary];
    for (_, gid, _) in others.take(GROUPS_MAX) {
        if !all.contains(&gid) {
            all.push(gid);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\nbroken\napp:x:100:101::/home/app:/bin/false\nbig:x:70000:1::/:\n";
    const GROUP: &str = "root:x:0:\nstaff:x:50:app,root\napp:x:101:\naudio:x:29:app\n";

    fn ids(user: &str) -> (u32, u32, Vec<u32>) {
        let account = resolve(user, PASSWD, GROUP).expect("resolves");
        (account.uid, account.gid, account.groups)
    }

    #[test]
    fn every_form_of_the_oci_user_string() {
        assert_eq!(ids(""), (0, 0, vec![0, 50]));
        assert_eq!(ids("app"), (100, 101, vec![101, 50, 29]));
        assert_eq!(ids("100"), (100, 101, vec![101, 50, 29]));
        assert_eq!(ids("app:staff"), (100, 50, vec![50]));
        assert_eq!(ids("1234"), (1234, 0, vec![0]));
        assert_eq!(ids("1234:77"), (1234, 77, vec![77]));
    }

    #[test]
    fn home_comes_from_the_list() {
        assert_eq!(
            resolve("app", PASSWD, GROUP).expect("listed").home,
            "/home/app"
        );
        assert_eq!(resolve("4321", PASSWD, GROUP).expect("a number").home, "/");
        assert_eq!(resolve("12", "", "").expect("no files at all").home, "/");
    }

    #[test]
    fn strangers_are_named() {
        assert_eq!(
            resolve("nope", PASSWD, GROUP),
            Err(AccountError::User("nope".into()))
        );
        assert_eq!(
            resolve("app:nope", PASSWD, GROUP),
            Err(AccountError::Group("nope".into()))
        );
        assert_eq!(
            resolve("big", PASSWD, GROUP),
            Err(AccountError::Range(70000))
        );
        assert_eq!(
            resolve("-1", PASSWD, GROUP),
            Err(AccountError::User("-1".into()))
        );
    }
}
