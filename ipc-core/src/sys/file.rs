//! Files of shared structures: created complete, linked into place at once, opened with their
//! owner checked.

use super::os_error;
use crate::error::{Error, ErrorKind, Result};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FallocateFlags, OFlag, fallocate, open};
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, fstat};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::{Gid, Uid, chown, fchown, ftruncate, linkat};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
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
pub fn create_unnamed(directory: &Path, size: u64, access: &Access) -> Result<OwnedFd> {
    let fd = open(directory, OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::from_bits_truncate(0o600))
        .map_err(|e| os_error(e, format!("creating a shared file in {}", directory.display())))?;
    allocate(fd.as_fd(), size, &directory.display())?;
    fchmod(&fd, Mode::from_bits_truncate(access.mode))
        .map_err(|e| os_error(e, format!("setting mode {:o} in {}", access.mode, directory.display())))?;
    if let Some(group) = access.group {
        fchown(&fd, None, Some(Gid::from_raw(group)))
            .map_err(|e| os_error(e, format!("giving a file in {} to group {group}", directory.display())))?;
    }
    Ok(fd)
}

/// Sizes and allocates `fd`.
pub fn allocate(fd: BorrowedFd<'_>, size: u64, place: &dyn std::fmt::Display) -> Result<()> {
    let what = || format!("reserving {size} bytes of shared memory in {place}");
    let length = i64::try_from(size).map_err(|_| Error::new(ErrorKind::InvalidArgument, what()))?;
    ftruncate(fd, length).map_err(|e| os_error(e, what()))?;
    loop {
        match fallocate(fd, FallocateFlags::empty(), 0, length) {
            Ok(()) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(os_error(e, what())),
        }
    }
}

/// Gives an unnamed file its name. `Err(Errno::EEXIST)` tells that somebody was first.
pub fn link(fd: BorrowedFd<'_>, path: &Path) -> std::result::Result<(), Errno> {
    let source = format!("/proc/self/fd/{}", fd.as_raw_fd());
    linkat(nix::fcntl::AT_FDCWD, source.as_str(), nix::fcntl::AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW)
}

/// Links or says why not.
pub fn link_or_error(fd: BorrowedFd<'_>, path: &Path) -> Result<()> {
    link(fd, path).map_err(|e| os_error(e, format!("creating {}", path.display())))
}

/// Opens an existing file.
pub fn open_existing(path: &Path, writable: bool) -> Result<OwnedFd> {
    let access = if writable { OFlag::O_RDWR } else { OFlag::O_RDONLY };
    open(path, access | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW, Mode::empty())
        .map_err(|e| os_error(e, format!("opening {}", path.display())))
}

/// The size of an open file.
pub fn size(fd: BorrowedFd<'_>) -> Result<u64> {
    fstat(fd).map(|s| s.st_size as u64).map_err(|e| os_error(e, "reading the size of a shared file"))
}

/// Reads at an offset without a mapping.
pub fn read_at(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: i64) -> Result<usize> {
    nix::sys::uio::pread(fd, buffer, offset).map_err(|e| os_error(e, "reading a shared file"))
}

/// Sets permission bits regardless of the umask.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fchmodat(nix::fcntl::AT_FDCWD, path, Mode::from_bits_truncate(mode), FchmodatFlags::FollowSymlink)
        .map_err(|e| os_error(e, format!("setting mode {mode:o} on {}", path.display())))
}

/// Makes a directory if it is missing, with exactly these permissions.
pub fn ensure_directory(path: &Path, access: &Access) -> Result<()> {
    match nix::unistd::mkdir(path, Mode::from_bits_truncate(access.directory_mode() & 0o700)) {
        Ok(()) => {
            if let Some(group) = access.group {
                chown(path, None, Some(Gid::from_raw(group)))
                    .map_err(|e| os_error(e, format!("giving {} to group {group}", path.display())))?;
            }
            set_mode(path, access.directory_mode())
        }
        Err(Errno::EEXIST) => Ok(()),
        Err(e) => Err(os_error(e, format!("making the directory {}", path.display()))),
    }
}

/// Refuses a runtime directory that somebody else could have laid out for us (squatting), that is
/// not memory, or that is not a directory at all.
pub fn check_directory(path: &Path, shared: bool) -> Result<()> {
    let denied = |why: String| {
        let remedy = "remove it, or set AXONIC_RUNTIME_DIR to a directory of your own on a tmpfs such as /dev/shm";
        Err(Error::new(ErrorKind::PermissionDenied, format!("runtime directory {}: {why}; {remedy}", path.display())))
    };
    let fd = match open(path, OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::ELOOP | Errno::ENOTDIR) => return denied("it is not a directory but a link or a file".into()),
        Err(e) => return Err(os_error(e, format!("opening the runtime directory {}", path.display()))),
    };
    let stat = fstat(&fd).map_err(|e| os_error(e, format!("looking at {}", path.display())))?;
    let me = Uid::effective();
    if !shared && stat.st_uid != me.as_raw() {
        return denied(format!("it belongs to user {}, not to user {me}", stat.st_uid));
    }
    if !shared && stat.st_mode & 0o022 != 0 {
        return denied(format!("others may write to it (mode {:o})", stat.st_mode & 0o7777));
    }
    let filesystem = statfs(path).map_err(|e| os_error(e, format!("looking at the filesystem of {}", path.display())))?;
    if filesystem.filesystem_type() != TMPFS_MAGIC {
        return denied("it is not on a tmpfs, so its memory would be written to a disk".into());
    }
    Ok(())
}

/// Whether an open file has lost its last name.
pub fn is_unlinked(fd: BorrowedFd<'_>) -> bool {
    fstat(fd).is_ok_and(|s| s.st_nlink == 0)
}

/// Removes a name; one that is gone already is no error.
pub fn unlink(path: &Path) {
    let _ = nix::unistd::unlink(path);
}

/// The names in a directory; a missing directory has none.
pub fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect()
}

/// Free and all bytes of the filesystem a path is on.
pub fn filesystem_space(path: &Path) -> Option<(u64, u64)> {
    let stat = statfs(path).ok()?;
    let block = stat.block_size() as u64;
    Some((stat.blocks_available() * block, stat.blocks() * block))
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
    use nix::sys::memfd::{MFdFlags, memfd_create};
    let failed = |e| os_error(e, format!("making a sealed region of {} bytes", data.len()));
    let fd = memfd_create("axonic", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).map_err(failed)?;
    allocate(fd.as_fd(), data.len() as u64, &"a sealed region")?;
    let mut written = 0;
    while written < data.len() {
        written += nix::sys::uio::pwrite(&fd, &data[written..], written as i64).map_err(failed)?;
    }
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SEAL;
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
