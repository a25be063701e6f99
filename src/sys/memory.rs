//! What memory a process holds.

/// The program's own pages that are never written: its code and constants.
///
/// They are the file's, so a process that is going to sleep for long can let go of them: what is used again comes back
/// from the page cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramPages {
    start: usize,
    len: usize,
}

impl ProgramPages {
    /// Finds them in /proc/self/maps; none where that cannot be read.
    pub fn find() -> Option<Self> {
        let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
        Self::parse(&maps, Self::find as *const () as usize)
    }

    /// The mapping of code that an address lies in, and the one of constants before it, which begins with the file's
    /// header. Not the read-only one behind it: that was written at the start, by relocation (proc_pid_maps(5)).
    fn parse(maps: &str, address: usize) -> Option<Self> {
        let mut constants = None;
        for line in maps.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (start, end) = fields.next()?.split_once('-')?;
            let start = usize::from_str_radix(start, 16).ok()?;
            let end = usize::from_str_radix(end, 16).ok()?;
            let (perms, offset) = (fields.next()?, fields.next()?);
            if perms == "r-xp" && (start..end).contains(&address) {
                let start = constants
                    .filter(|&(_, e)| e == start)
                    .map_or(start, |(s, _)| s);
                let len = end - start;
                return Some(ProgramPages { start, len });
            }
            let header = perms == "r--p" && usize::from_str_radix(offset, 16) == Ok(0);
            constants = header.then_some((start, end));
        }
        None
    }

    /// Lets go of them. See madvise(2), MADV_DONTNEED.
    pub fn let_go(self) {
        // SAFETY: private mappings of a file that are not written (`r-xp`, and `r--p` from the file's start): a page
        // that is touched again is read from the file.
        unsafe {
            libc::madvise(
                self.start as *mut libc::c_void,
                self.len,
                libc::MADV_DONTNEED,
            )
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_constants_are_found_among_the_mappings_and_come_back() {
        let maps = "55550000-55556000 r--p 00000000 fe:00 42  /bin/x\n\
                    55556000-55559000 r-xp 00006000 fe:00 42  /bin/x\n\
                    55559000-5555a000 r--p 00009000 fe:00 42  /bin/x\n\
                    7ffe0000-7ffe1000 r-xp 00000000 00:00 0   [vdso]\n";
        let found = |address| ProgramPages::parse(maps, address).map(|p| (p.start, p.len));
        assert_eq!(found(0x5555_7123), Some((0x5555_0000, 0x9000)));
        assert_eq!(found(0x7ffe_0000), Some((0x7ffe_0000, 0x1000)));
        assert_eq!(found(0x5555_9000), None);
        ProgramPages::find().expect("this program").let_go();
        assert_eq!(found(0), None);
    }
}
