//! Images: a root filesystem directory by path, by its name under the image directory, or `/`, the host's own.

use crate::engine::spec::Image;
use crate::error::{Error, Result};
use crate::sys::file;
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// Finds an image. A word with a slash is a path, any other a name under `images`; a name may carry Docker's
/// `:latest`, which changes nothing.
///
/// # Errors
/// Nothing there, no directory, or a name that would leave the image directory.
pub fn find(images: &Path, name: &str) -> Result<Image> {
    let root = if name.contains('/') {
        PathBuf::from(name)
    } else {
        images.join(named(name)?)
    };
    let unusable = |why: &str| {
        Error::new(format_args!(
            "Unable to find image '{name}': {} {why}",
            root.display()
        ))
    };
    let found = file::resolved(&root).map_err(|errno| match errno {
        Errno::NOENT => unusable("does not exist"),
        Errno::ACCESS | Errno::PERM => unusable("may not be read"),
        _ => unusable("cannot be opened"),
    })?;
    if !file::is_directory(&found) {
        return Err(unusable("is no directory"));
    }
    if found.to_str().is_none() {
        return Err(unusable("has a path that is not UTF-8"));
    }
    Ok(Image {
        name: name.to_owned(),
        root: found,
    })
}

fn named(name: &str) -> Result<&str> {
    let name = name.strip_suffix(":latest").unwrap_or(name);
    let plain = !name.is_empty()
        && name != "."
        && name != ".."
        && name.bytes().all(|b| b.is_ascii_graphic());
    if plain {
        Ok(name)
    } else {
        Err(Error::new(format_args!(
            "invalid reference format: image '{name}': a path or a name under the image directory is wanted"
        )))
    }
}
