//! Tests that need a process of their own (lowered limits, another user, a small filesystem, a kill) run
//! their own binary again, filtered to themselves, with a role to play.

use nix::libc;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const ROLE: &str = "AXONIC_TEST_ROLE";
const DIRECTORY: &str = "AXONIC_TEST_DIRECTORY";

/// The role this process was started to play; `None` in the test itself.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// The directory the role plays in.
pub fn directory() -> PathBuf {
    PathBuf::from(std::env::var_os(DIRECTORY).expect("a role without a directory"))
}

/// The test `name` of this binary as `role` in `directory`.
pub fn command(name: &str, role: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(DIRECTORY, directory);
    command
}

/// Runs it to its end, which must be a good one.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("1 passed"),
        "no such test: {}",
        describe(&output)
    );
}

pub fn describe(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// Says past the harness's capture that something could not be tested here.
pub fn skip(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {what}");
}

/// Lets `command` run in a mount namespace of its own, where a tmpfs with these options covers `directory`.
/// `false`: this system does not allow it.
pub fn with_tmpfs(command: &mut Command, directory: &Path, options: &str, read_only: bool) -> bool {
    let path = std::ffi::CString::new(directory.as_os_str().as_encoded_bytes()).unwrap();
    let options = std::ffi::CString::new(options).unwrap();
    let (user, group) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let maps = [
        ("/proc/self/setgroups\0", "deny".to_string()),
        ("/proc/self/uid_map\0", format!("0 {user} 1")),
        ("/proc/self/gid_map\0", format!("0 {group} 1")),
    ];
    let enter = move || {
        // SAFETY: system calls on constants and on strings made before the fork.
        unsafe {
            if libc::unshare(libc::CLONE_NEWNS) != 0 {
                check(libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS))?;
                for (file, text) in &maps {
                    let fd = libc::open(file.as_ptr().cast(), libc::O_WRONLY);
                    check(fd)?;
                    check(libc::write(fd, text.as_ptr().cast(), text.len()) as i32)?;
                    libc::close(fd);
                }
            }
            let none = std::ptr::null();
            check(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()))?;
            let flags = if read_only { libc::MS_RDONLY } else { 0 };
            check(libc::mount(
                c"tmpfs".as_ptr(),
                path.as_ptr(),
                c"tmpfs".as_ptr(),
                flags,
                options.as_ptr().cast(),
            ))
        }
    };
    // Whether it is allowed is found out by doing it.
    let mut probe = Command::new("/bin/true");
    // SAFETY: as above, between fork and exec.
    let allowed = unsafe { probe.pre_exec(enter.clone()) }.status().is_ok_and(|s| s.success());
    // SAFETY: as above.
    unsafe { command.pre_exec(enter) };
    allowed
}

fn check(result: i32) -> std::io::Result<()> {
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// A role that runs beside the test until it is told to end.
pub struct Running(std::process::Child);

impl Running {
    /// Starts a role and waits until it says that it is ready.
    pub fn start(name: &str, role: &str, directory: &Path) -> Running {
        Running::of(command(name, role, directory))
    }

    /// The same of a command that is a role.
    pub fn of(mut command: Command) -> Running {
        use std::io::{BufRead, BufReader};
        use std::process::Stdio;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let ready = lines.any(|line| line.unwrap().ends_with(READY));
        assert!(ready, "{command:?} ended before it was ready");
        Running(child)
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Lets it end without dropping anything, as a crash does.
    pub fn exit(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }

    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

const READY: &str = "the role is ready";

/// For a role: it is ready.
pub fn ready() {
    println!("{READY}");
}

/// For a role: ready; ends as a crash does when it is told to, or when the test is gone.
pub fn ready_until_told() -> ! {
    ready();
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
    // SAFETY: ends the process at once; nothing is run after it.
    unsafe { libc::_exit(0) }
}

/// How a forked child ended; one that hangs so long is killed.
pub fn ended(child: Pid, patience: Duration) -> Option<i32> {
    let began = Instant::now();
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)).unwrap() {
            WaitStatus::StillAlive if began.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(1));
            }
            WaitStatus::StillAlive => {
                nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
                waitpid(child, None).unwrap();
                return None;
            }
            status => return if let WaitStatus::Exited(_, code) = status { Some(code) } else { None },
        }
    }
}
