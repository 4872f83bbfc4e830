//! Finding the next definition of a name without dlsym(3): before glibc 2.34 that lived in a library of its own, which
//! small programs (Debian 11's `sh` is one) do not load, and they would be left without fork and exec.
//!
//! Walks the dynamic linker's list of loaded objects, which debuggers use too, from the shim on, and looks into each
//! object's GNU hash table (the layout is that of the GNU ABI; System V gABI for the rest).

use core::ffi::{c_char, CStr};

// glibc's list; other linkers need not have it.
core::arch::global_asm!(".weak _r_debug");

/// `struct r_debug`.
#[repr(C)]
struct Debug {
    version: i32,
    first: *const Object,
}

/// `struct link_map`.
#[repr(C)]
struct Object {
    base: usize,
    name: *const c_char,
    dynamic: *const Entry,
    next: *const Self,
}

/// `Elf64_Dyn`.
#[repr(C)]
struct Entry {
    tag: i64,
    value: usize,
}

/// `Elf64_Sym`.
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: usize,
    size: u64,
}

const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_GNU_HASH: i64 = 0x6fff_fef5;
const DT_VERSYM: i64 = 0x6fff_fff0;
const STT_GNU_IFUNC: u8 = 10;
/// Of a symbol's version: an older one, kept for programs that ask for it by name.
const VERSION_HIDDEN: u16 = 0x8000;

/// The tables of one object.
struct Tables {
    base: usize,
    hash: *const u32,
    symbols: *const Symbol,
    strings: *const c_char,
    versions: *const u16,
}

/// The address of the next definition of `name`; 0 where there is none, or no list to look through.
#[must_use]
pub fn next(name: &CStr) -> usize {
    let debug: usize;
    // SAFETY: the entry of a weak symbol in the global offset table: its address, or 0.
    unsafe {
        core::arch::asm!("mov {}, qword ptr [rip + _r_debug@GOTPCREL]", out(reg) debug, options(nostack, readonly));
    }
    // SAFETY: the linker's own structure where there is one.
    let Some(debug) = (unsafe { (debug as *const Debug).as_ref() }) else {
        return 0;
    };
    let ours = own_dynamic();
    let (mut object, mut passed) = (debug.first, false);
    // SAFETY: the linker's list; objects that the program was started with stay.
    while let Some(here) = unsafe { object.as_ref() } {
        if passed && !is_vdso(here) {
            // SAFETY: a loaded object.
            let found = unsafe { Tables::of(here).map_or(0, |tables| tables.find(name)) };
            if found != 0 {
                return found;
            }
        }
        passed |= here.dynamic as usize == ours;
        object = here.next;
    }
    0
}

/// The kernel's object is in the list, but nobody links against it: its functions answer as the kernel does.
fn is_vdso(object: &Object) -> bool {
    // SAFETY: a C string where there is a name.
    !object.name.is_null()
        && unsafe { CStr::from_ptr(object.name) }
            .to_bytes()
            .starts_with(b"linux-vdso")
}

/// Where our own dynamic section is, by which the list names us.
fn own_dynamic() -> usize {
    let address: usize;
    // SAFETY: the linker of the build defines it.
    unsafe {
        core::arch::asm!(
            ".hidden _DYNAMIC",
            "lea {}, [rip + _DYNAMIC]",
            out(reg) address,
            options(nostack, nomem, preserves_flags)
        );
    }
    address
}

impl Tables {
    unsafe fn of(object: &Object) -> Option<Self> {
        // The linker has relocated these in most objects, but not in the kernel's own.
        let place = |value: usize| {
            if value < object.base {
                value + object.base
            } else {
                value
            }
        };
        let (mut hash, mut symbols, mut strings, mut versions) = (0, 0, 0, 0);
        let mut entry = object.dynamic;
        // SAFETY: a dynamic section ends with an entry of tag 0.
        while let Some(Entry { tag, value }) = unsafe { entry.as_ref() }.filter(|one| one.tag != 0)
        {
            match *tag {
                DT_GNU_HASH => hash = place(*value),
                DT_SYMTAB => symbols = place(*value),
                DT_STRTAB => strings = place(*value),
                DT_VERSYM => versions = place(*value),
                _ => {}
            }
            entry = entry.wrapping_add(1);
        }
        (hash != 0 && symbols != 0 && strings != 0).then_some(Self {
            base: object.base,
            hash: hash as *const u32,
            symbols: symbols as *const Symbol,
            strings: strings as *const c_char,
            versions: versions as *const u16,
        })
    }

    /// The address of a name's default version; 0 where the object does not define it.
    unsafe fn find(&self, name: &CStr) -> usize {
        let wanted = gnu_hash(name.to_bytes());
        // SAFETY: the table begins with buckets, first symbol, words of the filter, shift; then come the filter of
        // 64-bit words, the buckets, and a chain of hashes whose last one is odd.
        unsafe {
            let (buckets, first, filter) = (*self.hash, *self.hash.add(1), *self.hash.add(2));
            if buckets == 0 {
                return 0;
            }
            let bucket = self.hash.add(4 + filter as usize * 2);
            let chain = bucket.add(buckets as usize);
            let mut index = *bucket.add((wanted % buckets) as usize);
            if index < first {
                return 0;
            }
            loop {
                let hash = *chain.add((index - first) as usize);
                if hash | 1 == wanted | 1 && self.is(index, name) {
                    return self.address(index);
                }
                if hash & 1 == 1 {
                    return 0;
                }
                index += 1;
            }
        }
    }

    unsafe fn is(&self, index: u32, name: &CStr) -> bool {
        // SAFETY: the symbol is one that the hash table names.
        unsafe {
            let symbol = &*self.symbols.add(index as usize);
            let hidden = !self.versions.is_null()
                && *self.versions.add(index as usize) & VERSION_HIDDEN != 0;
            symbol.section != 0
                && !hidden
                && CStr::from_ptr(self.strings.add(symbol.name as usize)) == name
        }
    }

    unsafe fn address(&self, index: u32) -> usize {
        // SAFETY: the symbol is one that the hash table names; an indirect function answers with the function.
        unsafe {
            let symbol = &*self.symbols.add(index as usize);
            let address = self.base + symbol.value;
            if symbol.info & 0xf == STT_GNU_IFUNC {
                let choose: extern "C" fn() -> usize = core::mem::transmute(address);
                return choose();
            }
            address
        }
    }
}

/// The hash of the GNU ABI.
fn gnu_hash(name: &[u8]) -> u32 {
    name.iter().fold(5_381_u32, |hash, byte| {
        hash.wrapping_mul(33).wrapping_add(u32::from(*byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" {
        fn dlsym(handle: usize, name: *const c_char) -> usize;
    }

    #[test]
    fn finds_what_dlsym_finds() {
        for name in [
            c"read",
            c"epoll_pwait",
            c"vfork",
            c"execve",
            c"posix_spawn",
            c"sigaction",
            c"signal",
            c"time",
            c"fork",
            c"clock_gettime",
            c"popen",
            c"fdopen",
            c"__read_chk",
        ] {
            // SAFETY: dlsym(3); RTLD_NEXT.
            let expected = unsafe { dlsym(usize::MAX, name.as_ptr()) };
            assert_ne!(expected, 0, "{name:?}");
            assert_eq!(next(name), expected, "{name:?}");
        }
        assert_eq!(next(c"no_such_function_anywhere"), 0);
    }
}
