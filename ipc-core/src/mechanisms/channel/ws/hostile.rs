//! What a fuzzer thought of as one end of a WebSocket: requests at a listener's door, and a server's answers to a client, and what
//! follows them. Who is not let in is told so, who is answered wrongly gives up, and the same comes of it however it is cut.

use super::door::{Door, Guard};
use super::listener::Asking;
use super::{Wire, config, place};
use crate::error::ErrorKind;
use crate::mechanisms::channel::handshakes::{Handshake, Step};
use crate::mechanisms::channel::{Address, ChannelOptions, Link};
use crate::sys::descriptor::Signal;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::server::ServerHandshake;

const LIMIT: usize = 1 << 12;

/// What was made of somebody.
#[derive(PartialEq, Debug, Default)]
struct Made {
    /// The first line of the answer.
    answer: String,
    let_in: bool,
    /// What it takes, if it has said so.
    limit: Option<usize>,
    messages: Vec<Vec<u8>>,
    error: Option<ErrorKind>,
}

/// Somebody who has connected, and its handshake.
struct Visit {
    there: UnixStream,
    asking: Asking,
}

impl Visit {
    fn new(door: &Arc<Door>, reached: Option<IpAddr>) -> Visit {
        let (here, there) = UnixStream::pair().unwrap();
        there.set_nonblocking(true).unwrap();
        let wire = Wire::new(here.into()).unwrap();
        let heard = Arc::default();
        let guard = Guard { door: door.clone(), reached, heard: Arc::clone(&heard) };
        let options = ChannelOptions { max_message: LIMIT, ..Default::default() };
        let rest = Some(ServerHandshake::start(wire.clone(), guard, Some(config(&options))));
        Visit { there, asking: Asking { wire, rest, heard } }
    }

    /// Says something; what became of the handshake, once it is over.
    fn say(&mut self, bytes: &[u8]) -> Option<Option<Link>> {
        self.there.write_all(bytes).unwrap();
        match self.asking.go_on(Signal::new().unwrap()) {
            Step::Later(_) => None,
            Step::Refused(_) => Some(None),
            Step::Done(link) => Some(Some(link.unwrap())),
        }
    }

    fn answer(&mut self) -> String {
        let mut answer = [0; 1024];
        let size = self.there.read(&mut answer).unwrap_or(0);
        String::from_utf8_lossy(&answer[..size]).lines().next().unwrap_or_default().into()
    }

    /// Asks, and sends what follows the request if it is let in.
    fn make(mut self, request: &[u8], rest: &[u8], at_a_time: usize) -> Made {
        let mut made = Made::default();
        let Some(end) = request.chunks(at_a_time).find_map(|piece| self.say(piece)) else { return made };
        made.answer = self.answer();
        let Some(mut link) = end else { return made };
        made.receive(&mut link, &self.there, rest, at_a_time);
        made
    }
}

impl Made {
    /// What follows the handshake.
    fn receive(&mut self, link: &mut Link, mut there: &UnixStream, bytes: &[u8], at_a_time: usize) {
        (self.let_in, self.limit) = (true, link.peer_limit);
        // Some may have come with the end of the handshake.
        for piece in std::iter::once(&b""[..]).chain(bytes.chunks(at_a_time)) {
            // It may have left, having had enough.
            let _ = there.write_all(piece);
            loop {
                match link.inbound.next() {
                    Ok(true) => self.messages.push(link.inbound.message().to_vec()),
                    Ok(false) => break,
                    Err(e) => {
                        self.error = Some(e.kind());
                        return;
                    }
                }
            }
        }
    }
}

/// What says in an answer that the request was understood, which has a number of its own each time.
const ACCEPT: &[u8] = b"{accept}";

/// Asks to be let in, and is answered so.
fn ask_and_hear(answer: &[u8], at_a_time: usize) -> Made {
    let (here, mut there) = UnixStream::pair().unwrap();
    there.set_nonblocking(true).unwrap();
    let wire = Wire::new(here.into()).unwrap();
    let options = ChannelOptions { max_message: LIMIT, ..Default::default() };
    let mut unfinished = match super::ask(&wire, "localhost:1/chat", &options).unwrap() {
        Ok(_) => panic!("nobody has answered"),
        Err(unfinished) => unfinished,
    };
    let answer = accepting(answer, &mut there);
    let mut made = Made::default();
    let mut pieces = answer.chunks(at_a_time);
    while let Some(piece) = pieces.next() {
        there.write_all(piece).unwrap();
        match super::heard(unfinished.handshake()) {
            Ok(Err(rest)) => unfinished = rest,
            Ok(Ok((socket, limit))) => {
                let mut link = super::link(socket, limit, Signal::new().unwrap());
                let rest: Vec<u8> = pieces.flatten().copied().collect();
                made.receive(&mut link, &there, &rest, at_a_time);
                return made;
            }
            Err(e) => {
                made.error = Some(e.kind());
                return made;
            }
        }
    }
    made
}

/// The answer with what belongs to this request.
fn accepting(answer: &[u8], there: &mut UnixStream) -> Vec<u8> {
    let mut request = [0; 4096];
    let size = there.read(&mut request).unwrap();
    let request = String::from_utf8_lossy(&request[..size]);
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    match answer.windows(ACCEPT.len()).position(|found| found == ACCEPT) {
        Some(at) => [&answer[..at], accept.as_bytes(), &answer[at + ACCEPT.len()..]].concat(),
        None => answer.to_vec(),
    }
}

fn answer(cut: usize, bytes: &[u8]) {
    let made = ask_and_hear(bytes, bytes.len().max(1));
    assert_eq!(ask_and_hear(bytes, cut), made);
    assert!(made.limit != Some(0) && made.messages.iter().all(|message| message.len() <= LIMIT), "{made:?}");
    if made.let_in {
        assert!(bytes.windows(ACCEPT.len()).any(|found| found == ACCEPT), "{made:?}");
    }
}

/// Where the request ends, with its first empty line.
fn end_of(bytes: &[u8]) -> usize {
    let after = |line: &[u8]| Some(bytes.windows(line.len()).position(|found| found == line)? + line.len());
    after(b"\n\r\n").into_iter().chain(after(b"\n\n")).min().unwrap_or(bytes.len())
}

/// Whether a request asks for the path, and names no page but those that are meant.
fn is_meant(request: &[u8], origins: &[&str]) -> bool {
    let text = String::from_utf8_lossy(request);
    let mut lines = text.lines().skip_while(|line| line.is_empty());
    lines.next().is_some_and(|line| line.contains("/chat"))
        && lines.filter_map(|line| line.split_once(':')).all(|(name, value)| {
            let value = value.trim().to_ascii_lowercase();
            !name.eq_ignore_ascii_case("origin") || origins.iter().any(|origin| value.contains(origin))
        })
}

/// Asks to be let in, and sends messages, or answers who asks; the first byte says where, and which, the second how it is cut.
pub fn visit(data: &[u8]) {
    let Some((&[how, cut], bytes)) = data.split_first_chunk() else { return };
    // Very many small pieces are an attack.
    let at_a_time = usize::from(cut).max(bytes.len() / 32 + 1);
    if how & 4 != 0 {
        return answer(at_a_time, bytes);
    }
    let (address, origins): (_, &[&str]) = if how & 1 == 0 {
        ("ws://localhost:1/chat", &["//localhost", "//127.", "//[::"])
    } else {
        ("ws://localhost:1/chat?origin=https://a.example,null", &["https://a.example", "null"])
    };
    let address: Address = address.parse().unwrap();
    let (host, path) = place(&address);
    let door = Arc::new(Door::of(&address, host.place(), path, LIMIT).unwrap());
    let reached = (how & 2 == 0).then_some(Ipv4Addr::LOCALHOST.into());
    let (request, rest) = bytes.split_at(end_of(bytes));
    let made = Visit::new(&door, reached).make(request, rest, bytes.len().max(1));
    assert_eq!(Visit::new(&door, reached).make(request, rest, at_a_time), made);
    if made.let_in {
        assert!(made.answer.starts_with("HTTP/1.1 101 "), "{made:?}");
        assert!(is_meant(request, origins), "{made:?}");
        assert!(made.limit != Some(0) && made.messages.iter().all(|message| message.len() <= LIMIT));
    } else {
        assert!(made.answer.is_empty() || made.answer.starts_with("HTTP/1.1 4"), "{made:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus() -> Vec<Vec<u8>> {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/websocket");
        let entries = std::fs::read_dir(corpus).unwrap();
        entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    /// What libFuzzer has found, and what its first inputs were; the ones cut off everywhere, too.
    #[test]
    fn the_corpus_is_answered() {
        let inputs = corpus();
        assert!(inputs.len() >= 10, "only {} inputs", inputs.len());
        for input in &inputs {
            visit(input);
            (0..input.len()).step_by(7).for_each(|end| visit(&input[..end]));
        }
    }

    /// The inputs reach what they are to reach: messages, and each way not to be let in.
    #[test]
    fn inputs_can_come_in() {
        let door = Arc::new(
            Door::of(&"ws://localhost:1/chat".parse().unwrap(), "localhost:1", "/chat", LIMIT).unwrap(),
        );
        let made = |name: &str| {
            let path = format!("{}/../fuzz/corpus/websocket/{name}", env!("CARGO_MANIFEST_DIR"));
            let input = std::fs::read(path).unwrap();
            let (request, rest) = input[2..].split_at(end_of(&input[2..]));
            Visit::new(&door, Some(Ipv4Addr::LOCALHOST.into())).make(request, rest, input.len())
        };
        let let_in = made("browser");
        assert_eq!((let_in.let_in, let_in.messages), (true, vec![b"hello".to_vec(), b"text".to_vec()]));
        assert_eq!(made("ours").limit, Some(65536));
        assert_eq!(made("large").error, Some(ErrorKind::TooLarge));
        assert!(made("strange-page").answer.contains("403") && made("other-path").answer.contains("404"));
        assert!(made("plain-http").answer.contains("400"));
    }

    /// The same of answers.
    #[test]
    fn answers_can_be_understood() {
        let made = |name: &str| {
            let path = format!("{}/../fuzz/corpus/websocket/{name}", env!("CARGO_MANIFEST_DIR"));
            let input = std::fs::read(path).unwrap();
            assert_eq!(input[0], 4);
            ask_and_hear(&input[2..], input.len())
        };
        let let_in = made("answer-ours");
        assert_eq!((let_in.let_in, let_in.limit), (true, Some(65536)));
        assert_eq!(let_in.messages, [b"hello".to_vec(), b"text".to_vec()]);
        assert_eq!(made("answer-theirs").messages, [b"".to_vec()]);
        assert_eq!(made("answer-large").error, Some(ErrorKind::TooLarge));
        assert_eq!(made("answer-masked").error, Some(ErrorKind::Corrupt));
        assert_eq!(made("answer-404").error, Some(ErrorKind::NotFound));
        for name in ["answer-other-accept", "answer-200", "answer-extension", "answer-junk"] {
            let refused = made(name);
            assert!(!refused.let_in && refused.error == Some(ErrorKind::Corrupt), "{name}: {refused:?}");
        }
        assert_eq!(made("answer-torn"), Made::default());
    }
}
