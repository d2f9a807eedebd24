//! JSON-RPC made of what a fuzzer thought of: both ends make the same frames of it however it is cut, and answer it.

use super::super::frame::{Frame, Header, Kind};
use super::client::Client;
use super::message::{self, Text};
use super::server::Server;
use super::text::{Framing, Texts};
use super::{Decoder, Frames, JsonRpc, Side};
use crate::error::ErrorKind;
use crate::mechanisms::channel::Outgoing;
use crate::mechanisms::channel::protocol::{Decode, Protocol};
use crate::value::Content;
use std::sync::Arc;

/// Gives a decoder bytes, so many at a time: the frames that came of them.
fn decode(
    rpc: &JsonRpc,
    bytes: &[u8],
    at_a_time: usize,
    heard: &mut dyn FnMut(&Frame<'_>),
) -> Result<(), ErrorKind> {
    let mut decoder = Decoder {
        texts: Texts::new(rpc.framing, rpc.limit),
        side: rpc.side.clone(),
        frames: Frames::new(),
        frame: Vec::new(),
        lost: false,
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let (to, room) = decoder.room();
        assert!(room > 0, "there is no room, and no message");
        let (now, later) = rest.split_at(at_a_time.min(room).min(rest.len()));
        to.extend_from_slice(now);
        rest = later;
        drain(&mut decoder, heard)?;
        assert!(decoder.texts.memory() <= 3 * (64 << 10) + 2 * bytes.len(), "memory for what has not come");
    }
    while decoder.end() {
        drain(&mut decoder, heard)?;
    }
    Ok(())
}

/// Gives what can be had of what was read.
fn drain(decoder: &mut Decoder, heard: &mut dyn FnMut(&Frame<'_>)) -> Result<(), ErrorKind> {
    while decoder.next().map_err(|e| e.kind())? {
        heard(&Frame::decode(decoder.message()).expect("it is a frame"));
        decoder.release();
    }
    Ok(())
}

/// Answers what a frame asks, in a way that depends on it; what goes out must be JSON-RPC.
fn answer(rpc: &JsonRpc, frame: &Frame<'_>) {
    let send = |kind, content, data: &[u8]| {
        let header = Header { content, value: frame.header.value, ..Header::new(kind, frame.header.call) };
        let sent = rpc
            .encode(Outgoing { pieces: &[&header.encode(), data], descriptors: &[] })
            .expect("a service can always answer");
        assert!(sent.is_empty() || is_json_rpc(rpc.framing, &sent), "{}", sent.escape_ascii());
    };
    match (frame.header.kind, frame.name.len() % 3) {
        (Kind::Refused, _) => send(Kind::Refused, Content::Raw, frame.data),
        (Kind::Call, 0) => send(Kind::Reply, frame.header.content, frame.data),
        (Kind::Call, 1) => {
            send(Kind::Item, Content::Raw, frame.name);
            send(Kind::Item, frame.header.content, frame.data);
            send(Kind::Reply, Content::Raw, b"");
        }
        (Kind::Call, _) => send(Kind::Failure, Content::Raw, frame.data),
        _ => {}
    }
}

fn is_json_rpc(framing: Framing, bytes: &[u8]) -> bool {
    let mut texts = Texts::new(framing, usize::MAX);
    texts.room().0.extend_from_slice(bytes);
    let Ok(true) = texts.next() else { return false };
    let is_response = |message| matches!(message, message::Message::Response { .. });
    match message::read(texts.text()) {
        Ok(Text::One(message)) => is_response(message),
        Ok(Text::Batch(all)) => all.into_iter().all(|value| is_response(message::Message::of(value))),
        Err(_) => false,
    }
}

fn rpc(framing: Framing, side: Arc<dyn Side>) -> JsonRpc {
    JsonRpc { framing, limit: 1 << 16, side }
}

/// Reads bytes as a service and as a client; the first byte says how they are cut and framed.
pub fn speak(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    let framing = if how & 1 == 0 { Framing::Lines } else { Framing::ContentLength };
    let cut = 1 + usize::from(how >> 1);
    let made_of = |at_a_time: usize, answered: bool| {
        let service = rpc(framing, Arc::new(Server::new(1 << 16)));
        let mut made = Vec::new();
        let error = decode(&service, bytes, at_a_time, &mut |frame| {
            // Numbers of calls that were answered are used again.
            made.push((frame.header.kind, frame.name.to_vec(), frame.data.to_vec()));
            if answered {
                answer(&service, frame);
            }
        });
        (made, error)
    };
    let made = made_of(usize::MAX, true);
    assert_eq!(made_of(cut, true), made);
    assert_eq!(made_of(cut, false), made);
    hear(framing, bytes, cut);
}

/// The same as a client.
fn hear(framing: Framing, bytes: &[u8], cut: usize) {
    let made_of = |at_a_time: usize| {
        let client = rpc(framing, Arc::new(Client));
        let mut made = Vec::new();
        let error = decode(&client, bytes, at_a_time, &mut |frame| {
            made.push((frame.header, frame.name.to_vec(), frame.data.to_vec()));
        });
        (made, error)
    };
    assert_eq!(made_of(cut), made_of(usize::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What libFuzzer has found, and what its first inputs were.
    #[test]
    fn the_corpus_is_read() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/json_rpc");
        let inputs: Vec<_> = std::fs::read_dir(corpus).unwrap().collect();
        assert!(inputs.len() >= 10, "only {} inputs in {corpus}", inputs.len());
        inputs.into_iter().for_each(|entry| speak(&std::fs::read(entry.unwrap().path()).unwrap()));
    }

    fn words() -> impl Strategy<Value = Vec<&'static str>> {
        let words = [
            "{",
            "}",
            "[",
            "]",
            ",",
            "\n",
            "\r\n",
            "Content-Length: 2\r\n\r\n",
            "Content-Length: 46\r\n\r\n",
            r#""jsonrpc":"2.0""#,
            r#""id":1"#,
            r#""id":"x""#,
            r#""id":null"#,
            r#""method":"a""#,
            r#""method":"bb""#,
            r#""method":"ccc""#,
            r#""params":[1]"#,
            r#""result":[1,2]"#,
            r#""error":{"code":-32000,"message":"m"}"#,
            r#"{"jsonrpc":"2.0","method":"a","id":1}"#,
            r#"{"jsonrpc":"2.0","method":"ab"}"#,
            r#"{"jsonrpc":"2.0","result":[1,"a"],"id":1}"#,
            " ",
            "1",
            "\u{fffd}",
        ];
        prop::collection::vec(prop::sample::select(words.to_vec()), 0..30)
    }

    proptest! {
        #[test]
        fn any_words_are_answered(how: u8, words in words()) {
            speak(&[&[how], words.concat().as_bytes()].concat());
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            speak(&bytes);
        }
    }
}
