//! Who a container's program runs as: `USER[:GROUP]` looked up in the container's own /etc/passwd and /etc/group.
//!
//! As Docker does it (moby/sys user.GetExecUser): a name must be in the file, a number need not be; a GROUP given
//! leaves no others; without one, the groups are those that list the user's name. The files are an image's: untrusted.

use super::Program;
use crate::error::{Error, Result};
use crate::sys::file::rest;
use rustix::fd::AsFd;
use rustix::fs::{FileType, Mode, OFlags};

/// The most of each file that is read, in bytes.
const MOST: usize = 1 << 20;

/// An identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids; the primary one is the first.
    pub groups: Vec<u32>,
    /// Home directory; `/` for a user that is not in the file.
    pub home: String,
}

/// Looks up a program's user and groups in the files of the calling process's root.
pub fn lookup(program: &Program) -> Result<User> {
    let group = file("/etc/group");
    let mut user = resolve(
        program.user.as_deref().unwrap_or(""),
        &file("/etc/passwd"),
        &group,
    )?;
    for name in &program.groups {
        let gid = group_id(name, &group)?;
        if !user.groups.contains(&gid) {
            user.groups.push(gid);
        }
    }
    Ok(user)
}

/// Looks up `USER[:GROUP]` there.
pub fn named(user: &str) -> Result<User> {
    resolve(user, &file("/etc/passwd"), &file("/etc/group"))
}

/// The text of a file, or nothing where it cannot be had or is none (a FIFO would block, a device would not end).
fn file(path: &str) -> String {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let read = rustix::fs::open(path, flags, Mode::empty()).and_then(|file| {
        let mode = rustix::fs::fstat(&file)?.st_mode;
        match FileType::from_raw_mode(mode) {
            FileType::RegularFile => rest(file.as_fd(), MOST),
            _ => Ok(Vec::new()),
        }
    });
    String::from_utf8_lossy(&read.unwrap_or_default()).into_owned()
}

/// Looks up `USER[:GROUP]` in the text of the two files.
fn resolve(user: &str, passwd: &str, group: &str) -> Result<User> {
    let (user_arg, group_arg) = user.split_once(':').unwrap_or((user, ""));
    let uid = number(user_arg)?;
    let mut found = User {
        uid: uid.unwrap_or(0),
        gid: 0,
        groups: Vec::new(),
        home: "/".into(),
    };
    let is_meant = |entry: &PasswdLine| match user_arg {
        "" => entry.uid == 0,
        name => entry.name == name || uid == Some(entry.uid),
    };
    let mut entry = None;
    for line in passwd.lines() {
        entry = passwd_line(line).filter(is_meant);
        if entry.is_some() {
            break;
        }
    }
    match &entry {
        Some(entry) => {
            found.uid = entry.uid;
            found.gid = entry.gid;
            found.home = entry.home.to_owned();
        }
        None if uid.is_none() && !user_arg.is_empty() => {
            return Err(Error::new(format_args!(
                "unable to find user {user_arg}: no matching entries in passwd file"
            )));
        }
        None => {}
    }
    let mut others = Vec::new();
    if group_arg.is_empty() {
        for line in group.lines() {
            if let (Some(user), Some(line)) = (&entry, group_line(line))
                && line.members.split(',').any(|member| member == user.name)
            {
                others.push(line.gid);
            }
        }
    } else {
        found.gid = group_id(group_arg, group)?;
    }
    others.retain(|&gid| gid != found.gid);
    found.groups = vec![found.gid];
    found.groups.append(&mut others);
    Ok(found)
}

fn group_id(arg: &str, group: &str) -> Result<u32> {
    let gid = number(arg)?;
    group
        .lines()
        .filter_map(group_line)
        .find(|line| line.name == arg || gid == Some(line.gid))
        .map(|line| line.gid)
        .or(gid)
        .ok_or_else(|| {
            Error::new(format_args!(
                "unable to find group {arg}: no matching entries in group file"
            ))
        })
}

/// A decimal id; none for a name.
fn number(text: &str) -> Result<Option<u32>> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if id <= i32::MAX as u32 => Ok(Some(id)),
        _ => Err(Error::new(format_args!(
            "uids and gids must be in range 0-2147483647: {text}"
        ))),
    }
}

struct PasswdLine<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// `name:password:uid:gid:gecos:home:shell`, passwd(5).
fn passwd_line(line: &str) -> Option<PasswdLine<'_>> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    let home = fields.nth(1).filter(|home| !home.is_empty());
    Some(PasswdLine {
        name,
        uid,
        gid,
        home: home.unwrap_or("/"),
    })
}

struct GroupLine<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// `name:password:gid:member,member`, group(5).
fn group_line(line: &str) -> Option<GroupLine<'_>> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let gid = fields.nth(1)?.parse().ok()?;
    Some(GroupLine {
        name,
        gid,
        members: fields.next().unwrap_or(""),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\ntorn\nwww:x:33:34:www:/var/www:/bin/false\nbad:x:no:0::/:\n";
    const GROUP: &str = "root:x:0:\nadm:x:4:root,www\nwww:x:34:\naudio:x:29:www\nwwwx:x:50:wwwx\n";

    fn who(user: &str) -> (u32, u32, Vec<u32>, String) {
        let user = resolve(user, PASSWD, GROUP).expect("a user");
        (user.uid, user.gid, user.groups, user.home)
    }

    #[test]
    fn users_and_groups_are_found_as_docker_finds_them() {
        assert_eq!(who(""), (0, 0, vec![0, 4], "/root".into()));
        assert_eq!(who("www"), (33, 34, vec![34, 4, 29], "/var/www".into()));
        assert_eq!(who("33"), (33, 34, vec![34, 4, 29], "/var/www".into()));
        assert_eq!(who("1000"), (1000, 0, vec![0], "/".into()));
        assert_eq!(who("www:audio"), (33, 29, vec![29], "/var/www".into()));
        assert_eq!(who("1000:2000"), (1000, 2000, vec![2000], "/".into()));
        assert_eq!(resolve("", "", "").expect("root").groups, vec![0]);
    }

    #[test]
    fn unknown_names_and_numbers_out_of_range_are_refused_in_dockers_words() {
        let no = |user| resolve(user, PASSWD, GROUP).expect_err("no user");
        assert_eq!(
            no("nosuch").to_string(),
            "unable to find user nosuch: no matching entries in passwd file"
        );
        assert_eq!(
            no("www:nosuch").to_string(),
            "unable to find group nosuch: no matching entries in group file"
        );
        for bad in ["2147483648", "99999999999", "0:4294967295"] {
            let error = no(bad).to_string();
            assert!(
                error.starts_with("uids and gids must be in range 0-2147483647: "),
                "{error}"
            );
        }
    }
}
