//! Processes: pid namespaces, start times, and descriptors that become readable at death.

use super::os_error;
use crate::error::Result;
use nix::errno::Errno;
use nix::libc;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

/// The number of this process in its own pid namespace.
pub fn pid() -> u32 {
    std::process::id()
}

/// A number nobody foresees.
pub fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // Its keys are the system's random numbers; a forked child has the same, but not the same process id.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(pid());
    hasher.write_u64(super::clock::unix_millis());
    hasher.finish()
}

/// Whether this is the only thread of its process.
pub fn single_threaded() -> bool {
    // A directory has one link per subdirectory besides its own two: one task, three links.
    std::fs::metadata("/proc/self/task").is_ok_and(|task| task.nlink() == 3)
}

/// Identifies where this process's pid and start time mean something: its pid namespace in the low half, its
/// time namespace, which shifts start times, in the high half. Zero: nowhere that is known, and so it is where
/// `/proc` is that of another pid namespace and tells of other processes under the same numbers.
pub fn namespace() -> u64 {
    if std::fs::read_link("/proc/self").ok().and_then(|own| own.to_str()?.parse().ok()) != Some(pid()) {
        return 0;
    }
    let inode = |name: &str| std::fs::metadata(format!("/proc/self/ns/{name}")).map_or(0, |m| m.ino());
    match inode("pid") {
        0 => 0,
        pids => inode("time") << 32 | pids,
    }
}

/// When a process started, in clock ticks since boot: tells a reused pid from the first bearer.
pub fn start_time(pid: u32) -> Option<u64> {
    start_in(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn start_in(stat: &str) -> Option<u64> {
    // The command in parentheses may contain anything; fields are counted after the last ')'.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// What /proc tells of this process; `None` where it does not. Lacking a descriptor to look is an error: what is not known
/// at first would not be known for as long as the process lives.
pub fn read_own(name: &str) -> Result<Option<String>> {
    let path = format!("/proc/self/{name}");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(e) => match Errno::from_raw(e.raw_os_error().unwrap_or(0)) {
            lack @ (Errno::EMFILE | Errno::ENFILE) => Err(os_error(lack, format!("reading {path}"))),
            _ => Ok(None),
        },
    }
}

/// When this process started; zero where /proc does not tell: others watch it by slower means then.
pub fn own_start_time() -> Result<u64> {
    Ok(read_own("stat")?.and_then(|stat| start_in(&stat)).unwrap_or(0))
}

/// Whether a process is stopped (SIGSTOP, a debugger).
pub fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| matches!(rest.trim_start().chars().next(), Some('T' | 't')))
}

/// How many descriptors a process has open, and how many it may; `None` where that is nobody's business.
pub fn descriptors(pid: u32) -> Option<(u64, u64)> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let limit = line.split_whitespace().next()?.parse().ok()?;
    Some((std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64, limit))
}

/// The name people know this process by.
pub fn program_name() -> String {
    let first = std::env::args_os().next().unwrap_or_default();
    let path = std::path::Path::new(&first);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name.starts_with("python") || name == "node" {
        let script = std::env::args_os().skip(1).find(|a| !a.to_string_lossy().starts_with('-'));
        if let Some(file) = script.as_ref().and_then(|s| std::path::Path::new(s).file_name()) {
            return format!("{name} {}", file.to_string_lossy());
        }
    }
    name
}

/// A descriptor of another process that is readable once it has exited.
pub struct PidFd(OwnedFd);

impl PidFd {
    /// `None` when the process is gone already.
    pub fn open(pid: u32) -> Result<Option<PidFd>> {
        // SAFETY: pidfd_open takes a number and flags and returns a fresh descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
        match Errno::result(fd) {
            // SAFETY: a descriptor the kernel just gave us, owned by nobody else.
            Ok(fd) => Ok(Some(PidFd(unsafe { OwnedFd::from_raw_fd(fd as i32) }))),
            // EINVAL: no process can have this number.
            Err(Errno::ESRCH | Errno::EINVAL) => Ok(None),
            Err(e) => Err(os_error(e, format!("watching process {pid}"))),
        }
    }

    /// Whether the process has exited.
    pub fn exited(&self) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1))
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
