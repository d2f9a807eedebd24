//! `inproc://name`: a channel within one process, over a bounded queue each way.
//!
//! A message is copied once, by whoever sends it, into memory that is the receiver's from then on. Listeners are in a table
//! of this process, under their domain's directory: the same name in another domain is another place, and a forked child
//! has a table of its own.

mod halves;

use super::address::Address;
use super::link::Half;
use super::sleeper::Sleeper;
use super::{ChannelOptions, Link, Listened, Listening, Wake};
use crate::domain::asked::Asker;
use crate::domain::{Domain, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::name::check_name;
use crate::sys::atomic::{AtomicU32, Ordering, fence};
use crate::sys::clock::Deadline;
use crate::sys::fork::{self, Single};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// So many channels wait to be accepted.
const BACKLOG: usize = 128;

/// Whoever waits to be taken up there looks around so often.
const OFTEN: Duration = Duration::from_millis(50);

/// The domain's directory and the name.
type Place = (PathBuf, String);

static LISTENERS: Single<Mutex<BTreeMap<Place, Arc<Door>>>> = Single::new();

/// Where channels are handed to a listener.
struct Door {
    put: Sender<Link>,
    take: Receiver<Link>,
    sleeper: Sleeper,
    max_message: usize,
    /// The listener is gone.
    shut: AtomicU32,
}

impl Door {
    fn new(max_message: usize) -> Result<Arc<Door>> {
        let (put, take) = bounded(BACKLOG);
        Ok(Arc::new(Door { put, take, sleeper: Sleeper::new()?, max_message, shut: AtomicU32::new(0) }))
    }

    /// **P2** listener: shut, fence, empty — comer: put, fence, look whether it is shut. At least one sees the other, so
    /// that nobody waits in a door that is shut.
    fn empty_if_shut(&self) -> Result<()> {
        fence(Ordering::SeqCst);
        if self.shut.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        while self.take.try_recv().is_ok() {}
        let text = "who listened there ended before it accepted; connect anew";
        Err(Error::new(ErrorKind::Disconnected, text))
    }

    /// Puts a channel where the listener finds it.
    fn hand_over(&self, domain: &Domain, mut link: Link, deadline: &Deadline) -> Result<()> {
        let mut asker = Asker::new();
        loop {
            asker.ask()?;
            let limit = deadline.remaining().map_or(OFTEN, |left| left.min(OFTEN));
            let handed = self.put.send_timeout(link, limit);
            self.empty_if_shut()?;
            let Err(e) = handed else {
                self.sleeper.wake();
                return Ok(());
            };
            link = e.into_inner();
            domain.usable().then_some(()).ok_or_else(|| crate::domain::closed("its domain"))?;
            if deadline.passed() {
                let text = format!(
                    "{BACKLOG} channels wait for who listens there to accept them; give it more time, or see what it does"
                );
                return Err(Error::new(ErrorKind::Timeout, text));
            }
        }
    }
}

fn place(domain: &Domain, address: &Address) -> Result<Place> {
    check_name("listener", address.place())?;
    Ok((domain.path().into(), address.place().into()))
}

struct InprocListening {
    /// The token of the process that listens.
    process: u64,
    place: Place,
    door: Arc<Door>,
    watched: bool,
}

pub fn listen(domain: &Domain, address: &Address, options: &ChannelOptions) -> Result<Listened> {
    let place = place(domain, address)?;
    let door = Door::new(options.max_message)?;
    let mut listeners = lock(LISTENERS.get());
    if listeners.contains_key(&place) {
        let text = "this process listens there already, and one can; close it first, or use another name";
        return Err(Error::new(ErrorKind::Busy, text));
    }
    listeners.insert(place.clone(), door.clone());
    let called = door.clone();
    let wake: Wake = Box::new(move || called.sleeper.call());
    let listening = InprocListening { process: fork::token(), place, door, watched: false };
    Ok(Listened { listening: Box::new(listening), address: address.clone(), wake })
}

impl Half for InprocListening {
    fn arm(&mut self) -> Result<bool> {
        Ok(self.door.sleeper.arm(|| !self.door.take.is_empty()))
    }

    fn sleep(&mut self, limit: Option<Duration>) -> Result<()> {
        self.door.sleeper.sleep(limit)
    }

    fn fd(&mut self) -> Result<RawFd> {
        Ok(self.door.sleeper.watch(&mut self.watched))
    }

    fn is_watched(&self) -> bool {
        self.watched
    }
}

impl Listening for InprocListening {
    fn accept(&mut self) -> Result<Option<Link>> {
        Ok(self.door.take.try_recv().ok())
    }
}

impl Drop for InprocListening {
    fn drop(&mut self) {
        // A forked child has a table of its own.
        if self.process == fork::token() {
            lock(LISTENERS.get()).remove(&self.place);
        }
        self.door.shut.store(1, Ordering::Release);
        let _ = self.door.empty_if_shut();
    }
}

pub fn connect(
    domain: &Domain,
    address: &Address,
    options: &ChannelOptions,
    deadline: &Deadline,
) -> Result<Link> {
    let door = lock(LISTENERS.get()).get(&place(domain, address)?).cloned().ok_or_else(|| {
        let text =
            "nobody listens there in this process and domain; start who shall, or use shm: between processes";
        Error::new(ErrorKind::NotFound, text)
    })?;
    let (ours, theirs) = halves::pair(options.max_message, door.max_message)?;
    door.hand_over(domain, theirs, deadline)?;
    Ok(ours)
}
