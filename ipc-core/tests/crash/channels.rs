//! The same of channels and calls. Whoever is at the other end hears of a death soon, has what was sent before it, and
//! pending calls fail; others are not disturbed, and nothing stays.

#[path = "channels/actor.rs"]
mod actor;

use super::common::Place;
use super::litmus::{PATIENCE, Process, SOON, number_of, payload, start};
use super::{NEVER, chosen_steps};
use actor::{LARGE, OPERATIONS, Operation};
pub use actor::{act_on_channel, blocking};
use axonic::*;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long it took the other side to hear of each death.
static HEARD: StdMutex<Vec<Duration>> = StdMutex::new(Vec::new());

/// What those who live have seen of the one that is to die.
#[derive(Default)]
struct Seen {
    /// Threads that have to do with it.
    busy: AtomicUsize,
    /// Messages of it that came.
    received: AtomicUsize,
    /// It is dead, or done.
    over: AtomicBool,
}

/// Those who live on.
struct Survivors {
    place: Place,
    domain: Domain,
    listener: Arc<Listener>,
    service: Arc<Service>,
    threads: Vec<JoinHandle<()>>,
    seen: Arc<Seen>,
    /// Messages of which it was told that they are sent.
    sent: usize,
}

/// Something that has to do with the one that is to die, in a thread of its own.
fn attend(seen: &Arc<Seen>, act: impl FnOnce(&Seen) + Send + 'static) {
    seen.busy.fetch_add(1, Ordering::SeqCst);
    let seen = seen.clone();
    std::thread::spawn(move || {
        act(&seen);
        seen.busy.fetch_sub(1, Ordering::SeqCst);
    });
}

/// The other end of a channel: sends what the operation wants to receive, reads what comes until the end.
fn talk(channel: &Channel, operation: &Operation, seen: &Seen) {
    for number in 0..operation.receives {
        if let Err(e) = channel.send(&payload(number, operation.size), PATIENCE) {
            assert_eq!(e.kind(), ErrorKind::Disconnected, "{e}");
        }
    }
    while operation.unread && !seen.over.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    loop {
        match channel.receive(PATIENCE) {
            Ok(message) => {
                let before = seen.received.fetch_add(1, Ordering::SeqCst);
                assert_eq!(number_of(&message.data), before as u64);
            }
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Disconnected, "{e}");
                return;
            }
        }
    }
}

/// Answers calls until the service is closed.
fn serve(service: &Service) {
    while let Ok(request) = service.next(None) {
        match request.method() {
            "stream" => {
                // Until its caller takes no more.
                while request.send(Payload::raw(&[7; 1000]), PATIENCE).is_ok() {}
            }
            "hang" => {
                while !request.is_cancelled() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            "sum" => {
                let mut count = 0u64;
                while let Ok(Some(_)) = request.next(PATIENCE) {
                    count += 1;
                }
                let _ = request.reply(Payload::raw(&count.to_le_bytes()));
            }
            _ => {
                let data = request.body().data().to_vec();
                request.reply(Payload::raw(&data)).unwrap();
            }
        }
    }
}

impl Survivors {
    fn new(operation: &'static Operation) -> Survivors {
        let place = Place::new();
        let domain = place.open();
        let seen = Arc::new(Seen::default());
        let listener = Arc::new(domain.listen("shm://test/ours", &blocking()).unwrap());
        let options = ServiceOptions { channel: blocking(), ..Default::default() };
        let service = Arc::new(domain.service("ours", "1.0.0", &options).unwrap());
        let mut threads = Vec::new();
        for _ in 0..3 {
            let service = service.clone();
            threads.push(std::thread::spawn(move || serve(&service)));
        }
        let (accepting, watched) = (listener.clone(), seen.clone());
        threads.push(std::thread::spawn(move || {
            while let Ok(channel) = accepting.accept(None) {
                if channel.peer().pid == Some(std::process::id()) {
                    std::thread::spawn(move || {
                        while let Ok(message) = channel.receive(PATIENCE) {
                            channel.send(&message.data, PATIENCE).unwrap();
                        }
                    });
                } else {
                    attend(&watched, move |seen| talk(&channel, operation, seen));
                }
            }
        }));
        Survivors { place, domain, listener, service, threads, seen, sent: 0 }
    }

    /// Plays an operation up to step `after`. Where it was cut short, or how many steps it has.
    fn play(
        &mut self,
        operation: &'static Operation,
        after: u64,
        signal: Signal,
    ) -> (Process, std::result::Result<u64, String>) {
        let arguments = format!("{} {after} {}", operation.name, signal as i32);
        let mut process = start("act_on_channel", self.place.path(), &arguments);
        loop {
            let line = process.hear();
            match line.split_once(' ') {
                Some(("steps", steps)) => return (process, Ok(steps.parse().unwrap())),
                Some(("sent", count)) => self.sent = count.parse().unwrap(),
                _ if line.starts_with("crash point") => return (process, Err(line)),
                _ => {
                    self.help(&line, operation);
                    process.say("done");
                }
            }
        }
    }

    /// Does what the one that is to die needs somebody for.
    fn help(&self, what: &str, operation: &'static Operation) {
        let (domain, options) = (self.domain.clone(), self.place.options());
        match what {
            "connect" => {
                attend(&self.seen, move |seen| {
                    match domain.connect("shm://test/theirs", &blocking(), PATIENCE) {
                        Ok(channel) => talk(&channel, operation, seen),
                        Err(e) => {
                            let kinds = [ErrorKind::Disconnected, ErrorKind::NotFound];
                            assert!(kinds.contains(&e.kind()), "{e}");
                        }
                    }
                });
                wait_until(what, || snapshot(&options).unwrap().listeners.iter().any(|l| l.waiting > 0));
            }
            "call" | "take" => {
                let stream = what == "take";
                attend(&self.seen, move |_| call(&domain, stream));
                wait_until(what, || snapshot(&options).unwrap().services.iter().any(|s| s.waiting > 0));
            }
            other => panic!("{other}"),
        }
    }

    /// The other side has heard of the death by itself, and soon.
    fn check_heard(&self, operation: &Operation) {
        let started = Instant::now();
        self.seen.over.store(true, Ordering::SeqCst);
        // Whoever accepts may not have come to it before.
        let received = || self.seen.received.load(Ordering::SeqCst);
        wait_until("what it sent", || received() >= self.sent);
        wait_until("whoever talks to it", || self.seen.busy.load(Ordering::SeqCst) == 0);
        wait_until("its calls' handlers", || self.service.at_work() == 0);
        let took = started.elapsed();
        assert!(took < SOON, "it took {took:?} to hear of it");
        HEARD.lock().unwrap().push(took);
        assert!(received() <= operation.sends as usize, "{} of {}", received(), operation.sends);
    }

    /// Who comes now finds everything working, and nobody it knows is disturbed.
    fn check_newcomers(&self) {
        let started = Instant::now();
        let domain = self.place.open();
        let channel = domain.connect("shm://test/ours", &blocking(), PATIENCE).unwrap();
        for size in [10, LARGE] {
            channel.send(&payload(1, size), PATIENCE).unwrap();
            assert_eq!(number_of(&channel.receive(PATIENCE).unwrap().data), 1);
        }
        let client = domain.client("ours", "^1", &client_options()).unwrap();
        assert_eq!(client.call("echo", Payload::raw(b"x"), PATIENCE).unwrap().data(), b"x");
        assert!(started.elapsed() < SOON, "it took {:?}", started.elapsed());
    }

    /// What the dead one had may be had again.
    fn check_successor(&self) {
        let domain = self.place.open();
        let listener = domain.listen("shm://test/theirs", &blocking()).unwrap();
        std::thread::scope(|scope| {
            let accepted = scope.spawn(|| listener.accept(PATIENCE).unwrap());
            let channel = domain.connect("shm://test/theirs", &blocking(), PATIENCE).unwrap();
            channel.send(b"x", PATIENCE).unwrap();
            assert_eq!(accepted.join().unwrap().receive(PATIENCE).unwrap().data, b"x");
        });
        let client = domain.client("theirs", "^1", &client_options()).unwrap();
        let error = client.call("echo", Payload::raw(b"x"), PATIENCE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }

    /// Everybody leaves: nothing stays.
    fn check_rest(self) {
        let Survivors { place, domain, listener, service, threads, .. } = self;
        wait_until("channels of the dead end", || {
            snapshot(&place.options()).unwrap().channels.iter().all(|channel| channel.client.alive)
        });
        listener.close();
        service.close();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop((listener, service, domain));
        // The last threads let their channels go.
        wait_until("nothing is left", || place.files().is_empty());
    }

    fn check(self, operation: &Operation) {
        self.check_heard(operation);
        self.check_newcomers();
        self.check_successor();
        self.check_rest();
    }
}

/// A call of the one that is to die: it has its result, fails as one whose provider is gone, or as one that was dropped there.
fn call(domain: &Domain, stream: bool) {
    let client = domain.client("theirs", "^1", &client_options()).unwrap();
    let options = CallOptions { stream, ..Default::default() };
    let ended = client.start("echo", Payload::raw(b"x"), &options).and_then(|mut call| {
        while stream && call.next(PATIENCE)?.is_some() {}
        call.result(PATIENCE)
    });
    if let Err(e) = ended {
        let dropped = e.status().is_some_and(|status| status.code == Code::Internal);
        assert!(e.kind() == ErrorKind::Unavailable || dropped, "{e}");
    }
}

fn client_options() -> ClientOptions {
    ClientOptions { channel: blocking(), ..Default::default() }
}

fn wait_until(what: &str, mut there: impl FnMut() -> bool) {
    let started = Instant::now();
    while !there() {
        assert!(started.elapsed() < 10 * SOON, "{what}: it does not come");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Kills an operation at one of its steps. `None` when it has no such step.
fn killed_at(operation: &'static Operation, step: u64) -> Option<()> {
    let mut survivors = Survivors::new(operation);
    let (mut process, outcome) = survivors.play(operation, step, Signal::SIGKILL);
    process.kill();
    match &outcome {
        Ok(_) => println!("{}: over before step {step}", operation.name),
        Err(place) => println!("{}:{step} killed at {place}", operation.name),
    }
    survivors.check(operation);
    outcome.err().map(drop)
}

/// Stops it there for a while: who comes meanwhile is not held up, and it goes on unharmed.
fn stopped_at(operation: &'static Operation, step: u64) -> Option<()> {
    let mut survivors = Survivors::new(operation);
    let (mut process, outcome) = survivors.play(operation, step, Signal::SIGSTOP);
    if let Err(place) = &outcome {
        println!("{}:{step} stopped at {place}", operation.name);
        let status = waitpid(process.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
        assert_eq!(status, WaitStatus::Stopped(process.pid(), Signal::SIGSTOP));
        survivors.check_newcomers();
        process.signal(Signal::SIGCONT);
        loop {
            let line = process.hear();
            if line.starts_with("steps ") {
                break;
            } else if let Some(count) = line.strip_prefix("sent ") {
                survivors.sent = count.parse().unwrap();
            }
        }
    }
    process.kill();
    survivors.check(operation);
    outcome.err().map(drop)
}

/// Steps of an operation, `most` of them at even distances, or the one that `AXONIC_CRASH` names.
fn cut_short(operation: &'static Operation, most: u64, cut: fn(&'static Operation, u64) -> Option<()>) {
    let whole = || {
        let mut survivors = Survivors::new(operation);
        let (mut process, outcome) = survivors.play(operation, NEVER, Signal::SIGKILL);
        process.kill();
        survivors.check(operation);
        let steps = outcome.expect("it comes to its end");
        assert!(steps > 0);
        steps
    };
    chosen_steps(operation.name, most, whole, |step| cut(operation, step).is_some());
}

/// Half of the deaths were heard of within a tenth of a second, all within [`SOON`]: nobody waits for a clock.
fn check_times() {
    let mut heard = std::mem::take(&mut *HEARD.lock().unwrap());
    heard.sort();
    if let (Some(middle), Some(last)) = (heard.get(heard.len() / 2), heard.last()) {
        println!("{} deaths: half were heard of within {middle:?}, all within {last:?}", heard.len());
        assert!(*middle < Duration::from_millis(100));
    }
}

#[test]
fn channels_killed_at_some_steps() {
    OPERATIONS.iter().for_each(|operation| cut_short(operation, 6, killed_at));
    check_times();
}

#[test]
fn channels_stopped_at_some_steps() {
    OPERATIONS.iter().for_each(|operation| cut_short(operation, 2, stopped_at));
}

#[test]
#[ignore = "make chaos"]
fn channels_killed_at_every_step() {
    OPERATIONS.iter().for_each(|operation| cut_short(operation, u64::MAX, killed_at));
    check_times();
}

#[test]
#[ignore = "make chaos"]
fn channels_stopped_at_every_step() {
    OPERATIONS.iter().for_each(|operation| cut_short(operation, u64::MAX, stopped_at));
}
