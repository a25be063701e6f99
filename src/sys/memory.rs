//! What memory a process holds, and how a process that sleeps for long lets go of what it does not need meanwhile.

use rustix::mm::{Advice, madvise};
use std::ffi::c_void;
use std::ops::Range;

/// Bytes of code that stay at each address that is kept: the function there, and what it calls inline.
const FUNCTION: usize = 16 << 10;
/// Bytes of stack that stay below the caller's frame.
const FRAMES: usize = 16 << 10;

/// Bytes of the first stack that stay below the environment's pointers: those of the arguments.
const ARGUMENTS: usize = 4 << 10;

/// The program's own pages that are never written, its code and constants, and its stacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slack {
    code: Range<usize>,
    constants: Range<usize>,
    /// The stack that the process runs on.
    stack: Range<usize>,
    /// The frames of the process that it was forked from ([`fork_apart`](crate::sys::process::fork_apart)).
    abandoned: Range<usize>,
    page: usize,
}

impl Slack {
    /// Finds them in /proc/self/maps; none where that cannot be read.
    pub fn find() -> Option<Self> {
        let maps = super::file::text("/proc/self/maps").ok()?;
        let local = 0u8;
        let code = Self::find as *const () as usize;
        Self::parse(
            &maps,
            code,
            &raw const local as usize,
            super::start::pointers() as usize,
        )
    }

    /// The mapping of code that an address lies in, and the one of the same file's constants, which begins with its
    /// header; not one behind the code, which was written at the start, by relocation. And the mapping that a local
    /// variable lies in, and the first stack up to the environment's pointers, if the process left that.
    /// See proc_pid_maps(5).
    fn parse(maps: &str, code: usize, local: usize, environment: usize) -> Option<Self> {
        let (mut header, mut abandoned) = ((0..0, None), 0..0);
        let (mut found, mut stack) = (None, None);
        for line in maps.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (start, end) = fields.next()?.split_once('-')?;
            let start = usize::from_str_radix(start, 16).ok()?;
            let end = usize::from_str_radix(end, 16).ok()?;
            let (perms, offset) = (fields.next()?, fields.next()?);
            let file = fields.next().zip(fields.next());
            if (start..end).contains(&local) {
                stack = Some(start..end);
            } else if line.ends_with("[stack]") && (start..end).contains(&environment) {
                abandoned = start..environment.saturating_sub(ARGUMENTS);
            }
            if perms == "r--p" && usize::from_str_radix(offset, 16) == Ok(0) {
                header = (start..end, file);
            }
            if perms == "r-xp" && (start..end).contains(&code) {
                let (constants, of) = header.clone();
                let constants = if of == file { constants } else { 0..0 };
                found = Some((start..end, constants));
            }
        }
        let (code, constants) = found?;
        Some(Slack {
            code,
            constants,
            stack: stack?,
            abandoned,
            page: rustix::param::page_size(),
        })
    }

    /// Lets go of all but the functions in `keep`, which should be those that run until the sleep, and of the stack
    /// below the caller's frame. See madvise(2), MADV_DONTNEED.
    ///
    /// The pages of the program are the file's: what is used again comes back from the page cache, 64 KiB or more at a
    /// time. So nothing else is called from the first call on, not even to free memory.
    pub fn let_go(&self, keep: [*const (); 2]) {
        let [a, b] = keep.map(|function| function as usize);
        let mut keep = [a, b, Self::let_go as *const () as usize];
        keep.sort_unstable();
        let Range { start, end } = self.code;
        let [a, b, c] = keep.map(|function| function.clamp(start, end));
        let local = 0u8;
        let bottom = &raw const local as usize;
        for range in [
            start..a,
            a + FUNCTION..b,
            b + FUNCTION..c,
            c + FUNCTION..end,
            self.constants.clone(),
            self.stack.start..bottom.saturating_sub(FRAMES),
            self.abandoned.clone(),
        ] {
            self.drop_pages(range);
        }
    }

    /// Drops the pages that lie in the range with all they hold.
    #[inline(always)]
    fn drop_pages(&self, range: Range<usize>) {
        let start = range.start.next_multiple_of(self.page);
        let end = range.end - range.end % self.page;
        if start < end {
            let start = start as *mut c_void;
            // SAFETY: either private mappings of a file that are not written (`r-xp`, and `r--p` from the file's
            // start), where a page that is touched again is read from the file; or the part of the only thread's stack
            // below its lowest frame, or a stack that no frame of this process is on: nothing is there.
            let _ = unsafe { madvise(start, end - start as usize, Advice::LinuxDontNeed) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process;

    #[test]
    fn code_constants_and_stacks_are_found_among_the_mappings() {
        let maps = "55540000-55541000 r--p 00000000 fe:00 41  /lib/y\n\
                    55550000-55555000 r--p 00000000 fe:00 42  /bin/x\n\
                    55556000-55559000 r-xp 00006000 fe:00 42  /bin/x\n\
                    55559000-5555a000 r--p 00009000 fe:00 42  /bin/x\n\
                    7ffe0000-7ffe1000 r-xp 00000000 00:00 0   [vdso]\n\
                    7fff0000-7fff9000 rw-p 00000000 00:00 0   [stack]\n";
        let found = |code, local| Slack::parse(maps, code, local, 0x7fff_8800);
        let here = found(0x5555_7123, 0x7fff_8123).expect("all of them");
        assert_eq!(here.code, 0x5555_6000..0x5555_9000);
        assert_eq!(here.constants, 0x5555_0000..0x5555_5000);
        assert_eq!(here.stack, 0x7fff_0000..0x7fff_9000);
        assert_eq!(here.abandoned, 0..0);
        let vdso = found(0x7ffe_0000, 0x7fff_8123).expect("all of them");
        assert_eq!(vdso.constants, 0..0);
        assert_eq!(found(0x5555_9000, 0x7fff_8123), None);
        let apart = found(0x5555_7123, 0x5555_9001).expect("all of them");
        assert_eq!(apart.abandoned, 0x7fff_0000..0x7fff_7800);
    }

    #[test]
    fn what_was_let_go_of_comes_back() {
        let before: Vec<u32> = (0..1000).collect();
        // A process with one thread, for which the others' stacks, too, are abandoned.
        let child = process::fork(|| {
            let Some(slack) = Slack::find() else {
                return 1;
            };
            slack.let_go([std::ptr::null(); 2]);
            let same = before.iter().copied().eq(0..1000) && Slack::find() == Some(slack);
            u8::from(!same)
        });
        assert_eq!(process::wait(child.unwrap()), Ok(0));
    }
}
