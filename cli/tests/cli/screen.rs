//! The live `axonic top`, on a pseudo-terminal.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axonic::PublisherOptions;
use nix::fcntl::OFlag;
use nix::pty::{Winsize, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::harness::{Place, Running, until};

/// Both sides of a pseudo-terminal. Not `openpty`: its descriptors would be inherited by every child
/// of a test that runs at the same time.
fn pair() -> (File, File) {
    let ours = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let flags = OFlag::O_NOCTTY.bits();
    let theirs = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(ptsname_r(&ours).unwrap())
        .unwrap();
    let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request reads one window size from the pointer.
    let set = unsafe { libc::ioctl(theirs.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    assert_eq!(set, 0);
    (File::from(OwnedFd::from(ours)), theirs)
}

/// A terminal of 100 by 30, with what was drawn on it so far.
struct Terminal {
    ours: File,
    theirs: File,
    drawn: Arc<Mutex<String>>,
}

impl Terminal {
    fn new() -> Terminal {
        let (ours, theirs) = pair();
        let drawn = Arc::new(Mutex::new(String::new()));
        let (mut reader, sink) = (ours.try_clone().unwrap(), drawn.clone());
        // Ends with an error when the last copy of the other side is closed.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        Terminal { ours, theirs, drawn }
    }

    fn start(&self, place: &Place, args: &[&str]) -> Running {
        let side = || Stdio::from(self.theirs.try_clone().unwrap());
        Running::start(place.axonic(args).stdin(side()).stdout(side()).env("TERM", "xterm-256color"))
    }

    fn shows(&self, text: &str) -> bool {
        self.drawn.lock().unwrap().contains(text)
    }

    /// Does the terminal collect whole lines, as a shell expects it?
    fn is_cooked(&self) -> bool {
        tcgetattr(self.theirs.as_fd()).unwrap().local_flags.contains(LocalFlags::ICANON)
    }
}

const LEAVE_ALTERNATE_SCREEN: &str = "\x1b[?1049l";
const SHOW_CURSOR: &str = "\x1b[?25h";

#[test]
fn top_draws_until_told_to_quit_and_restores_the_terminal() {
    let place = Place::new();
    let domain = place.open("default");
    let _publisher = domain.publisher("sensors.left", &PublisherOptions::default()).unwrap();
    for end in [&b"q"[..], b"\x03", b""] {
        let mut terminal = Terminal::new();
        assert!(terminal.is_cooked());
        let mut top = terminal.start(&place, &["top"]);
        until("the topic is drawn", || terminal.shows("sensors.left") && terminal.shows("q quits"));
        assert!(!terminal.is_cooked());
        if end.is_empty() {
            top.signal(Signal::SIGTERM);
        } else {
            terminal.ours.write_all(end).unwrap();
        }
        let done = top.finish();
        assert_eq!((done.code, done.err.as_str()), (0, ""));
        assert!(terminal.is_cooked());
        until("the screen is back", || terminal.shows(LEAVE_ALTERNATE_SCREEN) && terminal.shows(SHOW_CURSOR));
    }
}

#[test]
fn top_ends_when_its_terminal_has_gone() {
    let place = Place::new();
    let _domain = place.open("default");
    let (mut ours, theirs) = pair();
    let side = || Stdio::from(theirs.try_clone().unwrap());
    let mut command = place.axonic(["top"]);
    let mut top = Running::start(command.stdin(side()).stdout(side()).stderr(side()));
    // Neither this process nor the command holds the other side open.
    drop((command, theirs));
    assert!(ours.read(&mut [0; 16]).unwrap() > 0, "it began to draw");
    assert!(top.child().try_wait().unwrap().is_none());
    drop(ours);
    assert_eq!(top.finish().code, 0);
}

#[test]
fn a_missing_domain_is_told_before_the_screen_changes() {
    let place = Place::new();
    let terminal = Terminal::new();
    let done = terminal.start(&place, &["top", "--domain", "nowhere"]).finish();
    assert!(done.code == 1 && done.err.contains("nowhere"), "{done:?}");
    assert!(!terminal.shows("\x1b"));
}

#[test]
fn colours_are_for_terminals_whose_owner_wants_them() {
    let place = Place::new();
    let _domain = place.open("default");
    let terminal = Terminal::new();
    terminal.start(&place, &["ls"]).finish();
    until("it is drawn", || terminal.shows("default"));
    assert!(terminal.shows("\x1b["));

    let plain = Terminal::new();
    let side = || Stdio::from(plain.theirs.try_clone().unwrap());
    Running::start(place.axonic(["ls"]).stdout(side()).env("NO_COLOR", "1")).finish();
    until("it is drawn", || plain.shows("default"));
    assert!(!plain.shows("\x1b["));
}
