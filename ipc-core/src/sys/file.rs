//! Files of shared structures: created complete, linked into place at once, opened with their
//! owner checked.

use super::crash::point;
use super::os_error;
use crate::error::{Error, ErrorKind, Result};
use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FallocateFlags, OFlag, fallocate, open};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmod, fchmodat, fstat};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs, statfs};
use nix::unistd::{Gid, Uid, chown, fchown, ftruncate, linkat};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

pub use nix::errno::Errno as FileErrno;

/// Who may open the files of a domain.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Permission bits of files; directories add the matching search bits.
    pub mode: u32,
    /// The group files and directories are given to.
    pub group: Option<u32>,
}

impl Access {
    /// The mode of directories: search where reading is allowed.
    pub fn directory_mode(&self) -> u32 {
        self.mode | ((self.mode & 0o444) >> 2)
    }
}

/// Makes an unnamed file of `size` bytes in `directory`, all of them allocated: a full filesystem
/// is an error here and never a SIGBUS later.
#[track_caller]
pub fn create_unnamed(directory: &Path, size: u64, access: &Access) -> Result<OwnedFd> {
    create_sparse(directory, size, size, access)
}

/// The same with only its first `allocated` bytes allocated; the others are by [`allocate_more`] before they are used.
#[track_caller]
pub fn create_sparse(directory: &Path, size: u64, allocated: u64, access: &Access) -> Result<OwnedFd> {
    point();
    let fd =
        open(directory, OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::from_bits_truncate(0o600))
            .map_err(|e| os_error(e, format!("creating a shared file in {}", directory.display())))?;
    allocate(fd.as_fd(), size, allocated, &directory.display())?;
    fchmod(&fd, Mode::from_bits_truncate(access.mode))
        .map_err(|e| os_error(e, format!("setting mode {:o} in {}", access.mode, directory.display())))?;
    if let Some(group) = access.group {
        fchown(&fd, None, Some(Gid::from_raw(group)))
            .map_err(|e| os_error(e, format!("giving a file in {} to group {group}", directory.display())))?;
    }
    Ok(fd)
}

/// Sizes `fd`, and allocates the first `allocated` bytes of it.
fn allocate(fd: BorrowedFd<'_>, size: u64, allocated: u64, place: &dyn std::fmt::Display) -> Result<()> {
    let what = || format!("reserving {allocated} bytes of shared memory in {place}");
    let length = i64::try_from(size).map_err(|_| os_error(Errno::EFBIG, what()))?;
    // Growing a file past this limit would end the process with SIGXFSZ.
    if getrlimit(Resource::RLIMIT_FSIZE).is_ok_and(|(limit, _)| size > limit) {
        return Err(os_error(Errno::EFBIG, what()));
    }
    ftruncate(fd, length).map_err(|e| os_error(e, what()))?;
    allocate_more(fd, 0, allocated, place)
}

/// Allocates `length` bytes from `offset`, within the file's size.
pub fn allocate_more(
    fd: BorrowedFd<'_>,
    offset: u64,
    length: u64,
    place: &dyn std::fmt::Display,
) -> Result<()> {
    loop {
        match fallocate(fd, FallocateFlags::FALLOC_FL_KEEP_SIZE, offset as i64, length as i64) {
            Ok(()) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(e) => {
                return Err(os_error(e, format!("reserving {length} bytes of shared memory in {place}")));
            }
        }
    }
}

/// Gives an unnamed file its name. `Err(Errno::EEXIST)` tells that somebody was first.
#[track_caller]
pub fn link(fd: BorrowedFd<'_>, path: &Path) -> std::result::Result<(), Errno> {
    point();
    let source = format!("/proc/self/fd/{}", fd.as_raw_fd());
    linkat(nix::fcntl::AT_FDCWD, source.as_str(), nix::fcntl::AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)
}

/// Links or says why not.
pub fn link_or_error(fd: BorrowedFd<'_>, path: &Path) -> Result<()> {
    link(fd, path).map_err(|e| os_error(e, format!("creating {}", path.display())))
}

/// Gives a file one more name; that somebody else's has it already is as good.
#[track_caller]
pub fn link_beside(one: &Path, other: &Path) -> Result<()> {
    point();
    match linkat(nix::fcntl::AT_FDCWD, one, nix::fcntl::AT_FDCWD, other, AtFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(e) => Err(os_error(e, format!("creating {}", other.display()))),
    }
}

/// Puts an unnamed file in the place of another that is there, in one step; `passing` is the name it bears on the
/// way, and the other for a moment afterwards. Whoever does the same at the same time, or removes it, may win.
pub fn replace(fd: BorrowedFd<'_>, passing: &Path, path: &Path) -> Result<()> {
    unlink(passing);
    let outcome = link(fd, passing).and_then(|()| exchange(passing, path));
    unlink(passing);
    match outcome {
        Ok(()) | Err(Errno::EEXIST | Errno::ENOENT) => Ok(()),
        Err(e) => Err(os_error(e, format!("replacing {}", path.display()))),
    }
}

/// Swaps two names; ENOENT if one is not there. (A bare call, since nix has it for glibc only.)
#[track_caller]
fn exchange(one: &Path, other: &Path) -> std::result::Result<(), Errno> {
    point();
    let swap = |one: &std::ffi::CStr, other: &std::ffi::CStr| {
        // SAFETY: both paths end with NUL and outlive the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_renameat2,
                libc::AT_FDCWD,
                one.as_ptr(),
                libc::AT_FDCWD,
                other.as_ptr(),
                libc::RENAME_EXCHANGE,
            )
        };
        Errno::result(result).map(drop)
    };
    one.with_nix_path(|one| other.with_nix_path(|other| swap(one, other)))??
}

/// Opens an existing file. What is no plain file is refused, and never waited for (a FIFO).
pub fn open_existing(path: &Path, writable: bool) -> Result<OwnedFd> {
    let access = if writable { OFlag::O_RDWR } else { OFlag::O_RDONLY };
    let foreign = || {
        let text = format!(
            "{}: it is a link, a directory or a device, not a file of axonic; remove it",
            path.display()
        );
        Err(Error::new(ErrorKind::Corrupt, text))
    };
    match open(path, access | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK, Mode::empty()) {
        Ok(fd) if look(fd.as_fd()).is_ok_and(|stat| is_kind(&stat, SFlag::S_IFREG)) => Ok(fd),
        Ok(_) | Err(Errno::ELOOP | Errno::EISDIR | Errno::ENXIO) => foreign(),
        Err(e) => Err(os_error(e, format!("opening {}", path.display()))),
    }
}

fn look(fd: BorrowedFd<'_>) -> Result<FileStat> {
    fstat(fd).map_err(|e| os_error(e, "looking at an open file"))
}

fn is_kind(stat: &FileStat, kind: SFlag) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == kind.bits()
}

/// Whether an open file is a FIFO.
pub fn is_fifo(fd: BorrowedFd<'_>) -> bool {
    look(fd).is_ok_and(|stat| is_kind(&stat, SFlag::S_IFIFO))
}

/// Opens an open file once more, to write. A mapping keeps the description it was made of, and a forked child keeps
/// the mapping: a lock that must end with its process needs a description that is not mapped.
pub fn reopen(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    open(path.as_str(), OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).map_err(|e| match e {
        Errno::ENOENT => {
            Error::new(ErrorKind::Unsupported, "opening a shared file anew: axonic needs /proc, mount it")
        }
        e => os_error(e, "opening a shared file anew"),
    })
}

/// The size of an open file.
pub fn size(fd: BorrowedFd<'_>) -> Result<u64> {
    look(fd).map(|stat| stat.st_size as u64)
}

/// Whether all bytes of an open file are allocated. Ours are from the start; a hole in what claims to be
/// one of ours could take memory we have not reserved, or raise SIGBUS where there is none left.
pub fn is_whole(fd: BorrowedFd<'_>) -> bool {
    size(fd).is_ok_and(|size| has_memory(fd, size))
}

/// Whether at least so many bytes of an open file are allocated.
pub fn has_memory(fd: BorrowedFd<'_>, bytes: u64) -> bool {
    look(fd).is_ok_and(|stat| stat.st_blocks as u64 * 512 >= bytes)
}

/// Reads at an offset without a mapping.
pub fn read_at(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: i64) -> Result<usize> {
    nix::sys::uio::pread(fd, buffer, offset).map_err(|e| os_error(e, "reading a shared file"))
}

/// Sets permission bits regardless of the umask.
#[track_caller]
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    point();
    fchmodat(nix::fcntl::AT_FDCWD, path, Mode::from_bits_truncate(mode), FchmodatFlags::FollowSymlink)
        .map_err(|e| os_error(e, format!("setting mode {mode:o} on {}", path.display())))
}

/// Gives a path to a group.
pub fn set_group(path: &Path, group: Option<u32>) -> Result<()> {
    let Some(group) = group else { return Ok(()) };
    chown(path, None, Some(Gid::from_raw(group))).map_err(|e| {
        os_error(e, format!("giving {} to group {group} (its maker must be a member)", path.display()))
    })
}

/// Makes a directory if it is missing, with exactly these permissions, or not at all. Whether it made it.
#[track_caller]
pub fn ensure_directory(path: &Path, access: &Access) -> Result<bool> {
    point();
    match nix::unistd::mkdir(path, Mode::from_bits_truncate(access.directory_mode() & 0o700)) {
        Ok(()) => {
            let dressed =
                set_group(path, access.group).and_then(|()| set_mode(path, access.directory_mode()));
            if dressed.is_err() {
                let _ =
                    nix::unistd::unlinkat(nix::fcntl::AT_FDCWD, path, nix::unistd::UnlinkatFlags::RemoveDir);
            }
            dressed.map(|()| true)
        }
        Err(Errno::EEXIST) => Ok(false),
        Err(e) => Err(os_error(e, format!("making the directory {}", path.display()))),
    }
}

/// Who a directory belongs to and what others may do with it.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    pub user: u32,
    pub group: u32,
    /// Permission bits, the sticky bit included.
    pub mode: u32,
}

impl Owner {
    /// Whether it belongs to this user.
    pub fn is_me(&self) -> bool {
        self.user == user()
    }

    /// Whether anybody at all may rename what others put into it.
    pub fn is_open_to_all(&self) -> bool {
        self.mode & 0o1002 == 0o002
    }
}

/// Looks at a directory in which shared memory is to live: it must be one, and be memory.
pub fn inspect_directory(path: &Path, what: &str) -> Result<Owner> {
    // To look at what the path names; a directory one may only pass through will do.
    let flags = OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let fd = match open(path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::ELOOP | Errno::ENOTDIR) => {
            return Err(distrust(what, "it is not a directory but a link or a file"));
        }
        Err(Errno::ENOENT) => {
            let remedy = "make it (mkdir -m 700), or set AXONIC_RUNTIME_DIR to an existing directory on a tmpfs such as /dev/shm";
            return Err(Error::new(ErrorKind::NotFound, format!("{what} does not exist; {remedy}")));
        }
        Err(e) => return Err(os_error(e, format!("opening {what}"))),
    };
    let stat = look(fd.as_fd())?;
    let filesystem =
        fstatfs(&fd).map_err(|e| os_error(e, format!("looking at the filesystem of {}", path.display())))?;
    if filesystem.filesystem_type() != TMPFS_MAGIC {
        return Err(distrust(what, "it is not on a tmpfs, so its memory would be written to a disk"));
    }
    Ok(Owner { user: stat.st_uid, group: stat.st_gid, mode: stat.st_mode & 0o7777 })
}

/// The error of a directory that is not fit to hold shared memory.
pub fn distrust(what: &str, why: &str) -> Error {
    let remedy =
        "remove it, or set AXONIC_RUNTIME_DIR to a directory of your own on a tmpfs such as /dev/shm";
    Error::new(ErrorKind::PermissionDenied, format!("{what}: {why}; {remedy}"))
}

/// What tells a file from every other.
pub fn identity(fd: BorrowedFd<'_>) -> Result<(u64, u64)> {
    look(fd).map(|stat| (stat.st_dev, stat.st_ino))
}

/// The same of the file that has this name now.
pub fn identity_of(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).ok().map(|m| (m.dev(), m.ino()))
}

/// Whether an open file has lost its last name.
pub fn is_unlinked(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).is_ok_and(|s| s.st_nlink == 0)
}

/// Gives a file another name, where nobody has it. Whether it was still there.
#[track_caller]
pub fn rename(from: &Path, to: &Path) -> Result<bool> {
    point();
    match std::fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => {
            let errno = Errno::from_raw(e.raw_os_error().unwrap_or(0));
            Err(os_error(errno, format!("renaming {}", from.display())))
        }
    }
}

/// Removes a name; one that is gone already is no error, one that stays is not our business.
#[track_caller]
pub fn unlink(path: &Path) {
    point();
    let _ = nix::unistd::unlink(path);
}

/// Removes a name and says so if it stays. Whether there was one.
#[track_caller]
pub fn remove(path: &Path) -> Result<bool> {
    point();
    match nix::unistd::unlink(path) {
        Ok(()) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(e) => Err(os_error(e, format!("removing {}", path.display()))),
    }
}

/// Removes an empty directory; whether it is gone.
#[track_caller]
pub fn remove_directory(path: &Path) -> bool {
    point();
    std::fs::remove_dir(path).is_ok()
}

/// Whether something has this name, be it a dangling link.
pub fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// The names in a directory; a missing directory has none. Not being able to look is an error, so that
/// nobody takes it for an empty directory.
pub fn names(directory: &Path) -> Result<Vec<String>> {
    let failed = |e: std::io::Error| {
        os_error(Errno::from_raw(e.raw_os_error().unwrap_or(0)), format!("listing {}", directory.display()))
    };
    match std::fs::read_dir(directory) {
        Ok(entries) => {
            entries.map(|e| Ok(e.map_err(failed)?.file_name().to_string_lossy().into_owned())).collect()
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(failed(e)),
    }
}

/// Free and all bytes of the filesystem a path is on.
pub fn filesystem_space(path: &Path) -> Option<(u64, u64)> {
    let stat = statfs(path).ok()?;
    let block = stat.block_size() as u64;
    Some((stat.blocks_available() * block, stat.blocks() * block))
}

/// The length of a file, if there is one.
pub fn length(path: &Path) -> Option<u64> {
    std::fs::symlink_metadata(path).ok().map(|m| m.len())
}

/// Bytes of memory a file takes.
pub fn allocated(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).map_or(0, |m| m.blocks() * 512)
}

/// The number of this user.
pub fn user() -> u32 {
    Uid::effective().as_raw()
}

/// A memfd with a copy of `data`, sealed against every change.
pub fn create_sealed(data: &[u8]) -> Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    let failed = |e| os_error(e, format!("making a sealed region of {} bytes", data.len()));
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // By its number: glibc has the function since 2.27, and the packages load with 2.17.
    // SAFETY: a constant name and flags.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_create, c"axonic".as_ptr(), flags) };
    let fd = Errno::result(fd).map_err(failed)?;
    // SAFETY: nobody else knows the descriptor yet.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    allocate(fd.as_fd(), data.len() as u64, data.len() as u64, &"a sealed region")?;
    let mut written = 0;
    while written < data.len() {
        written += nix::sys::uio::pwrite(&fd, &data[written..], written as i64).map_err(failed)?;
    }
    let seals =
        SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(seals)).map_err(failed)?;
    Ok(fd)
}

/// Refuses memory that its sender could still change or truncate.
pub fn check_seals(fd: BorrowedFd<'_>) -> Result<()> {
    use nix::fcntl::{FcntlArg, SealFlag, fcntl};
    let wanted = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    match fcntl(fd, FcntlArg::F_GET_SEALS) {
        Ok(bits) if SealFlag::from_bits_truncate(bits).contains(wanted) => Ok(()),
        _ => Err(Error::new(
            ErrorKind::PermissionDenied,
            "the descriptor is not sealed memory: its sender could change or truncate it; use Region::sealed to make one",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was removed meanwhile does not come back.
    #[test]
    fn only_what_is_there_is_replaced() {
        let place = tempfile::tempdir_in("/dev/shm").unwrap();
        let access = Access { mode: 0o600, group: None };
        let (path, passing) = (place.path().join("file"), place.path().join("file-new"));
        let make = |size| create_unnamed(place.path(), size, &access).unwrap();
        replace(make(4096).as_fd(), &passing, &path).unwrap();
        assert_eq!(names(place.path()).unwrap().len(), 0);
        link(make(4096).as_fd(), &path).unwrap();
        replace(make(8192).as_fd(), &passing, &path).unwrap();
        assert_eq!((length(&path), length(&passing)), (Some(8192), None));
    }
}
