//! The kernel's release, for the few features that cannot be asked for.

/// Whether the running kernel is of this version or newer (uname(2)).
pub fn at_least(major: u32, minor: u32) -> bool {
    let name = rustix::system::uname();
    name.release()
        .to_str()
        .is_ok_and(|release| parse(release) >= (major, minor))
}

/// The running kernel's release.
pub fn name() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

fn parse(release: &str) -> (u32, u32) {
    let mut parts = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #[test]
    fn releases_are_read_as_distributions_write_them() {
        assert_eq!(super::parse("6.1.0-18-arm64"), (6, 1));
        assert_eq!(super::parse("5.10"), (5, 10));
        assert_eq!(super::parse("7.3-rc1"), (7, 3));
        assert_eq!(super::parse("odd"), (0, 0));
    }
}
