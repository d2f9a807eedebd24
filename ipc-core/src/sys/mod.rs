//! The only room for the operating system: everything above speaks of mappings, descriptors,
//! bells, locks and clocks, and a port replaces what is here.

pub mod atomic;
#[cfg(not(loom))]
pub mod clock;
#[cfg(not(loom))]
pub mod crash;
#[cfg(not(loom))]
pub mod descriptor;
#[cfg(not(loom))]
pub mod disk;
pub mod fence;
#[cfg(not(loom))]
pub mod file;
#[cfg(not(loom))]
pub mod fork;
#[cfg(not(loom))]
pub mod futex;
#[cfg(not(loom))]
pub mod lock;
#[cfg(not(loom))]
pub mod mapping;
#[cfg(not(loom))]
pub mod packet;
#[cfg(not(loom))]
pub mod pipe;
#[cfg(not(loom))]
pub mod process;
#[cfg(not(loom))]
pub mod ready;
#[cfg(not(loom))]
pub mod socket;
#[cfg(not(loom))]
pub mod socket_file;

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    target_pointer_width = "64",
    target_endian = "little"
)))]
compile_error!("axonic runs on 64-bit little-endian Linux (x86-64, aarch64) only");

#[cfg(not(loom))]
pub use errno::os_error;

#[cfg(not(loom))]
mod errno {
    use crate::error::{Error, ErrorKind};
    use nix::errno::Errno;

    /// Names a failed system call: `what` says what was being done to which object.
    pub fn os_error(errno: Errno, what: impl std::fmt::Display) -> Error {
        let (kind, remedy) = match errno {
            Errno::EMFILE => (
                ErrorKind::LimitReached,
                "this process has no file descriptors left: raise `ulimit -n` (RLIMIT_NOFILE) or close handles",
            ),
            Errno::ENFILE => {
                (ErrorKind::LimitReached, "the system has no file descriptors left: raise fs.file-max")
            }
            Errno::ENOSPC | Errno::EDQUOT => (
                ErrorKind::NoSpace,
                "the shared-memory filesystem is full: enlarge it (containers: --shm-size), lower capacity or max_bytes, or run `axonic doctor --clean`",
            ),
            Errno::EFBIG => (
                ErrorKind::LimitReached,
                "this process may not make files that large: raise `ulimit -f`, or lower capacity or max_bytes",
            ),
            Errno::ENOLCK => (ErrorKind::LimitReached, "the system has no file locks left: close handles"),
            Errno::ENAMETOOLONG => (
                ErrorKind::InvalidArgument,
                "the path is too long: use a shorter runtime directory (AXONIC_RUNTIME_DIR) or name",
            ),
            Errno::ENOMEM => (
                ErrorKind::NoSpace,
                "the system has no memory or address space left for it: close something, or raise its memory limit",
            ),
            Errno::EACCES | Errno::EPERM => (
                ErrorKind::PermissionDenied,
                "check the owner and mode of the runtime directory (AXONIC_RUNTIME_DIR)",
            ),
            Errno::EROFS => (
                ErrorKind::PermissionDenied,
                "the runtime directory is read-only: point AXONIC_RUNTIME_DIR at a writable tmpfs",
            ),
            Errno::ENOENT => (ErrorKind::NotFound, "it does not exist: make it first"),
            Errno::EEXIST => (ErrorKind::AlreadyExists, "it exists already: remove it first"),
            Errno::EINTR => (ErrorKind::Interrupted, "a signal interrupted it: try again"),
            _ => (ErrorKind::Io, errno.desc()),
        };
        Error::new(kind, format!("{what}: {remedy} ({errno:?})"))
    }
}
