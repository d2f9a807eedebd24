//! Sleeping and being woken.
//!
//! A sleeper owns a waiter: a word `armed` in its own shared page, a FIFO (its bell), and an epoll
//! set over the bell and the pidfds of its peers. Odd values of `armed` mean asleep or about to be;
//! each arming has a new value, so a ringer rings once per arming. The domain counts the armings of subscribers:
//! a publisher, which may have many to wake, looks at one word and goes round only when it moved.
//!
//! Pairs, by name (see docs/protocol.md):
//! - **W1** sleeper: say who it is, `armed = odd`, a subscriber: count the arming, heavy fence, look again — ringer:
//!   commit, light fence, a publisher: read the count of armings and go on only if it moved; read who is there, read
//!   `armed`. At least one sees the other, so no wake-up is lost.
//! - Only the sleeper changes `armed`. A ringer killed between reading it and ringing leaves a
//!   sleeper whose epoll set still holds the ringer's pidfd: the death wakes it and it looks again.

use crate::domain::steps::Generation;
use crate::error::Result;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::fence;

/// Where a sleeper says that it sleeps: in its own page, and, where those who wake it count armings, there.
#[derive(Clone, Copy)]
pub struct Arming<'a> {
    pub armed: &'a AtomicU64,
    pub count: Option<&'a Generation>,
}

impl Arming<'_> {
    /// Arms and fences; the caller must look for work once more before sleeping. Pairs with [`is_armed`] (W1).
    pub fn arm(self, registered_peers: bool) {
        let value = self.armed.load(Ordering::Relaxed);
        self.armed.store(value | 1, Ordering::Relaxed);
        self.count.map(Generation::raise);
        fence::heavy(registered_peers);
    }
}

/// Back awake: the next arming has another value.
pub fn disarm(armed: &AtomicU64) {
    let value = armed.load(Ordering::Relaxed);
    if value & 1 == 1 {
        armed.store(value.wrapping_add(1), Ordering::Release);
    }
}

/// The ringer's look, after its commit and light fence: the value to remember when a ring is due.
#[inline(always)]
pub fn is_armed(armed: &AtomicU64, last_rung: u64) -> Option<u64> {
    let value = armed.load(Ordering::Relaxed);
    if value & 1 == 1 && value != last_rung { Some(value) } else { None }
}

/// One turn of waiting (W1): arms, looks again, sleeps only if there is nothing, disarms.
pub fn turn<S, T, D: Default>(
    sleeper: &mut S,
    arming: fn(&S) -> Arming<'_>,
    registered_peers: bool,
    look: &mut dyn FnMut(&mut S) -> Result<Option<T>>,
    sleep: impl FnOnce(&mut S) -> Result<D>,
) -> (Result<Option<T>>, Result<D>) {
    arming(sleeper).arm(registered_peers);
    let looked = look(sleeper);
    let slept = match looked {
        Ok(None) => sleep(sleeper),
        _ => Ok(D::default()),
    };
    disarm(arming(sleeper).armed);
    (looked, slept)
}

/// For a sleeper whose descriptor somebody else watches (W1): silences the bell and arms anew if it was rung
/// or something was `taken` since it was armed; the caller looks once more after that. `silence` tells whether it was
/// rung, and whether peers died or may have. `None`: armed and silent as before; otherwise the latter.
pub fn rearm(
    arming: Arming<'_>,
    registered_peers: bool,
    taken: &mut bool,
    silence: impl FnOnce() -> Result<(bool, bool)>,
) -> Result<Option<bool>> {
    let was_armed = arming.armed.load(Ordering::Relaxed) & 1 == 1;
    let (rung, deaths) = silence()?;
    if was_armed && !rung && !deaths && !*taken {
        return Ok(None);
    }
    disarm(arming.armed);
    arming.arm(registered_peers);
    *taken = false;
    Ok(Some(deaths))
}

#[cfg(not(loom))]
pub use sleep::{HOUSEKEEPING, Ringer, SPIN, Sleeper, Waiter, wait_for};

#[cfg(not(loom))]
mod sleep {
    use super::*;
    use crate::domain::Wait;
    use crate::domain::layout::{ObjectId, ParticipantId};
    use crate::domain::participants::Death;
    use crate::sys::clock::Deadline;
    use crate::sys::descriptor::{Bell, Epoll, Timer, make_bell, open_bell, ring, silence};
    use crate::sys::file::{self, Access};
    use std::collections::HashMap;
    use std::os::fd::{AsFd, OwnedFd, RawFd};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    /// Epoll tokens of the bell, the shared bell and the clocks; peers use their packed participant id, which is never one of these.
    const BELL: u64 = u64::MAX;
    const CLOCK: u64 = u64::MAX - 1;
    const SHARED: u64 = u64::MAX - 2;
    const ALARM: u64 = u64::MAX - 3;

    /// While spinning, this often somebody looks whether peers died.
    pub const HOUSEKEEPING: Duration = Duration::from_millis(10);

    /// How long the adaptive mode spins: about what one sleep and wake-up across cores costs.
    pub const SPIN: Duration = Duration::from_micros(40);

    /// See [`Sleeper::LOOKS_AT_LOCKS`].
    const LOCK_CHECK: Duration = Duration::from_secs(1);

    /// A peer in another pid namespace has no pidfd here; the clock says to look at its lock this often instead.
    const FOREIGN_CHECK: Duration = Duration::from_millis(250);

    /// The sleeper's side. It belongs to one thread at a time.
    pub struct Waiter {
        bell: OwnedFd,
        epoll: Epoll,
        path: PathBuf,
        /// A bell of many sleepers, of whom one that really sleeps is woken by each ring.
        shared: Option<Bell>,
        peers: HashMap<ParticipantId, Option<Arc<Death>>>,
        /// Some peer counts on heavy fences (it registered for membarrier).
        pub registered_peers: bool,
        /// Ticks while some peer's death is told by nothing else; whoever watches the descriptor hears it too.
        clock: Option<(Timer, Duration)>,
        /// It ticks whatever the peers.
        regular: bool,
        /// Rings once at a time: the time, and the clock for it.
        alarm: Option<(u64, Timer)>,
        /// Somebody watches the descriptor: an attempt that finds nothing leaves it armed.
        evented: bool,
        /// Something was taken since it was armed, so its bell may have been rung.
        taken: bool,
    }

    impl Waiter {
        /// Makes the bell of object `id` in `directory`.
        pub fn new(directory: &Path, id: ObjectId, access: &Access) -> Result<Waiter> {
            let path = directory.join(id.to_string());
            // Everything that can fail but the bell comes first, so that no bell is left without an owner.
            let epoll = Epoll::new()?;
            let bell = make_bell(&path, access)?;
            if let Err(e) = epoll.add(bell.as_fd(), BELL) {
                file::unlink(&path);
                return Err(e);
            }
            Ok(Waiter {
                bell,
                epoll,
                path,
                shared: None,
                peers: HashMap::new(),
                registered_peers: false,
                clock: None,
                alarm: None,
                regular: false,
                evented: false,
                taken: true,
            })
        }

        /// Listens to a bell it shares with others, too.
        pub fn share(&mut self, bell: Bell) -> Result<()> {
            self.epoll.add_exclusively(bell.as_fd(), SHARED)?;
            self.shared = Some(bell);
            Ok(())
        }

        /// The bell it shares with others.
        pub fn shared(&self) -> Option<&Bell> {
            self.shared.as_ref()
        }

        /// Has it rung at `nanos` of the machine's monotonic clock, as if somebody had; the last call counts.
        pub fn wake_at(&mut self, nanos: u64) -> Result<()> {
            if self.alarm.as_ref().is_some_and(|(at, _)| *at == nanos) {
                return Ok(());
            }
            if self.alarm.is_none() {
                let timer = Timer::new()?;
                self.epoll.add(timer.as_fd(), ALARM)?;
                self.alarm = Some((0, timer));
            }
            if let Some((at, timer)) = &mut self.alarm {
                timer.at(nanos)?;
                *at = nanos;
            }
            Ok(())
        }

        /// Watches a peer's life. Idempotent.
        pub fn watch(
            &mut self,
            peer: ParticipantId,
            death: Option<Arc<Death>>,
            registered: bool,
        ) -> Result<()> {
            if registered && !self.registered_peers {
                self.registered_peers = true;
                // We may be armed already, too lightly for this peer: arm anew before sleeping (W1).
                ring(self.bell.as_fd());
            }
            if self.peers.contains_key(&peer) {
                return Ok(());
            }
            match &death {
                Some(death) => self.epoll.add(death.as_fd(), peer.pack())?,
                None => self.start_clock(FOREIGN_CHECK)?,
            }
            self.peers.insert(peer, death);
            Ok(())
        }

        /// Whether the kernel tells of this peer's death.
        pub fn is_watched(&self, peer: ParticipantId) -> bool {
            matches!(self.peers.get(&peer), Some(Some(_)))
        }

        /// From now on it looks around once a second too: for one that was rung for and stopped before it could
        /// take what there was, and for one that left by `exec`, of whom nothing else tells.
        #[inline(always)]
        pub fn look_regularly(&mut self) -> Result<()> {
            if self.regular {
                return Ok(());
            }
            self.start_clock(LOCK_CHECK)?;
            self.regular = true;
            Ok(())
        }

        #[cold]
        fn start_clock(&mut self, period: Duration) -> Result<()> {
            if self.clock.as_ref().is_some_and(|(_, known)| *known <= period) {
                return Ok(());
            }
            let clock = Timer::every(period)?;
            self.stop_clock();
            self.epoll.add(clock.as_fd(), CLOCK)?;
            self.clock = Some((clock, period));
            Ok(())
        }

        fn stop_clock(&mut self) {
            self.clock.take().iter().for_each(|(clock, _)| self.epoll.remove(clock.as_fd()));
        }

        /// Stops watching a peer that died or has nothing to do with us any more.
        pub fn unwatch(&mut self, peer: ParticipantId) {
            match self.peers.remove(&peer) {
                Some(Some(death)) => self.epoll.remove(death.as_fd()),
                Some(None) if !self.regular && self.peers.values().all(Option::is_some) => self.stop_clock(),
                _ => {}
            }
        }

        /// Watches nobody's life any more but theirs for whom this is true.
        pub fn watch_only(&mut self, needed: impl Fn(ParticipantId) -> bool) {
            let gone: Vec<ParticipantId> = self.peers.keys().copied().filter(|peer| !needed(*peer)).collect();
            gone.into_iter().for_each(|peer| self.unwatch(peer));
        }

        /// Sleeps until rung, a death, or the timeout. Whether peers died meanwhile, or may have.
        pub fn sleep(&mut self, timeout: Option<Duration>) -> Result<bool> {
            let (rung, deaths) = self.look(timeout)?;
            // Nobody rings twice for one arming: if it is armed, the next attempt that finds nothing arms anew.
            self.taken |= rung;
            Ok(deaths)
        }

        /// Whether it was rung, and whether peers died or may have.
        fn look(&mut self, limit: Option<Duration>) -> Result<(bool, bool)> {
            let (mut rung, mut called, mut ticked, mut alarmed) = (false, false, false, false);
            let mut dead = Vec::new();
            self.epoll.wait(limit, |token| match token {
                BELL => rung = true,
                SHARED => called = true,
                CLOCK => ticked = true,
                ALARM => alarmed = true,
                peer => dead.push(ParticipantId::unpack(peer)),
            })?;
            if rung {
                silence(self.bell.as_fd());
            }
            if called {
                // One ring, one sleeper: the others are left for the others.
                self.shared.iter().for_each(Bell::take_one);
            }
            if alarmed {
                self.alarm.iter().for_each(|(_, timer)| timer.take());
            }
            if ticked {
                self.clock.iter().for_each(|(clock, _)| clock.take());
            }
            dead.iter().for_each(|peer| self.unwatch(*peer));
            Ok((rung || called || alarmed, ticked || !dead.is_empty()))
        }

        /// The pollable descriptor. The first call makes it readable, and from then on every attempt
        /// that finds nothing goes through [`Waiter::settle`].
        pub fn watch_descriptor(&mut self) -> RawFd {
            if !self.evented {
                self.evented = true;
                ring(self.bell.as_fd());
            }
            self.epoll.as_raw_fd()
        }

        pub fn is_evented(&self) -> bool {
            self.evented
        }

        /// Something was taken.
        #[inline(always)]
        pub fn note_taken(&mut self) {
            self.taken = true;
        }

        /// Something was taken after arming that nobody may have rung for: the descriptor stays
        /// readable until an attempt finds nothing.
        pub fn stay_readable(&mut self) {
            self.taken = true;
            if self.evented {
                ring(self.bell.as_fd());
            }
        }

        /// An attempt succeeded: whoever was left armed by one that did not needs no ring any more. The descriptor becomes
        /// readable instead, for somebody who still waits by it for something else.
        pub fn satisfied(&mut self, armed: &AtomicU64) {
            if self.evented && armed.load(Ordering::Relaxed) & 1 == 1 {
                disarm(armed);
                self.stay_readable();
            }
        }

        /// An attempt found nothing and the descriptor is watched. `None`: armed and silent as before.
        /// Otherwise armed anew, and whether peers died or may have: then the caller tidies up after them. It looks
        /// once more in any case.
        pub fn settle(&mut self, arming: Arming<'_>) -> Result<Option<bool>> {
            let mut taken = self.taken;
            let rearmed =
                rearm(arming, self.registered_peers, &mut taken, || self.look(Some(Duration::ZERO)))?;
            self.taken = taken;
            Ok(rearmed)
        }

        /// Where the bell is, for its removal.
        pub fn path(&self) -> &Path {
            &self.path
        }
    }

    /// The other side: somebody's bell, opened when the two met.
    pub struct Ringer {
        bell: OwnedFd,
        last_rung: u64,
    }

    impl Ringer {
        pub fn open(directory: &Path, id: ObjectId) -> Result<Ringer> {
            Ok(Ringer { bell: open_bell(&directory.join(id.to_string()))?, last_rung: 0 })
        }

        /// Rings in any case: a farewell, for which no descriptor may be lacking.
        pub fn ring(&self) {
            ring(self.bell.as_fd());
        }

        /// Rings if the sleeper is armed and was not rung for this arming. Call after the commit
        /// and the light fence.
        #[inline(always)]
        pub fn ring_if_armed(&mut self, armed: &AtomicU64) -> bool {
            match is_armed(armed, self.last_rung) {
                None => false,
                Some(value) => {
                    self.last_rung = value;
                    ring(self.bell.as_fd());
                    true
                }
            }
        }
    }

    /// Who can wait: it has a waiter and a word that says it sleeps.
    pub trait Sleeper {
        /// A peer may leave without exiting, by `exec`, and no pidfd tells: whoever would wait for it in vain
        /// looks at its lock once a second.
        const LOOKS_AT_LOCKS: bool = false;
        fn arming(&self) -> Arming<'_>;
        fn waiter(&mut self) -> &mut Waiter;
        /// A peer died, or may have.
        fn tidy(&mut self) -> Result<()>;
        /// [`Waiter::settle`] with its own word.
        fn settle(&mut self) -> Result<Option<bool>>;
    }

    /// Waits until `attempt` gives something: spins as the mode says, then sleeps until rung, a
    /// death, or the deadline. `None`: the deadline passed.
    pub fn wait_for<S: Sleeper, T>(
        sleeper: &mut S,
        wait: Wait,
        deadline: &Deadline,
        attempt: &mut dyn FnMut(&mut S) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut slept = false;
        let outcome = wait_on(sleeper, wait, deadline, attempt, &mut slept);
        if slept && !matches!(outcome, Ok(None)) {
            // Disarmed and with its bell silenced, a watched descriptor would never tell of what else is there.
            sleeper.waiter().stay_readable();
        }
        outcome
    }

    fn wait_on<S: Sleeper, T>(
        sleeper: &mut S,
        wait: Wait,
        deadline: &Deadline,
        attempt: &mut dyn FnMut(&mut S) -> Result<Option<T>>,
        turned: &mut bool,
    ) -> Result<Option<T>> {
        loop {
            if let Some(done) = spin(sleeper, wait, deadline, attempt)? {
                return Ok(Some(done));
            }
            if deadline.passed() {
                return if sleeper.waiter().is_evented() { settled(sleeper, attempt) } else { Ok(None) };
            }
            let registered_peers = sleeper.waiter().registered_peers;
            let (looked, slept) = turn(sleeper, S::arming, registered_peers, attempt, |s| {
                let remaining = deadline.remaining();
                let limit = if S::LOOKS_AT_LOCKS {
                    Some(remaining.map_or(LOCK_CHECK, |t| t.min(LOCK_CHECK)))
                } else {
                    remaining
                };
                s.waiter().sleep(limit)
            });
            sleeper.waiter().note_taken();
            *turned = true;
            if !matches!(looked, Ok(None)) {
                return looked;
            }
            if slept? || S::LOOKS_AT_LOCKS {
                sleeper.tidy()?;
            }
        }
    }

    /// The time is over and somebody watches the descriptor: leaves it as an attempt that does not
    /// wait leaves it, so that what comes next is heard.
    fn settled<S: Sleeper, T>(
        sleeper: &mut S,
        attempt: &mut dyn FnMut(&mut S) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let Some(deaths) = sleeper.settle()? else { return Ok(None) };
        if deaths {
            sleeper.tidy()?;
        }
        let done = attempt(sleeper);
        if !matches!(done, Ok(None)) {
            sleeper.waiter().stay_readable();
        }
        done
    }

    fn spin<S: Sleeper, T>(
        sleeper: &mut S,
        wait: Wait,
        deadline: &Deadline,
        attempt: &mut dyn FnMut(&mut S) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let limit = match wait {
            Wait::Spin => None,
            Wait::Adaptive => Some(SPIN),
            Wait::Block => return attempt(sleeper),
        };
        let started = Instant::now();
        let mut tidied = started;
        loop {
            for _ in 0..64 {
                if let Some(done) = attempt(sleeper)? {
                    return Ok(Some(done));
                }
                std::hint::spin_loop();
            }
            let now = Instant::now();
            if deadline.passed() || limit.is_some_and(|limit| now - started >= limit) {
                return Ok(None);
            }
            if now - tidied > HOUSEKEEPING {
                tidied = now;
                sleeper.tidy()?;
            }
        }
    }
}
