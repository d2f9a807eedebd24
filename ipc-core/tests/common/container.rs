//! A container's worth of namespaces for a process: mounts and pids of its own, its own `/proc`, and a `/dev/shm` of
//! its own, in which a directory of the test appears under another name.

use nix::libc;
use std::ffi::{CStr, CString};
use std::io::{Error, Result};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every process that is started in it has namespaces of its own, where it is number 1.
pub struct Container {
    shared: CString,
    inside: PathBuf,
}

impl Container {
    /// `shared` is found as `/dev/shm/<name>` inside.
    pub fn new(shared: &Path, name: &str) -> Container {
        let shared = CString::new(shared.as_os_str().as_encoded_bytes()).unwrap();
        Container { shared, inside: Path::new("/dev/shm").join(name) }
    }

    /// Where the shared directory is for those inside.
    pub fn path(&self) -> &Path {
        &self.inside
    }

    /// Whether this system allows all this, found out by doing it.
    pub fn is_permitted(&self) -> bool {
        let mut probe = Command::new("/bin/true");
        self.hold(&mut probe);
        probe.status().is_ok_and(|status| status.success())
    }

    /// Lets `command` run inside. What was started outside stays there, waits for it, ends as it ends, and takes it
    /// along if it is killed.
    pub fn hold(&self, command: &mut Command) {
        let shared = self.shared.clone();
        let inside = CString::new(self.inside.as_os_str().as_encoded_bytes()).unwrap();
        let (user, group) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let maps =
            [(c"/proc/self/uid_map", format!("0 {user} 1")), (c"/proc/self/gid_map", format!("0 {group} 1"))];
        // SAFETY: between fork and exec it makes system calls only, on strings made before.
        unsafe { command.pre_exec(move || unshare(&maps).and_then(|()| move_in(&shared, &inside))) };
    }
}

fn check(result: libc::c_int) -> Result<libc::c_int> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}

/// Namespaces of its own; one for users too where nothing else makes it allowed.
fn unshare(maps: &[(&CStr, String)]) -> Result<()> {
    const OWN: libc::c_int = libc::CLONE_NEWNS | libc::CLONE_NEWPID;
    // SAFETY: a bare system call.
    if unsafe { libc::unshare(OWN) } == 0 {
        return Ok(());
    }
    // SAFETY: likewise.
    check(unsafe { libc::unshare(OWN | libc::CLONE_NEWUSER) })?;
    write(c"/proc/self/setgroups", b"deny")?;
    maps.iter().try_for_each(|(file, map)| write(file, map.as_bytes()))
}

fn write(path: &CStr, bytes: &[u8]) -> Result<()> {
    // SAFETY: system calls on a string and on bytes that outlive them.
    unsafe {
        let fd = check(libc::open(path.as_ptr(), libc::O_WRONLY))?;
        let written = libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        libc::close(fd);
        check(written as libc::c_int).map(drop)
    }
}

fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: libc::c_ulong) -> Result<()> {
    // SAFETY: a system call on strings that outlive it.
    let done =
        unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, std::ptr::null()) };
    check(done).map(drop)
}

/// Furnishes the namespaces and goes on as the first process of that of pids.
fn move_in(shared: &CStr, inside: &CStr) -> Result<()> {
    mount(c"none", c"/", c"", libc::MS_REC | libc::MS_PRIVATE)?;
    // SAFETY: system calls on strings that outlive them; the directory is bound from within itself, because what is
    // mounted over its parent hides its name.
    unsafe {
        let before = check(libc::open(c".".as_ptr(), libc::O_PATH | libc::O_CLOEXEC))?;
        check(libc::chdir(shared.as_ptr()))?;
        mount(c"tmpfs", c"/dev/shm", c"tmpfs", 0)?;
        check(libc::mkdir(inside.as_ptr(), 0o700))?;
        mount(c".", inside, c"", libc::MS_BIND)?;
        check(libc::fchdir(before))?;
        match check(libc::fork())? {
            0 => {
                check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
                mount(c"proc", c"/proc", c"proc", 0)
            }
            first => wait_for(first),
        }
    }
}

/// Ends as the process inside ends. The pipe that tells whether `exec` succeeded is its alone.
fn wait_for(first: libc::pid_t) -> ! {
    let mut status = 0;
    // SAFETY: this process does nothing any more but wait and end.
    unsafe {
        libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0);
        while libc::waitpid(first, &mut status, 0) < 0 && *libc::__errno_location() == libc::EINTR {}
        libc::_exit(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 101 })
    }
}
