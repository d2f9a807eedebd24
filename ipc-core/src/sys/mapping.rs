//! Mappings of shared files, and the checked way to look at them.

use super::os_error;
use crate::error::{Error, ErrorKind, Result};
use memmap2::{MmapOptions, MmapRaw};
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::LazyLock;

/// Types that may be laid over shared memory: made of atomics only, so that any bytes are a valid
/// value and a racing writer is no undefined behaviour.
///
/// # Safety
/// `#[repr(C)]`, every field an atomic integer or an array or struct of such.
pub unsafe trait Shared: Sized {}

// SAFETY: an atomic integer.
unsafe impl Shared for super::atomic::AtomicU64 {}

/// The page size of this machine.
pub fn page_size() -> usize {
    // SAFETY: sysconf reads a constant.
    static SIZE: LazyLock<usize> = LazyLock::new(|| unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize });
    *SIZE
}

/// Rounds up to whole pages.
pub fn round_to_pages(bytes: usize) -> usize {
    bytes.next_multiple_of(page_size())
}

/// A shared file mapped whole.
pub struct Mapping {
    raw: MmapRaw,
    writable: bool,
}

/// A structure at the beginning of a mapping that lives as long as it, found without arithmetic.
pub struct Head<T: Shared> {
    place: NonNull<T>,
    mapping: Mapping,
}

// SAFETY: a mapping and a pointer into it; `Shared` types are made of atomics.
unsafe impl<T: Shared> Send for Head<T> {}
// SAFETY: as above.
unsafe impl<T: Shared> Sync for Head<T> {}

impl<T: Shared> Head<T> {
    /// Panics when the mapping is smaller than `T`, as [`Mapping::at`] does.
    pub fn new(mapping: Mapping) -> Head<T> {
        Head { place: NonNull::from(mapping.at::<T>(0)), mapping }
    }

    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}

impl<T: Shared> std::ops::Deref for Head<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: into the mapping, which this owns and never moves.
        unsafe { self.place.as_ref() }
    }
}

impl Mapping {
    /// Maps `length` bytes, touched in advance.
    pub fn new(fd: BorrowedFd<'_>, length: usize, writable: bool) -> Result<Mapping> {
        use std::os::fd::AsRawFd;
        let mut options = MmapOptions::new();
        options.len(length).populate();
        let raw = if writable {
            options.map_raw(fd.as_raw_fd())
        } else {
            options.map_raw_read_only(fd.as_raw_fd())
        };
        raw.map(|raw| Mapping { raw, writable }).map_err(|e| map_error(e.raw_os_error().unwrap_or(0), length))
    }

    /// Maps `length` bytes of which only the beginning is allocated yet; nothing is touched in advance.
    pub fn sparse(fd: BorrowedFd<'_>, length: usize) -> Result<Mapping> {
        use std::os::fd::AsRawFd;
        let raw = MmapOptions::new().len(length).map_raw(fd.as_raw_fd());
        raw.map(|raw| Mapping { raw, writable: true })
            .map_err(|e| map_error(e.raw_os_error().unwrap_or(0), length))
    }

    /// Touches allocated bytes in advance. A kernel that cannot (before 5.14) has them touched by their first use.
    pub fn touch(&self, offset: usize, length: usize) {
        const MADV_POPULATE_WRITE: libc::c_int = 23;
        assert!(offset.checked_add(length).is_some_and(|end| end <= self.len()));
        // SAFETY: within the mapping; it changes no byte.
        unsafe { libc::madvise(self.as_mut_ptr().add(offset).cast(), length, MADV_POPULATE_WRITE) };
    }

    pub fn len(&self) -> usize {
        self.raw.len()
    }

    pub fn writable(&self) -> bool {
        self.writable
    }

    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.raw.as_mut_ptr()
    }

    /// The structure at `offset`. Panics when it does not fit: offsets are constants of the layout
    /// and lengths were checked when the mapping was made.
    pub fn at<T: Shared>(&self, offset: usize) -> &T {
        assert!(offset.is_multiple_of(align_of::<T>()) && offset + size_of::<T>() <= self.len());
        // SAFETY: in bounds and aligned (just checked, mappings are page-aligned); `Shared` types
        // accept any bytes and concurrent writers; the mapping lives as long as the borrow.
        unsafe { &*self.raw.as_ptr().add(offset).cast::<T>() }
    }
}

/// A range of a shared file mapped twice, back to back, so that a record that wraps around the end
/// is contiguous in memory.
pub struct Mirror {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: plain memory; what is in it is synchronised by the protocols that use it.
unsafe impl Send for Mirror {}
// SAFETY: as above.
unsafe impl Sync for Mirror {}

impl Mirror {
    /// Maps `length` bytes from `offset`; both are multiples of the page size.
    pub fn new(fd: BorrowedFd<'_>, offset: usize, length: usize, writable: bool) -> Result<Mirror> {
        let failed = |e: nix::errno::Errno| map_error(e as i32, 2 * length);
        let whole = NonZeroUsize::new(2 * length).ok_or_else(|| map_error(libc::EINVAL, 0))?;
        let half = NonZeroUsize::new(length).ok_or_else(|| map_error(libc::EINVAL, 0))?;
        // SAFETY: reserves address space of the kernel's choice, without access.
        let base = unsafe { mmap_anonymous(None, whole, ProtFlags::PROT_NONE, MapFlags::MAP_PRIVATE) }
            .map_err(failed)?;
        let mirror = Mirror { base: base.cast(), length };
        let access =
            if writable { ProtFlags::PROT_READ | ProtFlags::PROT_WRITE } else { ProtFlags::PROT_READ };
        let flags = MapFlags::MAP_SHARED | MapFlags::MAP_FIXED | MapFlags::MAP_POPULATE;
        for at in [0, length] {
            let address = NonZeroUsize::new(base.as_ptr() as usize + at);
            // SAFETY: replaces one half of the range reserved above, which nobody else knows.
            unsafe { mmap(address, half, access, flags, fd, offset as i64) }.map_err(failed)?;
        }
        Ok(mirror)
    }

    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // SAFETY: the range reserved in `new`, unmapped once.
        let _ = unsafe { munmap(self.base.cast(), 2 * self.length) };
    }
}

fn map_error(errno: i32, length: usize) -> Error {
    if errno == libc::ENOMEM {
        let why =
            "no address space or too many mappings: raise vm.max_map_count or the process's memory limit";
        return Error::new(ErrorKind::NoSpace, format!("mapping {length} bytes of shared memory: {why}"));
    }
    os_error(nix::errno::Errno::from_raw(errno), format!("mapping {length} bytes of shared memory"))
}
