//! Root filesystems made from Debian's static busybox.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// Where the box keeps its images: NETCELL_IMAGES of every netcell command of a test.
pub const IMAGES: &str = "/var/lib/netcell/images";

/// The image that the guide's lines name.
pub const ALPINE: &str = "/var/lib/netcell/images/alpine";

/// A root filesystem without /proc, /sys and /dev, so that mount points have to be made where the image is not written.
pub fn make_alpine(root: &str) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(Path::new(root).parent().unwrap_or(Path::new("/")))?;
    for directory in ["bin", "etc", "root", "home/user", "var", "www"] {
        fs::create_dir_all(format!("{root}/{directory}"))?;
    }
    fs::create_dir(format!("{root}/tmp"))?;
    fs::set_permissions(format!("{root}/tmp"), Permissions::from_mode(0o1777))?;
    // The user of the tests and everybody else has to reach the files whatever the umask is.
    fs::set_permissions(root, Permissions::from_mode(0o755))?;
    let busybox = busybox();
    fs::copy(&busybox, format!("{root}/bin/busybox"))?;
    for applet in applets(&busybox)? {
        // The list names busybox itself as well.
        if applet != "busybox" {
            symlink("busybox", format!("{root}/bin/{applet}"))?;
        }
    }
    fs::write(
        format!("{root}/etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
    )?;
    fs::write(
        format!("{root}/etc/group"),
        "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n",
    )?;
    fs::write(format!("{root}/etc/image"), "of the image\n")?;
    fs::write(format!("{root}/www/index.html"), "hello\n")
}

/// A second image in the image directory; the place of its root.
pub fn make(name: &str) -> String {
    let root = format!("{IMAGES}/{name}");
    make_alpine(&root).unwrap_or_else(|error| panic!("cannot make the image {name}: {error}"));
    root
}

fn busybox() -> String {
    let places = ["/bin/busybox", "/usr/bin/busybox"];
    let found = places.into_iter().find(|place| Path::new(place).exists());
    found.expect("busybox-static is not installed").to_owned()
}

fn applets(busybox: &str) -> io::Result<Vec<String>> {
    let list = Command::new(busybox).arg("--list").output()?;
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    Ok(list.lines().map(str::to_owned).collect())
}
