//! `_dl_find_object` for musl, so that gcc's unwinder works with it.
//!
//! libgcc_eh of gcc 12 and later, built for glibc 2.35 and later, finds the unwind tables of an address only through
//! glibc's `_dl_find_object(3)`. This is that function on top of `dl_iterate_phdr(3)`, which musl has. Without it every
//! panic that unwinds, and every backtrace, aborts. The structures are those of <link.h> and <dlfcn.h>.
#![no_std]
#![allow(dead_code)]

const PT_LOAD: u32 = 1;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;

#[repr(C)]
#[cfg(target_pointer_width = "64")]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: usize,
    address: usize,
    physical: usize,
    file_size: usize,
    size: usize,
    align: usize,
}

#[repr(C)]
#[cfg(target_pointer_width = "32")]
struct ProgramHeader {
    kind: u32,
    offset: usize,
    address: usize,
    physical: usize,
    file_size: usize,
    size: usize,
    flags: u32,
    align: usize,
}

/// `struct dl_phdr_info`, as far as it is read.
#[repr(C)]
struct Object {
    base: usize,
    name: *const u8,
    headers: *const ProgramHeader,
    count: u16,
}

/// `struct dl_find_object`.
#[repr(C)]
pub struct Found {
    flags: u64,
    start: usize,
    end: usize,
    link_map: usize,
    eh_frame: usize,
}

#[repr(C)]
struct Search {
    address: usize,
    found: *mut Found,
}

type Visit = unsafe extern "C" fn(*const Object, usize, *mut Search) -> i32;

unsafe extern "C" {
    fn dl_iterate_phdr(visit: Visit, search: *mut Search) -> i32;

    // libgcc_eh refers to these weakly, and a weak reference takes nothing out of libc.a: `KEEP` does.
    fn pthread_once();
    fn pthread_mutex_lock();
    fn pthread_mutex_unlock();
    fn pthread_getspecific();
    fn pthread_setspecific();
    fn pthread_key_create();
}

#[used]
static KEEP: [unsafe extern "C" fn(); 6] = [
    pthread_once,
    pthread_mutex_lock,
    pthread_mutex_unlock,
    pthread_getspecific,
    pthread_setspecific,
    pthread_key_create,
];

/// Ends the walk with 1 at the object that holds the address and has unwind tables.
unsafe extern "C" fn visit(object: *const Object, _size: usize, search: *mut Search) -> i32 {
    // SAFETY: dl_iterate_phdr passes a valid object with `count` headers, and `search` as it was given.
    let (object, search) = unsafe { (&*object, &*search) };
    let (mut start, mut end, mut eh_frame) = (0, 0, 0);
    for index in 0..usize::from(object.count) {
        // SAFETY: index is below count.
        let header = unsafe { &*object.headers.add(index) };
        let address = object.base.wrapping_add(header.address);
        if header.kind == PT_LOAD && search.address.wrapping_sub(address) < header.size {
            (start, end) = (address, address + header.size);
        }
        if header.kind == PT_GNU_EH_FRAME {
            eh_frame = address;
        }
    }
    if end == 0 || eh_frame == 0 {
        return 0;
    }
    // SAFETY: the caller of _dl_find_object gave a place for the answer.
    unsafe { search.found.write(Found { flags: 0, start, end, link_map: 0, eh_frame }) };
    1
}

/// 0 and the object that holds `address` in `found`, or -1.
///
/// # Safety
/// `found` must be valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _dl_find_object(address: *const u8, found: *mut Found) -> i32 {
    let mut search = Search { address: address as usize, found };
    // SAFETY: `visit` has the type that dl_iterate_phdr calls, and `search` outlives the call.
    if unsafe { dl_iterate_phdr(visit, &raw mut search) } == 1 { 0 } else { -1 }
}
