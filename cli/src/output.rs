//! Standard output: buffered, interruptible, and never a panic when its reader goes away.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::interrupt::Interrupt;
use crate::stop::Stop;

/// How much a pipe that polls writable takes without blocking (POSIX: PIPE_BUF).
const CHUNK: usize = 4096;

/// Standard output of this run. `std::io::stdout` is not used: its buffer belongs to the process
/// (a Python interpreter, perhaps), and what a broken pipe left in it would come out later.
pub(crate) struct Output<'a> {
    writer: BufWriter<Descriptor<'a>>,
    terminal: bool,
    colour: bool,
}

/// A descriptor of our own for what stdout is connected to.
struct Descriptor<'a> {
    file: File,
    interrupt: Option<&'a Interrupt>,
}

impl<'a> Output<'a> {
    /// Standard output for a verb that only prints and ends.
    pub(crate) fn open() -> Result<Output<'static>, Stop> {
        Output::new(None)
    }

    /// Standard output for a verb that waits: a signal ends a write that blocks, too.
    pub(crate) fn interruptible(interrupt: &'a Interrupt) -> Result<Output<'a>, Stop> {
        Output::new(Some(interrupt))
    }

    fn new(interrupt: Option<&'a Interrupt>) -> Result<Output<'a>, Stop> {
        let stdout = io::stdout();
        let owned = stdout
            .as_fd()
            .try_clone_to_owned()
            .map_err(|error| Stop::failed(format!("standard output: {error}")))?;
        let terminal = stdout.is_terminal();
        let colour = terminal
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let descriptor = Descriptor { file: File::from(owned), interrupt };
        Ok(Output { writer: BufWriter::with_capacity(64 << 10, descriptor), terminal, colour })
    }

    /// Is a person looking?
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Does that person want colours?
    pub(crate) fn has_colour(&self) -> bool {
        self.colour
    }

    /// `text` in `style` on a terminal that wants colours, and as it is everywhere else.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", style.sgr()) } else { text.to_owned() }
    }

    /// For poll: readers that went away show as `POLLERR`, even when there is nothing to write.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.writer.get_ref().file.as_fd()
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Write for Descriptor<'_> {
    /// A signal ends a write that would block, and no other: what was received before Ctrl-C still
    /// reaches a reader that has room. Node makes pipes non-blocking, so `EAGAIN` means "wait" here
    /// as it does for a blocking descriptor.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let room = &mut [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
            match self.interrupt {
                Some(interrupt) if poll(room, PollTimeout::ZERO)? == 0 => {
                    interrupt.wait_for(self.file.as_fd(), PollFlags::POLLOUT).map_err(io::Error::other)?;
                }
                Some(_) => {}
                None => drop(poll(room, PollTimeout::NONE)?),
            }
            match self.file.write(&bytes[..bytes.len().min(CHUNK)]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                other => return other,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a colour means here.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    /// Column heads.
    Head,
    /// Names of domains and sections.
    Name,
    /// Background information.
    Quiet,
    /// Worth a look.
    Warning,
    /// Wrong.
    Error,
    /// As it should be.
    Good,
}

impl Style {
    fn sgr(self) -> &'static str {
        match self {
            Style::Head => "2",
            Style::Name => "1",
            Style::Quiet => "2",
            Style::Warning => "33",
            Style::Error => "31",
            Style::Good => "32",
        }
    }
}

/// One line on stderr; a closed stderr is nobody's problem.
pub(crate) fn complain(message: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "axonic: {message}");
}
