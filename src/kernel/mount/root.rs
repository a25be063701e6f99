//! A container's root: an image under a writable layer, or as it is, and the way into it.

use super::{Attr, Step, put, refused, table};
use crate::error::{Error, Result};
use crate::sys::mount::{self, Value};
use crate::sys::path;
use rustix::fd::AsFd;
use rustix::fs::Mode;
use rustix::io::Errno;
use std::fmt::{self, Display};
use std::path::PathBuf;

/// An image under a writable layer: `STAGE/root`, with what is written going to the tmpfs on STAGE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// The image's directory, which is never written.
    pub image: PathBuf,
    /// A directory with an empty tmpfs on it.
    pub stage: PathBuf,
    /// Whether overlayfs has to keep its marks in `user.` attributes: in a user namespace it may not use its own.
    pub user: bool,
}

impl Overlay {
    fn build(&self) -> Result<(), Errno> {
        let image = path::directory(&self.image)?;
        let stage = path::directory(&self.stage)?;
        for name in ["upper", "work", "root"] {
            rustix::fs::mkdirat(&stage, name, Mode::from_raw_mode(0o755))?;
        }
        // By descriptor: an image's path may be long, and may hold the colons and commas that separate options.
        let lower = mount::of(image.as_fd());
        let upper = format!("{}/upper", mount::of(stage.as_fd()));
        let work = format!("{}/work", mount::of(stage.as_fd()));
        let mut options = vec![
            ("lowerdir", Value::Text(&lower)),
            ("upperdir", Value::Text(&upper)),
            ("workdir", Value::Text(&work)),
        ];
        if self.user {
            options.push(("userxattr", Value::Flag));
        } else {
            // An image's own attributes must not redirect a look-up (overlayfs.rst, "Metadata only copy up").
            options.push(("metacopy", Value::Text("off")));
            options.push(("redirect_dir", Value::Text("nofollow")));
        }
        let place = path::directory(self.stage.join("root"))?;
        let root = mount::filesystem("overlay", options, Attr::MOUNT_ATTR_NODEV)?;
        mount::attach(root, place)
    }
}

impl Step for Overlay {
    fn act(&self) -> Result<()> {
        self.build().map_err(|e| {
            refused(
                &format_args!("overlay the image {}", self.image.display()),
                e,
            )
        })
    }
}

impl Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = self.stage.display();
        let marks = if self.user {
            "userxattr"
        } else {
            "metacopy=off,redirect_dir=nofollow"
        };
        write!(
            f,
            "mkdir {stage}/upper {stage}/work {stage}/root && mount -t overlay -o nodev,lowerdir={},upperdir={stage}/upper,workdir={stage}/work,{marks} overlay {stage}/root",
            self.image.display()
        )
    }
}

/// An image as it is, read-only: `STAGE/root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOnlyImage {
    /// The image's directory.
    pub image: PathBuf,
    /// A directory with a tmpfs on it.
    pub stage: PathBuf,
}

impl Step for ReadOnlyImage {
    fn act(&self) -> Result<()> {
        let attr = Attr::MOUNT_ATTR_RDONLY | Attr::MOUNT_ATTR_NODEV;
        let build = || {
            let image = path::directory(&self.image)?;
            let stage = path::directory(&self.stage)?;
            match rustix::fs::mkdirat(&stage, "root", Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            let place = path::directory(self.stage.join("root"))?;
            // In a user namespace a directory with mounts below it can only be had with them (EINVAL, mount(2)).
            let copy = mount::copy(&image, false).or_else(|_| mount::copy(&image, true))?;
            put(copy, place, attr, Attr::empty())
        };
        build().map_err(|e| refused(&format_args!("bind the image {}", self.image.display()), e))
    }
}

impl Display for ReadOnlyImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (image, stage) = (self.image.display(), self.stage.display());
        write!(
            f,
            "mkdir -p {stage}/root && mount -o bind,ro,nodev {image} {stage}/root"
        )
    }
}

/// Makes a mount the root, and lets go of the host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pivot {
    /// The new root.
    pub root: PathBuf,
}

impl Step for Pivot {
    fn act(&self) -> Result<()> {
        let pivot = || {
            let root = path::directory(&self.root)?;
            match mount::pivot(&root) {
                Err(Errno::INVAL) => mount::switch(root, &table::beneath_root(&table::read()?)),
                other => other,
            }
        };
        pivot().map_err(|e| Error::os(format_args!("make {} the root", self.root.display()), e))
    }
}

impl Display for Pivot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cd {} && pivot_root . . && umount -l .",
            self.root.display()
        )
    }
}
