//! Two processes on two cores, the domain in which they meet, and a page between them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axonic::{Domain, Noun, Region, RegionOptions, Wait};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::interrupt::Interrupt;
use crate::place::Place;
use crate::stop::Stop;

/// Long enough for the other side to start on a loaded machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How the domains of measurements are called, before the process and the time.
const PREFIX: &str = "bench-";

/// The memory between the two: words first, then room to copy through.
const MEMORY: &str = "bench";
pub(super) const COPY_ROOM: usize = 4 << 20;
const COPY_AT: usize = 4096;

/// Words of the shared memory, each on cache lines of its own.
#[derive(Clone, Copy)]
pub(super) enum Word {
    OurStage,
    TheirStage,
    Ping,
    Pong,
    Written,
    Taken,
}

/// The cores the two sides are kept on; the same where there is only one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cores {
    pub here: usize,
    pub there: usize,
}

impl Cores {
    /// The first two that this process may use and that do not share one core's execution units.
    pub fn choose() -> Result<Cores, Stop> {
        let set = sched_getaffinity(Pid::from_raw(0))?;
        let allowed: Vec<usize> =
            (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect();
        let Some(here) = allowed.first().copied() else { return Err(Stop::failed("no core to run on")) };
        let path = format!("/sys/devices/system/cpu/cpu{here}/topology/thread_siblings_list");
        let siblings = std::fs::read_to_string(path).unwrap_or_default();
        let apart = |core: &usize| *core != here && !in_list(&siblings, *core);
        let there = allowed.iter().copied().find(apart).or(allowed.get(1).copied()).unwrap_or(here);
        Ok(Cores { here, there })
    }

    pub fn is_one(self) -> bool {
        self.here == self.there
    }
}

/// Whether a kernel's list such as `0,4-6` has a number.
fn in_list(list: &str, number: usize) -> bool {
    list.trim().split(',').any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        matches!((first.parse::<usize>(), last.parse::<usize>()), (Ok(a), Ok(b)) if (a..=b).contains(&number))
    })
}

/// Keeps this thread on one core; puts it back where it was when dropped: it may belong to an interpreter.
struct Pinned(CpuSet);

impl Pinned {
    fn to(core: usize) -> Result<Pinned, Stop> {
        let former = sched_getaffinity(Pid::from_raw(0))?;
        let mut set = CpuSet::new();
        set.set(core)?;
        sched_setaffinity(Pid::from_raw(0), &set)?;
        Ok(Pinned(former))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}

/// What both sides have.
pub(super) trait Side {
    fn domain(&self) -> &Domain;
    fn memory(&self) -> &Region;
    /// Cases so far: names of topics are made with it, so that no case meets another's.
    fn stage(&self) -> u64;
    fn cores(&self) -> Cores;
    /// Fails when there is no point in waiting for the other side any more.
    fn check(&mut self) -> Result<(), Stop>;

    /// How to wait where one may spin.
    fn eager(&self) -> Wait {
        if self.cores().is_one() { Wait::Block } else { Wait::Spin }
    }

    fn word(&self, word: Word) -> &AtomicU64 {
        // SAFETY: 128 bytes apart in the first page of the region, which is larger and lives as long as `self`;
        // atomics are valid whatever the other side writes.
        unsafe { &*self.memory().as_ptr().add(word as usize * 128).cast::<AtomicU64>() }
    }

    /// Where payloads are copied through.
    fn copy_room(&self) -> *mut u8 {
        // SAFETY: the region has `COPY_AT + COPY_ROOM` bytes.
        unsafe { self.memory().as_ptr().add(COPY_AT) }
    }

    /// Says that this side has come as far, and waits until the other has.
    fn meet_at(&mut self, ours: Word, theirs: Word, stage: u64) -> Result<(), Stop> {
        self.word(ours).store(stage, Ordering::Release);
        let started = Instant::now();
        while self.word(theirs).load(Ordering::Acquire) < stage {
            self.check()?;
            if started.elapsed() > PATIENCE {
                return Err(Stop::failed(
                    "the other side of the measurement does not come: is the machine overloaded?",
                ));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }
}

fn memory(domain: &Domain) -> Result<Region, Stop> {
    let options = RegionOptions { size: Some(COPY_AT + COPY_ROOM), ..RegionOptions::default() };
    Ok(domain.region(MEMORY, &options)?)
}

/// Removes the domains of runs that were killed: their process is gone here, and nobody takes part in them.
fn sweep(place: &Place) -> Result<(), Stop> {
    for name in place.domains()? {
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        let gone = pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        let empty = |seen: axonic::Snapshot| !seen.participants.iter().any(|participant| participant.alive);
        if gone && axonic::snapshot(&place.with_domain(&name).options("bench")).is_ok_and(empty) {
            let _ = std::fs::remove_dir_all(place.directory()?.join(&name));
        }
    }
    Ok(())
}

/// The side that measures. Dropping it ends the other side and removes the domain.
pub(super) struct Ours<'a> {
    // Fields are dropped in order: the thread goes back to its cores last.
    memory: Region,
    domain: Option<Domain>,
    child: Option<Child>,
    path: PathBuf,
    stage: u64,
    until: Instant,
    cores: Cores,
    interrupt: &'a Interrupt,
    _pinned: Pinned,
}

impl<'a> Ours<'a> {
    pub fn start(
        place: &Place,
        cores: Cores,
        again: &[OsString],
        interrupt: &'a Interrupt,
    ) -> Result<Ours<'a>, Stop> {
        let Some((program, first)) = again.split_first() else {
            return Err(Stop::failed(
                "bench has to start itself again and is not told how here: run it as a command of its own, `axonic bench`",
            ));
        };
        sweep(place)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let place = place.with_domain(&format!("{PREFIX}{}-{now:08x}", std::process::id()));
        let domain = place.open("bench")?;
        let path = domain.path().to_owned();
        let token = format!("{}:{}:{}", std::process::id(), cores.here, cores.there);
        let mut command = Command::new(program);
        command
            .args(first)
            .args(["bench", "--other-side", &token, "--domain", domain.name(), "--runtime-dir"])
            .arg(place.directory()?)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let mut ours = Ours {
            memory: memory(&domain)?,
            domain: Some(domain),
            child: None,
            path,
            stage: 0,
            until: Instant::now(),
            cores,
            interrupt,
            _pinned: Pinned::to(cores.here)?,
        };
        let child = command
            .spawn()
            .map_err(|e| Stop::failed(format!("starting {} for the other side: {e}", program.display())))?;
        ours.child = Some(child);
        Ok(ours)
    }

    /// Whether the other side has ended, and how.
    fn ended(&mut self) -> Result<Option<ExitStatus>, Stop> {
        Ok(match &mut self.child {
            Some(child) => child.try_wait()?,
            None => None,
        })
    }

    /// Both sides are ready for the next case, which may take so long.
    pub fn begin(&mut self, share: Duration) -> Result<(), Stop> {
        self.stage += 1;
        self.meet_at(Word::OurStage, Word::TheirStage, self.stage)?;
        self.until = Instant::now() + share;
        Ok(())
    }

    /// Whether the case has had its time; fails once a signal came. Cheap enough for every message.
    pub fn is_over(&self, now: Instant) -> Result<bool, Stop> {
        self.interrupt.check()?;
        Ok(now >= self.until)
    }

    /// The other side has nothing more to do and ends by itself.
    pub fn end(mut self) -> Result<(), Stop> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            self.interrupt.check()?;
            match self.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(Stop::failed(format!("the other side failed at its end: {status}")));
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        Err(Stop::failed("the other side does not end"))
    }
}

impl Side for Ours<'_> {
    fn domain(&self) -> &Domain {
        self.domain.as_ref().expect("it is there until the drop")
    }

    fn memory(&self) -> &Region {
        &self.memory
    }

    fn stage(&self) -> u64 {
        self.stage
    }

    fn cores(&self) -> Cores {
        self.cores
    }

    fn check(&mut self) -> Result<(), Stop> {
        self.interrupt.check()?;
        match self.ended()? {
            Some(status) => Err(Stop::failed(format!("the other side of the measurement ended: {status}"))),
            None => Ok(()),
        }
    }
}

impl Drop for Ours<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(domain) = self.domain.take() {
            let _ = domain.unlink(Noun::Region, MEMORY);
            domain.close();
        }
        // What a killed other side left in it.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// The other side.
pub(super) struct Theirs {
    memory: Region,
    domain: Domain,
    stage: u64,
    parent: usize,
    cores: Cores,
    _pinned: Pinned,
}

impl Theirs {
    pub fn start(place: &Place, cores: Cores, parent: usize) -> Result<Theirs, Stop> {
        // Whatever ends the first process ends this one: it may be spinning, and nobody would know of it.
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        if std::os::unix::process::parent_id() as usize != parent {
            return Err(Stop::failed("the measurement this was started for has ended"));
        }
        let pinned = Pinned::to(cores.there)?;
        let domain = place.open("bench, the other side")?;
        Ok(Theirs { memory: memory(&domain)?, domain, stage: 0, parent, cores, _pinned: pinned })
    }

    pub fn meet(&mut self) -> Result<(), Stop> {
        self.stage += 1;
        self.meet_at(Word::TheirStage, Word::OurStage, self.stage)
    }
}

impl Side for Theirs {
    fn domain(&self) -> &Domain {
        &self.domain
    }

    fn memory(&self) -> &Region {
        &self.memory
    }

    fn stage(&self) -> u64 {
        self.stage
    }

    fn cores(&self) -> Cores {
        self.cores
    }

    fn check(&mut self) -> Result<(), Stop> {
        if std::os::unix::process::parent_id() as usize == self.parent {
            return Ok(());
        }
        Err(Stop::failed("the process that measures has ended"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read() {
        let has = |list: &str| (0..8).filter(|core| in_list(list, *core)).collect::<Vec<_>>();
        assert_eq!(has("0,4\n"), [0, 4]);
        assert_eq!(has("1-3,6"), [1, 2, 3, 6]);
        assert_eq!(has(""), [] as [usize; 0]);
    }

    #[test]
    fn a_thread_goes_back_to_its_cores() {
        let before = sched_getaffinity(Pid::from_raw(0)).unwrap();
        let cores = Cores::choose().unwrap();
        drop(Pinned::to(cores.there).unwrap());
        assert_eq!(sched_getaffinity(Pid::from_raw(0)).unwrap(), before);
    }
}
