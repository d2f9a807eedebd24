//! The addresses of a host's name.
//!
//! The system's resolver asks servers that may not answer, and cannot be called off. So a thread of its own asks it, and ends
//! when it has an answer; whoever wants to know waits for that no longer than it wants to. Nobody asks for a name that is asked
//! for already: an answer that came too late for one is for the next, who may be the same that tries again.

use super::address::Address;
use crate::domain::asked::asking;
use crate::domain::lock;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::fork::Single;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many names are asked for at a time, by a thread each.
const MOST: usize = 16;

/// An answer that nobody has waited for is of use for so long.
const FRESH: Duration = Duration::from_secs(5);

/// The names that are asked for, each by a thread of this process, and answers that nobody has taken yet.
static LOOKUPS: Single<Mutex<Vec<Arc<Lookup>>>> = Single::new();

type Answer = std::result::Result<Vec<SocketAddr>, String>;

struct Lookup {
    place: String,
    answer: Mutex<Option<(Instant, Answer)>>,
    told: Condvar,
}

impl Lookup {
    fn tell(&self, answer: Answer) {
        *lock(&self.answer) = Some((Instant::now(), answer));
        self.told.notify_all();
    }

    /// The answer, if there is one until then.
    fn wait(&self, deadline: &Deadline) -> Option<Answer> {
        let mut answer = lock(&self.answer);
        while answer.is_none() && !deadline.passed() {
            let left = deadline.remaining().unwrap_or(Duration::from_secs(60));
            answer = self.told.wait_timeout(answer, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        answer.as_ref().map(|(_, answer)| answer.clone())
    }

    fn is_pending(&self) -> bool {
        lock(&self.answer).is_none()
    }

    /// Whether it is worth keeping, for somebody else to take over.
    fn is_of_use(&self) -> bool {
        lock(&self.answer).as_ref().is_none_or(|(since, _)| since.elapsed() < FRESH)
    }
}

/// The addresses that `host:port` stands for.
pub fn resolve(address: &Address, deadline: &Deadline) -> Result<Vec<SocketAddr>> {
    let place = address.place();
    let Some((host, Ok(_))) = place.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) else {
        return Err(address.refuse("it is host:port, and the port is a number up to 65535"));
    };
    if let Ok(number) = place.parse() {
        return Ok(vec![number]);
    }
    let asked = place.to_string();
    within(deadline, place, host, move || asked.to_socket_addrs().map(Vec::from_iter))
}

/// Who asks already, or a new thread that does.
fn join(
    place: &str,
    host: &str,
    ask: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> Result<Arc<Lookup>> {
    let mut lookups = lock(LOOKUPS.get());
    lookups.retain(|lookup| lookup.is_of_use());
    if let Some(there) = lookups.iter().find(|lookup| lookup.place == place) {
        return Ok(there.clone());
    }
    if lookups.iter().filter(|lookup| lookup.is_pending()).count() >= MOST {
        let text = format!(
            "{MOST} other names than '{host}' wait for the resolver's answer already; give it more time, use a number, or see to \
             this machine's resolver (/etc/resolv.conf)"
        );
        return Err(Error::new(ErrorKind::LimitReached, text));
    }
    let (answer, told) = (Mutex::new(None), Condvar::new());
    let lookup = Arc::new(Lookup { place: place.into(), answer, told });
    let asking = lookup.clone();
    let begun = std::thread::Builder::new().name("axonic-resolver".into()).spawn(move || {
        asking.tell(ask().map_err(|e| e.to_string()));
    });
    begun.map_err(|e| {
        let text =
            format!("starting a thread that asks the resolver for '{host}' ({e}); end some, or use a number");
        Error::new(ErrorKind::LimitReached, text)
    })?;
    lookups.push(lookup.clone());
    Ok(lookup)
}

/// What `ask` answers, if it does until then.
fn within(
    deadline: &Deadline,
    place: &str,
    host: &str,
    ask: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> Result<Vec<SocketAddr>> {
    let lookup = join(place, host, ask)?;
    let answer = asking(deadline, |deadline| Ok(lookup.wait(deadline)))?;
    if answer.is_some() {
        lock(LOOKUPS.get()).retain(|other| !Arc::ptr_eq(other, &lookup));
    }
    match answer {
        Some(Ok(found)) if !found.is_empty() => Ok(found),
        Some(Ok(_)) => Err(absent(host, &io::Error::from(io::ErrorKind::NotFound).to_string())),
        Some(Err(why)) => Err(absent(host, &why)),
        None => {
            let text = format!(
                "the resolver has not answered for the name '{host}'; give it more time, use a number, or see to this \
                 machine's resolver (/etc/resolv.conf)"
            );
            Err(Error::new(ErrorKind::Timeout, text))
        }
    }
}

fn absent(host: &str, why: &str) -> Error {
    let text =
        format!("the resolver has no address for the name '{host}' ({why}); check it, or use a number");
    Error::new(ErrorKind::NotFound, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// Lookups are the process's, and one of these tests begins as many as there may be.
    static ALONE: Mutex<()> = Mutex::new(());

    fn pending() -> usize {
        lock(LOOKUPS.get()).iter().filter(|lookup| lookup.is_pending()).count()
    }

    /// Waits until so many names are asked for.
    fn until_pending(count: usize) {
        let began = Instant::now();
        while pending() != count {
            assert!(began.elapsed() < Duration::from_secs(20), "{} are asked for, not {count}", pending());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Each is a thread that cannot be called off.
    #[test]
    fn so_many_names_are_asked_for_at_a_time_and_no_more() {
        let _alone = lock(&ALONE);
        until_pending(0);
        let there: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let now = || Deadline::after(Some(Duration::ZERO));
        let ask = |number: usize| {
            let (release, held) = channel::<()>();
            let host = format!("n{number}.example");
            let asked = within(&now(), &format!("{host}:9"), &host, move || {
                held.recv().map_err(io::Error::other)?;
                Ok(vec![there])
            });
            (release, asked.unwrap_err())
        };
        let mut asked: Vec<_> = (0..MOST).map(ask).collect();
        assert!(asked.iter().all(|(_, late)| late.kind() == ErrorKind::Timeout));
        let (_, refused) = ask(MOST);
        assert_eq!((refused.kind(), pending()), (ErrorKind::LimitReached, MOST));
        for says in ["16 other names", "n16.example", "/etc/resolv.conf"] {
            assert!(refused.message().contains(says), "{refused}");
        }
        // Whoever asks for one of them waits with those who do.
        assert_eq!(ask(0).1.kind(), ErrorKind::Timeout);
        asked.pop().unwrap().0.send(()).unwrap();
        until_pending(MOST - 1);
        let next = ask(MOST);
        assert_eq!((next.1.kind(), pending()), (ErrorKind::Timeout, MOST));
        drop((asked, next));
        until_pending(0);
    }

    #[test]
    fn a_resolver_that_does_not_answer_is_waited_for_as_long_as_was_said() {
        let _alone = lock(&ALONE);
        let (release, held) = channel::<()>();
        let started = Instant::now();
        let deadline = Deadline::after(Some(Duration::from_millis(30)));
        let late = within(&deadline, "far.example:1", "far.example", move || {
            held.recv().map_err(io::Error::other)?;
            Ok(Vec::new())
        });
        let late = late.unwrap_err();
        assert!(late.kind() == ErrorKind::Timeout && late.message().contains("resolver"), "{late}");
        assert!(late.message().contains("far.example"), "{late}");
        assert!(started.elapsed() >= Duration::from_millis(30) && started.elapsed() < Duration::from_secs(5));
        drop(release);
    }

    #[test]
    fn a_name_is_asked_for_once_and_a_late_answer_is_for_the_next() {
        let _alone = lock(&ALONE);
        let (release, held) = channel::<()>();
        let there: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let soon = || Deadline::after(Some(Duration::from_millis(10)));
        let slow = move || {
            held.recv().map_err(io::Error::other)?;
            Ok(vec![there])
        };
        let ask = |deadline: &Deadline| {
            within(deadline, "slow.example:9", "slow.example", || panic!("it is asked for already"))
        };
        assert!(within(&soon(), "slow.example:9", "slow.example", slow).is_err());
        for _ in 0..20 {
            assert_eq!(ask(&soon()).unwrap_err().kind(), ErrorKind::Timeout);
        }
        release.send(()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(ask(&Deadline::after(Some(Duration::from_secs(20)))).unwrap(), [there]);
        let again =
            within(&Deadline::after(None), "slow.example:9", "slow.example", move || Ok(vec![there; 2]));
        assert_eq!(again.unwrap(), [there; 2], "an answer is taken once");
    }

    #[test]
    fn names_and_numbers_have_addresses() {
        let _alone = lock(&ALONE);
        let now = Deadline::after(Some(Duration::ZERO));
        let number: Address = "tcp://[::1]:80".parse().unwrap();
        assert_eq!(resolve(&number, &now).unwrap(), ["[::1]:80".parse().unwrap()]);
        let soon = Deadline::after(Some(Duration::from_secs(20)));
        let local: Address = "tcp://localhost:80".parse().unwrap();
        assert!(resolve(&local, &soon).unwrap().iter().all(|found| found.ip().is_loopback()));
        let none = within(&soon, "none.example:1", "none.example", || Ok(Vec::new())).unwrap_err();
        assert!(none.kind() == ErrorKind::NotFound && none.message().contains("none.example"), "{none}");
    }
}
