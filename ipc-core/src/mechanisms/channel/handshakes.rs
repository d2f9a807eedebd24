//! Handshakes, where the two ends must agree before there is a channel. Whoever connects may take its time over it: at a
//! listener so many go on at once, for so long at most, and nobody waits for them.

use super::address::Address;
use super::link::Half;
use super::{Link, Listened, Listening, Wake};
use crate::domain::asked::Asker;
use crate::domain::{Domain, closed};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::{Deadline, monotonic_nanos};
use crate::sys::descriptor::{Epoll, Signal, Timer};
use crate::sys::fork::Own;
use crate::sys::ready::{For, sleep_for};
use crate::sys::socket;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, info};

/// So many go on at once at a listener; if one more begins, the oldest is given up.
const HANDSHAKES: usize = 64;

/// One may take so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many who are not let in are told of at level info in a second, and the others at level debug: a flood of them is not to
/// fill anybody's log.
const TOLD: u32 = 20;

/// So many connections are taken at a time before something else is done.
const BATCH: usize = 256;

/// Whoever connects looks up so often.
const OFTEN: Duration = Duration::from_millis(50);

/// A handshake with somebody who has connected.
pub trait Handshake: Send {
    /// The connection, also when it has become a channel.
    fn fd(&self) -> BorrowedFd<'_>;

    /// Goes on as far as that is possible without waiting; the signal is for the channel that becomes of it.
    fn go_on(&mut self, signal: Signal) -> Step;

    /// Whether it waits for room for what it has to say, rather than for the other end.
    fn is_blocked(&self) -> bool {
        false
    }
}

/// What came of going on.
pub enum Step {
    Done(Result<Link>),
    Later(Signal),
    /// They do not agree, and the other end was told so.
    Refused(String),
}

/// A handshake that goes on.
struct Going<H> {
    since: Instant,
    /// Nobody has looked yet at what it says.
    is_new: bool,
    blocked: bool,
    handshake: H,
}

impl<H: Handshake> Going<H> {
    /// Has it watched for what it waits for.
    fn watch(&mut self, epoll: &Epoll) -> Result<()> {
        let (fd, blocked) = (self.handshake.fd(), self.handshake.is_blocked());
        if blocked != self.blocked {
            epoll.remove(fd);
            if blocked { epoll.add_output(fd, 0) } else { epoll.add(fd, 0) }?;
            self.blocked = blocked;
        }
        Ok(())
    }
}

/// A socket that is listened at, and the handshakes of those who have connected.
struct Handshaking<H, B> {
    fd: Own<OwnedFd>,
    address: String,
    begin: B,
    /// Of the next channel: with no descriptor left for it, nobody is taken out of the line.
    signal: Option<Signal>,
    /// From the oldest to the newest.
    going: Vec<Going<H>>,
    /// The listening socket, those of the handshakes, when the next of them is given up, and who calls.
    epoll: Epoll,
    timer: Timer,
    watched: bool,
    /// Since when this second is, and of how many it was told in it.
    told: (Instant, u32),
}

/// What listens at a socket, and begins a handshake with whoever connects.
pub fn listened<H: Handshake + 'static>(
    fd: OwnedFd,
    address: Address,
    begin: impl FnMut(OwnedFd) -> Result<H> + Send + 'static,
) -> Result<Listened> {
    let (epoll, timer, call) = (Epoll::new()?, Timer::new()?, Arc::new(Signal::new()?));
    for watched in [fd.as_fd(), timer.as_fd(), call.as_fd()] {
        epoll.add(watched, 0)?;
    }
    let wake: Wake = Box::new(move || call.raise());
    let listening = Handshaking {
        fd: Own::new(fd)?,
        address: address.to_string(),
        begin,
        signal: None,
        going: Vec::new(),
        epoll,
        timer,
        watched: false,
        told: (Instant::now(), 0),
    };
    Ok(Listened { listening: Box::new(listening), address, wake })
}

impl<H: Handshake, B: FnMut(OwnedFd) -> Result<H>> Handshaking<H, B> {
    /// Takes who has connected.
    fn take_in(&mut self) -> Result<()> {
        for _ in 0..BATCH {
            // Many may come at once, and have said all: they are not given up for each other.
            if self.going.len() == HANDSHAKES && self.going[0].is_new {
                return Ok(());
            }
            let Some(fd) = socket::accept(self.fd.as_fd())? else { return Ok(()) };
            let handshake = (self.begin)(fd)?;
            if self.going.len() == HANDSHAKES {
                self.give_up("others came");
            }
            self.epoll.add(handshake.fd(), 0)?;
            self.going.push(Going { since: Instant::now(), is_new: true, blocked: false, handshake });
        }
        Ok(())
    }

    /// Gives the oldest handshake up.
    fn give_up(&mut self, why: &str) {
        self.epoll.remove(self.going.remove(0).handshake.fd());
        debug!("listener '{}': a handshake was given up: {why}", self.address);
    }

    /// Goes on with all handshakes until one is done.
    fn go_on(&mut self) -> Result<Option<Link>> {
        let mut at = 0;
        while let Some(going) = self.going.get_mut(at) {
            let signal = self.signal.take().map_or_else(Signal::new, Ok)?;
            // Whatever happens in this one, the others go on.
            let step = catch_unwind(AssertUnwindSafe(|| going.handshake.go_on(signal)));
            if let Ok(Step::Later(signal)) = step {
                self.signal = Some(signal);
                going.is_new = false;
                going.watch(&self.epoll)?;
                at += 1;
                continue;
            }
            self.epoll.remove(self.going.remove(at).handshake.fd());
            match step {
                Ok(Step::Done(link)) => return link.map(Some),
                Ok(Step::Refused(why)) => self.tell(&why),
                _ => self.tell("it panicked"),
            }
        }
        Ok(None)
    }

    fn tell(&mut self, why: &str) {
        if self.told.0.elapsed() >= Duration::from_secs(1) {
            self.told = (Instant::now(), 0);
        }
        self.told.1 += 1;
        if self.told.1 <= TOLD {
            info!("listener '{}': somebody was not let in: {why}", self.address);
        } else {
            debug!("listener '{}': somebody was not let in: {why}", self.address);
        }
    }

    /// Gives up what takes too long, and sees to it that it is done in time.
    fn tidy_up(&mut self) -> Result<()> {
        self.timer.take();
        while self.going.first().is_some_and(|oldest| oldest.since.elapsed() >= PATIENCE) {
            self.give_up("it took too long");
        }
        if let Some(oldest) = self.going.first() {
            let left = PATIENCE.saturating_sub(oldest.since.elapsed());
            self.timer.at(monotonic_nanos() + left.as_nanos() as u64)?;
        }
        Ok(())
    }
}

impl<H: Handshake, B: FnMut(OwnedFd) -> Result<H> + Send> Half for Handshaking<H, B> {
    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        self.epoll.wait(limit, |_| ())
    }

    fn fd(&mut self) -> Result<RawFd> {
        self.watched = true;
        Ok(self.epoll.as_raw_fd())
    }

    fn is_watched(&self) -> bool {
        self.watched
    }
}

impl<H: Handshake, B: FnMut(OwnedFd) -> Result<H> + Send> Listening for Handshaking<H, B> {
    fn accept(&mut self) -> Result<Option<Link>> {
        if self.signal.is_none() {
            self.signal = Some(Signal::new()?);
        }
        let taken = self.take_in();
        let link = self.go_on()?;
        self.tidy_up()?;
        // Whoever is there already is not kept waiting by what new ones fail with.
        if link.is_none() {
            taken?;
        }
        Ok(link)
    }
}

/// Goes on with the handshake of one who connects until it gives something.
pub fn complete<T>(
    domain: &Domain,
    fd: BorrowedFd<'_>,
    deadline: &Deadline,
    protocol: &str,
    mut go_on: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let mut asker = Asker::new();
    loop {
        if let Some(done) = go_on()? {
            return Ok(done);
        }
        if deadline.passed() {
            let text = format!(
                "who listens there has not answered the handshake; give it more time, or see whether it speaks {protocol}"
            );
            return Err(Error::new(ErrorKind::Timeout, text));
        }
        if !domain.usable() {
            return Err(closed("its domain"));
        }
        asker.ask()?;
        let nap = deadline.remaining().map_or(OFTEN, |left| left.min(OFTEN));
        sleep_for(fd, For::Input, Some(nap))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lock;
    use crate::mechanisms::channel::stream::{self, Framing, Greets};
    use crate::mechanisms::channel::wire::{Family, SocketWire};
    use crate::mechanisms::channel::{ChannelOptions, Peer};
    use crate::sys::ready::is_ready;
    use std::io::Write;
    use std::net::TcpStream;
    use std::sync::Mutex;
    use tracing::{Event, Level, Metadata, Subscriber, span};

    /// Does what a letter says that comes.
    struct Lettered {
        fd: OwnedFd,
        blocked: bool,
    }

    impl Handshake for Lettered {
        fn fd(&self) -> BorrowedFd<'_> {
            self.fd.as_fd()
        }

        fn go_on(&mut self, signal: Signal) -> Step {
            let mut letter = [0];
            match socket::receive_to(self.fd.as_fd(), &mut letter).map(|got| got.map(|_| letter[0])) {
                Ok(Some(b'p')) => panic!("as it was told"),
                Ok(Some(b'd')) => {
                    let wire = SocketWire::new(self.fd.try_clone().unwrap(), Family::Tcp).unwrap();
                    let (framing, options) = (Framing::plain(), ChannelOptions::default());
                    let greets = Greets::Second;
                    let peer = Peer::default();
                    Step::Done(stream::link(Box::new(wire), framing, greets, &options, stream::CAN, peer))
                }
                Ok(Some(b'r')) => Step::Refused("as it was told".into()),
                Ok(letter) => {
                    self.blocked = letter.map_or(self.blocked, |letter| letter == b'b');
                    Step::Later(signal)
                }
                Err(e) => Step::Refused(e.message().into()),
            }
        }

        fn is_blocked(&self) -> bool {
            self.blocked
        }
    }

    /// Who listens, and what connects to it.
    fn stage() -> (Listened, impl Fn() -> TcpStream) {
        let fd = socket::listen_tcp(&"127.0.0.1:0".parse().unwrap(), 100).unwrap();
        let port = socket::port(fd.as_fd()).unwrap();
        let address = "tcp://127.0.0.1:0".parse().unwrap();
        let listened = listened(fd, address, |fd| Ok(Lettered { fd, blocked: false })).unwrap();
        (listened, move || TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    /// Goes on until everything that was said has been heard.
    fn settle(listened: &mut Listened) -> Vec<Link> {
        let listening = &mut listened.listening;
        std::iter::repeat_with(|| {
            listening.sleep(Some(Duration::from_millis(20))).unwrap();
            listening.accept().unwrap()
        })
        .take(20)
        .flatten()
        .collect()
    }

    #[test]
    fn one_that_fails_is_the_end_of_no_other() {
        let (mut listened, connect) = stage();
        let mut all: Vec<TcpStream> = (0..6).map(|_| connect()).collect();
        assert!(settle(&mut listened).is_empty());
        for (stream, letter) in all[1..5].iter_mut().zip([b"p", b"r", b"d", b"p"]) {
            stream.write_all(letter).unwrap();
        }
        assert_eq!(settle(&mut listened).len(), 1);
        for stream in [0, 5] {
            all[stream].write_all(b"d").unwrap();
        }
        assert_eq!(settle(&mut listened).len(), 2);
    }

    #[test]
    fn one_that_waits_for_room_is_watched_for_it() {
        let (mut listened, connect) = stage();
        let mut stream = connect();
        assert!(settle(&mut listened).is_empty());
        let fd = listened.listening.fd().unwrap();
        // SAFETY: who listens has it as long as this.
        let readable = || is_ready(unsafe { BorrowedFd::borrow_raw(fd) }, For::Input).unwrap();
        assert!(!readable());
        stream.write_all(b"b").unwrap();
        assert!(settle(&mut listened).is_empty() && readable(), "there is room");
        stream.write_all(b"-").unwrap();
        assert!(settle(&mut listened).is_empty() && !readable());
        stream.write_all(b"d").unwrap();
        assert_eq!(settle(&mut listened).len(), 1);
    }

    /// Keeps the levels at which it is told of somebody who was not let in.
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<Level>>>);

    impl Subscriber for Told {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == module_path!().trim_end_matches("::tests")
        }

        fn event(&self, event: &Event<'_>) {
            lock(&self.0).push(*event.metadata().level());
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            unreachable!("the library opens no span")
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn a_flood_of_those_who_are_not_let_in_fills_no_log() {
        let (mut listened, connect) = stage();
        let told = Told::default();
        let refuse = |listened: &mut Listened, count: usize| {
            let before = lock(&told.0).len();
            let mut all: Vec<TcpStream> = (0..count).map(|_| connect()).collect();
            all.iter_mut().for_each(|stream| stream.write_all(b"r").unwrap());
            while lock(&told.0).len() < before + count {
                listened.listening.sleep(Some(Duration::from_secs(20))).unwrap();
                assert!(listened.listening.accept().unwrap().is_none());
            }
            lock(&told.0).split_off(before)
        };
        tracing::subscriber::with_default(told.clone(), || {
            let began = Instant::now();
            let levels = refuse(&mut listened, 60);
            let in_each = TOLD as usize;
            assert!(levels[..in_each].iter().all(|level| *level == Level::INFO), "{levels:?}");
            let loud = levels.iter().filter(|level| **level == Level::INFO).count();
            assert!(loud <= in_each * (1 + began.elapsed().as_secs() as usize), "{levels:?}");
            std::thread::sleep(Duration::from_secs(1));
            assert_eq!(refuse(&mut listened, 1), [Level::INFO], "of each second some are told");
        });
    }
}
