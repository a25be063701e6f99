//! The heap of a process that lives for a millisecond: a bump of a pointer.
//!
//! musl's malloc asks the kernel for memory and gives it back all the time, which costs a command more than many of its
//! netlink messages. Here small blocks come from chunks whose untouched pages cost nothing. The block allocated last can grow, shrink and be freed in place, so a loop that allocates and frees in turn (the monitor's)
//! stands still; other small blocks stay until the process ends. Large blocks are mapped and unmapped each.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes in a chunk.
const CHUNK: usize = 256 << 10;
/// From this size on, in bytes, a block is a mapping of its own.
const LARGE: usize = 64 << 10;
/// The most alignment that there is.
const PAGE: usize = 4096;

/// The allocator; `main` makes it the program's.
#[derive(Debug)]
pub struct Bump {
    busy: AtomicBool,
    /// The free part of the chunk in use: its start and its end.
    free: UnsafeCell<(usize, usize)>,
}

// SAFETY: `free` is only touched while `busy` is held.
unsafe impl Sync for Bump {}

impl Default for Bump {
    fn default() -> Self {
        Self::new()
    }
}

impl Bump {
    /// An allocator that has given out nothing.
    pub const fn new() -> Self {
        Bump {
            busy: AtomicBool::new(false),
            free: UnsafeCell::new((0, 0)),
        }
    }

    /// Runs `f` with the free part, alone. netcell has one thread: this never waits.
    fn with<T>(&self, f: impl FnOnce(&mut (usize, usize)) -> T) -> T {
        while self.busy.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: `busy` is held, so this is the only reference.
        let result = f(unsafe { &mut *self.free.get() });
        self.busy.store(false, Ordering::Release);
        result
    }

    fn small(&self, layout: Layout) -> *mut u8 {
        self.with(|free| {
            if let Some(block) = fit(free, layout) {
                return block;
            }
            match map(CHUNK) {
                0 => ptr::null_mut(),
                start => {
                    *free = (start, start + CHUNK);
                    fit(free, layout).unwrap_or(ptr::null_mut())
                }
            }
        })
    }
}

/// Takes a block off the free part, if it has room.
fn fit(free: &mut (usize, usize), layout: Layout) -> Option<*mut u8> {
    let start = free.0.checked_next_multiple_of(layout.align())?;
    let end = start.checked_add(layout.size())?;
    (end <= free.1).then(|| {
        free.0 = end;
        start as *mut u8
    })
}

/// New zeroed memory; 0 when there is none.
fn map(len: usize) -> usize {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice.
    match unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) } {
        libc::MAP_FAILED => 0,
        start => start as usize,
    }
}

// SAFETY: blocks are disjoint, aligned, of the size asked for, and stay valid until they are freed: small ones come off
// the front of a free part that is never given back, except by the block that lies last in it.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match layout {
            _ if layout.align() > PAGE => ptr::null_mut(),
            _ if layout.size() >= LARGE => map(layout.size()) as *mut u8,
            _ => self.small(layout),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() >= LARGE {
            // SAFETY: `alloc` mapped a block of this size by itself, with this length.
            unsafe { libc::munmap(block.cast(), layout.size()) };
            return;
        }
        self.with(|free| {
            if block as usize + layout.size() == free.0 {
                free.0 = block as usize;
            }
        });
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (small, small_then) = (layout.size() < LARGE, size < LARGE);
        if small && small_then {
            let grown = self.with(|free| {
                let last = block as usize + layout.size() == free.0;
                let fits = last && block as usize + size <= free.1;
                if fits {
                    free.0 = block as usize + size;
                }
                fits || size <= layout.size()
            });
            if grown {
                return block;
            }
        } else if !small && !small_then {
            // SAFETY: the block is a mapping of its own of this length; the kernel may move it.
            let moved =
                unsafe { libc::mremap(block.cast(), layout.size(), size, libc::MREMAP_MAYMOVE) };
            return match moved {
                libc::MAP_FAILED => ptr::null_mut(),
                moved => moved.cast(),
            };
        }
        // SAFETY: the caller guarantees that `size`, rounded up to the alignment, does not overflow.
        let to = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: `size` is not zero, by the contract of realloc.
        let new = unsafe { self.alloc(to) };
        if !new.is_null() {
            // SAFETY: both blocks are valid for the smaller size, and disjoint: the old one is not freed yet.
            unsafe { ptr::copy_nonoverlapping(block, new, layout.size().min(size)) };
            // SAFETY: the caller gives the old block up.
            unsafe { self.dealloc(block, layout) };
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn blocks_are_aligned_disjoint_and_keep_their_content() {
        let bump = Bump::new();
        let mut blocks = Vec::new();
        for n in 0..4000usize {
            let layout = layout(1 + n * 7 % 900, 1 << (n % 7));
            // SAFETY: the layout's size is not zero.
            let block = unsafe { bump.alloc(layout) };
            assert!(!block.is_null() && block.align_offset(layout.align()) == 0);
            // SAFETY: the block is valid for its size.
            unsafe { block.write_bytes(n as u8, layout.size()) };
            blocks.push((block, layout, n as u8));
        }
        for (block, layout, byte) in blocks {
            // SAFETY: the block was written above, and is valid for its size.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            assert!(bytes.iter().all(|b| *b == byte));
        }
    }

    #[test]
    fn the_last_block_grows_shrinks_and_goes_in_place() {
        let bump = Bump::new();
        let small = layout(100, 8);
        // SAFETY: the size is not zero.
        let first = unsafe { bump.alloc(small) };
        // SAFETY: the block has this layout, and the new size is not zero.
        let grown = unsafe { bump.realloc(first, small, 5000) };
        assert_eq!(first, grown);
        // SAFETY: the block has this layout now.
        unsafe { bump.dealloc(grown, layout(5000, 8)) };
        // SAFETY: the size is not zero.
        let next = unsafe { bump.alloc(small) };
        assert_eq!(next, first);
    }

    #[test]
    fn large_blocks_come_and_go_and_keep_their_content_when_they_grow() {
        let bump = Bump::new();
        let mut size = 1000;
        // SAFETY: the size is not zero.
        let mut block = unsafe { bump.alloc(layout(size, 16)) };
        // SAFETY: the block is valid for its size.
        unsafe { block.write(7) };
        while size < 1 << 20 {
            // SAFETY: the block has this layout, and the new size is not zero.
            block = unsafe { bump.realloc(block, layout(size, 16), size * 2) };
            size *= 2;
            // SAFETY: the block is valid, and its first byte was written.
            assert_eq!(unsafe { block.read() }, 7);
        }
        // SAFETY: the block has this layout.
        unsafe { bump.dealloc(block, layout(size, 16)) };
    }
}
