//! Listening for WebSockets. Whoever connects must ask first, and may take its time: so many do at once, for so long at
//! most, and nobody waits for them.

use super::{Wire, config, link, place};
use crate::domain::Domain;
use crate::error::Result;
use crate::mechanisms::channel::address::Address;
use crate::mechanisms::channel::link::Half;
use crate::mechanisms::channel::{ChannelOptions, Link, Listened, Listening, Wake, tcp};
use crate::sys::clock::monotonic_nanos;
use crate::sys::descriptor::{Epoll, Signal, Timer};
use crate::sys::socket;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::debug;
use tungstenite::Error;
use tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response, ServerHandshake};
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::protocol::WebSocketConfig;

/// So many handshakes go on at once; if one more begins, the oldest is given up.
const HANDSHAKES: usize = 64;

/// A handshake may take so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many connections are taken at a time before something else is done.
const BATCH: usize = 256;

/// Lets in who asks for a path.
#[derive(Clone)]
struct Door(Arc<str>);

impl Callback for Door {
    fn on_request(
        self,
        request: &Request,
        response: Response,
    ) -> std::result::Result<Response, ErrorResponse> {
        if request.uri().path() == &*self.0 {
            return Ok(response);
        }
        let mut refusal = ErrorResponse::new(Some("Nobody listens at this path.\n".into()));
        *refusal.status_mut() = tungstenite::http::StatusCode::NOT_FOUND;
        Err(refusal)
    }
}

/// A handshake that goes on.
struct Handshake {
    since: Instant,
    wire: Wire,
    rest: MidHandshake<ServerHandshake<Wire, Door>>,
}

struct WsListening {
    fd: OwnedFd,
    door: Door,
    settings: tcp::Settings,
    config: WebSocketConfig,
    /// From the oldest to the newest.
    handshakes: Vec<Handshake>,
    /// The listening socket, those of the handshakes, when the next of them is given up, and who calls.
    epoll: Epoll,
    timer: Timer,
    watched: bool,
}

pub fn listen(_: &Domain, address: &Address, options: &ChannelOptions) -> Result<Listened> {
    let (host, path) = place(address);
    let settings = tcp::Settings::of(address)?;
    let (fd, host) = tcp::listen_at(&host)?;
    let (epoll, timer, call) = (Epoll::new()?, Timer::new()?, Arc::new(Signal::new()?));
    for watched in [fd.as_fd(), timer.as_fd(), call.as_fd()] {
        epoll.add(watched, 0)?;
    }
    let listened = address.with_place(format!("{}{}", host.place(), if path == "/" { "" } else { path }));
    let wake: Wake = Box::new(move || call.raise());
    let listening = WsListening {
        fd,
        door: Door(path.into()),
        settings,
        config: config(options),
        handshakes: Vec::new(),
        epoll,
        timer,
        watched: false,
    };
    Ok(Listened { listening: Box::new(listening), address: listened, wake })
}

impl WsListening {
    /// Takes who has connected.
    fn take_in(&mut self) -> Result<()> {
        for _ in 0..BATCH {
            let Some(fd) = socket::accept(self.fd.as_fd())? else { return Ok(()) };
            self.settings.apply(&fd)?;
            let wire = Wire::new(fd)?;
            if self.handshakes.len() == HANDSHAKES {
                self.give_up("others came");
            }
            self.epoll.add(wire.0.as_fd(), 0)?;
            let rest = ServerHandshake::start(wire.clone(), self.door.clone(), Some(self.config));
            self.handshakes.push(Handshake { since: Instant::now(), wire, rest });
        }
        Ok(())
    }

    /// Gives the oldest handshake up.
    fn give_up(&mut self, why: &str) {
        self.epoll.remove(self.handshakes.remove(0).wire.0.as_fd());
        debug!("a WebSocket handshake was given up: {why}");
    }

    /// Goes on with all handshakes until one is done.
    fn go_on(&mut self) -> Result<Option<Link>> {
        let mut at = 0;
        while at < self.handshakes.len() {
            let Handshake { since, wire, rest } = self.handshakes.remove(at);
            match rest.handshake() {
                Err(HandshakeError::Interrupted(rest)) => {
                    self.handshakes.insert(at, Handshake { since, wire, rest });
                    at += 1;
                }
                Ok(socket) => {
                    self.epoll.remove(wire.0.as_fd());
                    return link(socket).map(Some);
                }
                Err(HandshakeError::Failure(e)) => {
                    self.epoll.remove(wire.0.as_fd());
                    refuse(&wire, &e);
                }
            }
        }
        Ok(None)
    }

    /// Gives up what takes too long, and sees to it that it is done in time.
    fn tidy_up(&mut self) -> Result<()> {
        self.timer.take();
        while self.handshakes.first().is_some_and(|oldest| oldest.since.elapsed() >= PATIENCE) {
            self.give_up("it took too long");
        }
        if let Some(oldest) = self.handshakes.first() {
            let left = PATIENCE.saturating_sub(oldest.since.elapsed());
            self.timer.at(monotonic_nanos() + left.as_nanos() as u64)?;
        }
        Ok(())
    }
}

/// Who asked for something else is told so, as far as there is room.
fn refuse(wire: &Wire, error: &Error) {
    debug!("a WebSocket handshake failed: {error}");
    if !matches!(error, Error::Http(_) | Error::Io(_)) {
        let answer = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 26\r\n\r\nThis is a WebSocket only.\n";
        let _ = (&*wire.0).write(answer);
    }
    let _ = wire.0.shutdown(std::net::Shutdown::Write);
    socket::discard(wire.0.as_fd());
}

impl Half for WsListening {
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

impl Listening for WsListening {
    fn accept(&mut self) -> Result<Option<Link>> {
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
