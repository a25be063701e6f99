//! The heap of a process that lives for a millisecond: blocks off the front of a chunk, and used again.
//!
//! musl's malloc asks the kernel for memory and gives it back all the time, which costs a command more than many of its
//! netlink messages. Here a small block is the next piece of a chunk, whose untouched pages cost nothing, or one of the
//! same power of two that was freed: a loop that allocates and frees (the monitor's) stands still. Chunks are never
//! given back. Large blocks are mapped and unmapped each.

use crate::error::exit;
use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes in a chunk.
const CHUNK: usize = 256 << 10;
/// Bytes of the first chunk, which lies beside the program's variables: what says a version needs no other.
const FIRST: usize = 8 << 10;
/// From this size on, in bytes, a block is a mapping of its own.
const LARGE: usize = 64 << 10;
/// The alignment of a mapping, on every machine at least this.
const PAGE: usize = 4096;
/// The smallest block, and what every small block is aligned to.
const SMALLEST: usize = 16;
/// Powers of two from [`SMALLEST`] to [`LARGE`].
const CLASSES: usize = (LARGE / SMALLEST).trailing_zeros() as usize + 1;

/// The allocator; `main` makes it the program's. In this order its variables share a page with others, and a command
/// that allocates little touches few.
#[derive(Debug)]
#[repr(C)]
pub struct Bump {
    busy: AtomicBool,
    heap: UnsafeCell<Heap>,
    first: UnsafeCell<First>,
}

/// Only ever used by its address.
#[derive(Debug)]
#[repr(align(16))]
struct First(#[allow(dead_code, reason = "it is room, and has no value")] [u8; FIRST]);

#[derive(Debug)]
struct Heap {
    /// The untouched part of the chunk in use: its start and its end.
    start: usize,
    end: usize,
    /// For each power of two the block freed last; in its first bytes is the one freed before.
    freed: [*mut u8; CLASSES],
}

// SAFETY: `heap` is only touched while `busy` is held.
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
            heap: UnsafeCell::new(Heap {
                start: 0,
                end: 0,
                freed: [ptr::null_mut(); CLASSES],
            }),
            first: UnsafeCell::new(First([0; FIRST])),
        }
    }

    /// Runs `f` with the heap, alone. netcell has one thread: this never waits.
    fn with<T>(&self, f: impl FnOnce(&mut Heap) -> T) -> T {
        while self.busy.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        // SAFETY: `busy` is held, so this is the only reference.
        let result = f(unsafe { &mut *self.heap.get() });
        self.busy.store(false, Ordering::Release);
        result
    }
}

/// What a block of some layout is, which is known again when it is freed.
enum Kind {
    /// A piece of a chunk, of `SMALLEST << class` bytes.
    Small { class: usize },
    /// A mapping of its own, of the layout's size.
    Large,
}

fn kind(layout: Layout) -> Kind {
    match layout.size() {
        size if size >= LARGE || layout.align() > SMALLEST => Kind::Large,
        size => {
            let size = size.next_power_of_two().max(SMALLEST);
            let class = (size / SMALLEST).trailing_zeros() as usize;
            Kind::Small { class }
        }
    }
}

impl Heap {
    fn take(&mut self, class: usize, first: usize) -> *mut u8 {
        let freed = self.freed[class];
        if !freed.is_null() {
            // SAFETY: `give` left the block freed before it, or null, in a freed block's first bytes.
            self.freed[class] = unsafe { freed.cast::<*mut u8>().read() };
            return freed;
        }
        let size = SMALLEST << class;
        if self.end == 0 {
            (self.start, self.end) = (first, first + FIRST);
        }
        if self.end - self.start < size {
            self.start = map(CHUNK);
            self.end = self.start + CHUNK;
        }
        self.start += size;
        (self.start - size) as *mut u8
    }

    fn give(&mut self, block: *mut u8, class: usize) {
        // SAFETY: the block is given up, holds at least SMALLEST bytes and is aligned to as many.
        unsafe { block.cast::<*mut u8>().write(self.freed[class]) };
        self.freed[class] = block;
    }
}

/// Nothing goes on without memory, and nothing can be undone: what is half done the next command undoes, as after a
/// death by SIGKILL. std would abort, which looks like a crash.
fn give_up() -> ! {
    const SENTENCE: &[u8] = b"netcell: cannot go on: Cannot allocate memory\n";
    // SAFETY: the sentence lives for ever, and its length is given.
    unsafe { libc::write(2, SENTENCE.as_ptr().cast(), SENTENCE.len()) };
    // SAFETY: _exit(2) takes no pointers and does not return.
    unsafe { libc::_exit(i32::from(exit::RUN)) }
}

/// New zeroed memory.
fn map(len: usize) -> usize {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice.
    match unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) } {
        libc::MAP_FAILED => give_up(),
        start => start as usize,
    }
}

// SAFETY: a block is a piece of a chunk that nothing else has, of its layout's size at least and aligned to SMALLEST, or
// a mapping of its own; it stays so until it is freed.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match kind(layout) {
            Kind::Small { class } => self.with(|heap| heap.take(class, self.first.get() as usize)),
            Kind::Large if layout.align() > PAGE => ptr::null_mut(),
            Kind::Large => map(layout.size()) as *mut u8,
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match kind(layout) {
            Kind::Small { class } => self.with(|heap| heap.give(block, class)),
            Kind::Large => {
                // SAFETY: `alloc` mapped a block of this size by itself, with this length.
                unsafe { libc::munmap(block.cast(), layout.size()) };
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that `size`, rounded up to the alignment, does not overflow.
        let to = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (kind(layout), kind(to)) {
            (Kind::Small { class }, Kind::Small { class: then }) if class == then => return block,
            (Kind::Large, Kind::Large) => {
                // SAFETY: the block is a mapping of its own of this length; the kernel may move it.
                let moved = unsafe {
                    libc::mremap(block.cast(), layout.size(), size, libc::MREMAP_MAYMOVE)
                };
                return match moved {
                    libc::MAP_FAILED => give_up(),
                    moved => moved.cast(),
                };
            }
            _ => {}
        }
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
            let layout = layout(1 + n * 7 % 900, 1 << (n % 9));
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
    fn a_freed_block_is_used_again_and_one_with_room_stays() {
        let bump = Bump::new();
        // SAFETY: the size is not zero.
        let first = unsafe { bump.alloc(layout(100, 8)) };
        // SAFETY: the block has this layout, and the new size is not zero.
        let grown = unsafe { bump.realloc(first, layout(100, 8), 128) };
        assert_eq!(first, grown);
        // SAFETY: the block has this layout now.
        unsafe { bump.dealloc(grown, layout(128, 8)) };
        // SAFETY: the size is not zero.
        let next = unsafe { bump.alloc(layout(65, 1)) };
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
