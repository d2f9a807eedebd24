//! `ws://host:port/path`: WebSocket, so that browsers and whoever else speaks it can be at the other end.
//!
//! Messages go out as binary ones; text that comes in is its bytes. Pings are answered by whoever reads next. An end is said by
//! a close frame, after which nothing comes from the other side either. A listener lets in who asks for its path, but for
//! pages of other hosts in a browser ([`door`]). It knows nothing else of who that is.

mod door;
mod halves;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod listener;

use super::address::Address;
use super::handshakes::complete;
use super::link::ended;
use super::{Can, ChannelOptions, Link, Peer, stream, tcp};
use crate::domain::Domain;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use crate::sys::descriptor::Signal;
use crate::sys::fork::Own;
use crate::sys::socket;
pub use listener::listen;
use std::io::{self, ErrorKind as IoKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use tungstenite::client::IntoClientRequest;
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Bytes, Message, WebSocket, protocol::WebSocketConfig};

const CAN: Can = Can { half_close: false, descriptors: false, credentials: false, ..stream::CAN };

/// Bytes read at once, and gathered before they are written.
const READ: usize = 16 << 10;
const GATHERED: usize = 64 << 10;

/// So many pings and the like are answered before something else is done.
const BATCH: usize = 256;

/// A connection, for the two halves.
#[derive(Clone, Debug)]
struct Wire(Arc<Own<TcpStream>>);

impl Wire {
    fn new(fd: OwnedFd) -> Result<Wire> {
        let stream = TcpStream::from(fd);
        stream
            .set_nonblocking(true)
            .map_err(|e| Error::new(ErrorKind::Io, format!("setting up a connection: {e}")))?;
        Own::new(stream).map(|stream| Wire(Arc::new(stream)))
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&**self.0).read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&**self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn config(options: &ChannelOptions) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(GATHERED)
        .max_message_size(Some(options.max_message))
        .max_frame_size(Some(options.max_message))
}

/// Where to connect to, and the path there.
fn place(address: &Address) -> (Address, &str) {
    let place = address.place();
    let (host, path) = place.find('/').map_or((place, "/"), |at| place.split_at(at));
    (address.with_place(host), path)
}

pub fn connect(
    domain: &Domain,
    address: &Address,
    options: &ChannelOptions,
    deadline: &Deadline,
) -> Result<Link> {
    let (host, path) = place(address);
    let fd = tcp::connect_to(&host, deadline)?;
    tcp::Settings::of(address)?.apply(&fd)?;
    let wire = Wire::new(fd)?;
    let begun = ask(&wire, &format!("{}{path}", host.place()), options)?;
    let (socket, limit) = shake(domain, &wire, begun, deadline)?;
    Ok(link(socket, limit, Signal::new()?))
}

/// Asks to be let in.
fn ask(wire: &Wire, place: &str, options: &ChannelOptions) -> Result<Heard> {
    let mut request = format!("ws://{place}").into_client_request().map_err(refused)?;
    request.headers_mut().insert(door::MAX_MESSAGE, options.max_message.into());
    heard(tungstenite::client::client_with_config(request, wire.clone(), Some(config(options))))
}

/// The connection, and the largest message the other end takes, if it has said so; or a handshake that is not over.
type Heard = std::result::Result<(WebSocket<Wire>, Option<usize>), MidHandshake<ClientHandshake<Wire>>>;

fn heard(
    shaken: std::result::Result<
        (WebSocket<Wire>, tungstenite::handshake::client::Response),
        HandshakeError<ClientHandshake<Wire>>,
    >,
) -> Result<Heard> {
    match shaken {
        Ok((socket, answer)) => Ok(Ok((socket, door::limit_in(answer.headers())))),
        Err(HandshakeError::Interrupted(unfinished)) => Ok(Err(unfinished)),
        Err(HandshakeError::Failure(e)) => Err(refused(e)),
    }
}

/// Shakes hands to the end.
fn shake(
    domain: &Domain,
    wire: &Wire,
    begun: Heard,
    deadline: &Deadline,
) -> Result<(WebSocket<Wire>, Option<usize>)> {
    let mut unfinished = match begun {
        Ok(done) => return Ok(done),
        Err(unfinished) => Some(unfinished),
    };
    complete(domain, wire.0.as_fd(), deadline, "WebSocket", || {
        let Some(handshake) = unfinished.take() else { return Ok(None) };
        match heard(handshake.handshake())? {
            Ok(done) => Ok(Some(done)),
            Err(rest) => {
                unfinished = Some(rest);
                Ok(None)
            }
        }
    })
}

/// Why a handshake has failed.
fn refused(error: tungstenite::Error) -> Error {
    use tungstenite::Error::*;
    let (kind, text) = match &error {
        Http(response) if response.status() == 404 => {
            (ErrorKind::NotFound, "nobody listens there for this path; check the address".into())
        }
        Io(_) | Protocol(ProtocolError::HandshakeIncomplete) => (
            ErrorKind::Disconnected,
            format!("who listens there ended in the middle of the handshake ({error}); connect anew"),
        ),
        Url(_) | HttpFormat(_) => (ErrorKind::InvalidArgument, format!("{error}; it is ws://host:port/path")),
        _ => (
            ErrorKind::Corrupt,
            format!("who listens there does not speak WebSocket ({error}); check the address"),
        ),
    };
    Error::new(kind, text)
}

/// What the two halves share.
struct Shared {
    wire: Wire,
    state: Mutex<State>,
}

/// Why nothing comes or goes any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Ended,
    /// A message was too large for the other end.
    Refused,
}

impl Over {
    /// What `otherwise` says, unless there is more to say.
    fn error(self, otherwise: Error) -> Error {
        match self {
            Over::Ended => otherwise,
            Over::Refused => Error::new(
                ErrorKind::Disconnected,
                "the other end has closed the connection: a message was larger than it takes; send less, or raise its limit, and \
                 connect anew",
            ),
        }
    }
}

struct State {
    socket: WebSocket<Wire>,
    /// There was no room for all that was written.
    blocked: bool,
    /// Nothing more will be sent.
    finished: bool,
    /// The other end has ended, or the connection has.
    over: Option<Over>,
    /// Something may be there that was not looked at.
    more: bool,
}

fn link(socket: WebSocket<Wire>, peer_limit: Option<usize>, call: Signal) -> Link {
    let wire = socket.get_ref().clone();
    let peer = Peer { address: socket::peer_address(wire.0.as_fd()), ..Peer::default() };
    let state = State { socket, blocked: false, finished: false, over: None, more: false };
    let link = halves::link(Arc::new(Shared { wire, state: Mutex::new(state) }), CAN, peer, call);
    Link { peer_limit, ..link }
}

fn would_block(error: &tungstenite::Error) -> bool {
    matches!(error, tungstenite::Error::Io(e) if matches!(e.kind(), IoKind::WouldBlock | IoKind::Interrupted))
}

impl State {
    /// The next message, if one has come.
    fn read(&mut self) -> Result<Option<Bytes>> {
        self.more = false;
        if self.finished && self.blocked {
            // The close frame had no room, and nobody else sends any more.
            self.flush()?;
        }
        for _ in 0..BATCH {
            if let Some(over) = self.over {
                return Err(over.error(ended(false)));
            }
            match self.socket.read() {
                Ok(message @ (Message::Binary(_) | Message::Text(_))) => {
                    return Ok(Some(message.into_data()));
                }
                Ok(Message::Close(why)) => self.end(why),
                Ok(_) => {}
                Err(e) if would_block(&e) => return Ok(None),
                Err(e) => return Err(self.failed(e)),
            }
        }
        self.more = true;
        Ok(None)
    }

    /// The other end has said that it has; the answer is on its way, as far as there is room.
    fn end(&mut self, why: Option<CloseFrame>) {
        let _ = self.socket.flush();
        let refused = why.is_some_and(|why| why.code == CloseCode::Size);
        self.over = Some(if refused { Over::Refused } else { Over::Ended });
    }

    /// The connection is of no use any more. Who is at the other end is told why, where it still listens.
    fn failed(&mut self, error: tungstenite::Error) -> Error {
        use tungstenite::Error::*;
        self.over = Some(Over::Ended);
        let (code, kind, text) = match &error {
            Capacity(CapacityError::MessageTooLong { size, max_size }) => (
                CloseCode::Size,
                ErrorKind::TooLarge,
                format!(
                    "a message of {size} bytes or more came, the limit is max_message, {max_size}; raise it at this end, and connect anew"
                ),
            ),
            ConnectionClosed | AlreadyClosed => return ended(false),
            Io(_) | Protocol(ProtocolError::ResetWithoutClosingHandshake) => return broken_off(),
            Utf8(_) => {
                (CloseCode::Invalid, ErrorKind::Corrupt, format!("a text that is no UTF-8 came ({error})"))
            }
            _ => {
                (CloseCode::Protocol, ErrorKind::Corrupt, format!("what came breaks the protocol ({error})"))
            }
        };
        let _ = self.socket.close(Some(CloseFrame { code, reason: "".into() }));
        Error::new(kind, format!("{text}; the connection is closed"))
    }

    /// Puts a message in line; `false`: there is no room.
    fn write(&mut self, pieces: &[&[u8]]) -> Result<bool> {
        if self.finished {
            let text = "it was said that nothing more will be sent; connect anew";
            return Err(Error::new(ErrorKind::Closed, text));
        }
        if let Some(over) = self.over {
            return Err(over.error(gone()));
        }
        if self.blocked && !self.flush()? {
            return Ok(false);
        }
        match self.socket.write(Message::Binary(pieces.concat().into())) {
            Ok(()) => Ok(true),
            // It is in line all the same.
            Err(e) if would_block(&e) => {
                self.blocked = true;
                Ok(true)
            }
            Err(_) => Err(gone()),
        }
    }

    /// Sends what is in line; `false`: there is no room for all of it.
    fn flush(&mut self) -> Result<bool> {
        match self.socket.flush() {
            Ok(()) => self.blocked = false,
            Err(e) if would_block(&e) => self.blocked = true,
            Err(_) if self.finished => self.blocked = false,
            Err(_) => return Err(gone()),
        }
        Ok(!self.blocked)
    }

    /// Says that nothing more will be sent.
    fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) && self.over.is_none() {
            self.blocked = matches!(self.socket.close(None), Err(e) if would_block(&e));
        }
    }
}

#[cold]
fn broken_off() -> Error {
    let text = "the other end has ended without saying so, perhaps in the middle of a message; connect anew";
    Error::new(ErrorKind::Disconnected, text)
}

#[cold]
fn gone() -> Error {
    Error::new(ErrorKind::Disconnected, "the other end is gone; connect anew")
}
