//! Listening for WebSockets. Whoever connects must ask first.

use super::door::{Door, Guard};
use super::{Wire, config, link, place};
use crate::error::Result;
use crate::mechanisms::channel::address::Address;
use crate::mechanisms::channel::handshakes::{Handshake, Step, listened};
use crate::mechanisms::channel::{ChannelOptions, Listened, tcp};
use crate::sys::descriptor::Signal;
use crate::sys::socket;
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock};
use tungstenite::Error;
use tungstenite::handshake::server::ServerHandshake;
use tungstenite::handshake::{HandshakeError, MidHandshake};

/// A handshake that goes on.
pub struct Asking {
    pub wire: Wire,
    /// Until it is over.
    pub rest: Option<MidHandshake<ServerHandshake<Wire, Guard>>>,
    /// The largest message whoever asks takes, once it has said so.
    pub heard: Arc<OnceLock<usize>>,
}

impl Handshake for Asking {
    fn fd(&self) -> BorrowedFd<'_> {
        self.wire.0.as_fd()
    }

    fn go_on(&mut self, call: Signal) -> Step {
        match self.rest.take().map(MidHandshake::handshake) {
            Some(Ok(socket)) => Step::Done(Ok(link(socket, self.heard.get().copied(), call))),
            Some(Err(HandshakeError::Interrupted(rest))) => {
                self.rest = Some(rest);
                Step::Later(call)
            }
            Some(Err(HandshakeError::Failure(e))) => {
                let who = socket::peer_address(self.fd()).unwrap_or_default();
                refuse(&self.wire, &e);
                Step::Refused(format!("{who}: {e}"))
            }
            None => Step::Refused("it is over".into()),
        }
    }
}

pub fn listen(address: &Address, options: &ChannelOptions) -> Result<Listened> {
    let (host, path) = place(address);
    let settings = tcp::Settings::of(address)?;
    let (fd, host) = tcp::listen_at(&host)?;
    let door = Arc::new(Door::of(address, host.place(), path, options.max_message)?);
    let config = config(options);
    let there = address.with_place(format!("{}{}", host.place(), if path == "/" { "" } else { path }));
    listened(fd, there, move |fd| {
        settings.apply(&fd)?;
        let wire = Wire::new(fd)?;
        let heard = Arc::<OnceLock<usize>>::default();
        let reached = wire.0.local_addr().ok().map(|here| here.ip().to_canonical());
        let guard = Guard { door: door.clone(), reached, heard: heard.clone() };
        let rest = Some(ServerHandshake::start(wire.clone(), guard, Some(config)));
        Ok(Asking { wire, rest, heard })
    })
}

/// Who asked for something else is told so, as far as there is room.
fn refuse(wire: &Wire, error: &Error) {
    if !matches!(error, Error::Http(_) | Error::Io(_)) {
        let answer = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 26\r\n\r\nThis is a WebSocket only.\n";
        let _ = (&**wire.0).write(answer);
    }
    let _ = wire.0.shutdown(std::net::Shutdown::Write);
    socket::discard(wire.0.as_fd());
}
