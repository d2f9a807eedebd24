//! JSON-RPC 2.0 with a service of each language: a client written against the specification, over a socket with texts
//! on lines, and over standard input and output with `Content-Length`.

use crate::calls::provide;
use crate::peers::Peer;
use crate::place;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy)]
enum Framing {
    Lines,
    ContentLength,
}

/// A connection, as the client has it.
struct Wire<R, W> {
    from: R,
    to: W,
    framing: Framing,
}

impl<R: BufRead, W: Write> Wire<R, W> {
    fn send(&mut self, text: &str) {
        let framed = match self.framing {
            Framing::Lines => format!("{text}\n"),
            Framing::ContentLength => format!("Content-Length: {}\r\n\r\n{text}", text.len()),
        };
        self.to.write_all(framed.as_bytes()).and_then(|()| self.to.flush()).expect("the service reads");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("the service answers");
        line
    }

    fn next(&mut self) -> Value {
        let text = match self.framing {
            Framing::Lines => self.line(),
            Framing::ContentLength => {
                let length = self.line();
                let length = length.trim_end().strip_prefix("Content-Length: ").map(str::parse);
                let Some(Ok(length)) = length else { panic!("a header says how long it is") };
                while self.line() != "\r\n" {}
                let mut text = vec![0; length];
                self.from.read_exact(&mut text).expect("all that is announced");
                String::from_utf8(text).expect("UTF-8")
            }
        };
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text:?}"))
    }

    fn ask(&mut self, text: &str) -> Value {
        self.send(text);
        self.next()
    }
}

fn request(id: Value, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn notification(method: &str) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": {} })
}

fn result(id: Value, result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

/// The code of a response that must be an error for this request.
fn code(response: &Value, id: Value) -> i64 {
    assert_eq!((&response["jsonrpc"], &response["id"], response.get("result")), (&json!("2.0"), &id, None));
    assert!(response["error"]["message"].is_string(), "{response}");
    response["error"]["code"].as_i64().unwrap_or_else(|| panic!("an error has a code: {response}"))
}

/// What the service's own failure is told as.
fn check_failed(response: &Value, id: Value, service: &str) {
    assert_eq!(code(response, id), -32_009, "{response}");
    let error = &response["error"];
    assert_eq!(error["message"], "not now");
    let data = &error["data"];
    assert_eq!((&data["code"], &data["reason"]), (&json!("FAILED_PRECONDITION"), &json!("not_now")));
    assert_eq!(
        (&data["retryable"], &data["details"]),
        (&json!(true), &json!({ "left": 3, "why": ["a", null] }))
    );
    let origin = data["origin"].as_str().unwrap_or_default();
    assert!(origin.starts_with(&format!("{service}@1.2.0 (")), "{response}");
}

fn check_single<R: BufRead, W: Write>(wire: &mut Wire<R, W>, service: &str) {
    let params = json!({ "text": "ä€😀", "deep": [1, { "x": null }] });
    for id in [json!(1), json!("one"), json!(-7), json!("ä")] {
        let response = wire.ask(&request(id.clone(), "describe", params.clone()).to_string());
        assert_eq!(response, result(id, json!({ "got": params })));
    }
    let response = wire.ask(&request(json!(2), "fail", json!({})).to_string());
    check_failed(&response, json!(2), service);
    let response = wire.ask(&request(json!(3), "nonsense", json!({})).to_string());
    assert_eq!(code(&response, json!(3)), -32_601, "{response}");
    assert_eq!(response["error"]["message"], "Method not found");
    // Whoever asks for no answer gets none, whatever becomes of it.
    for method in ["describe", "fail", "nonsense"] {
        wire.send(&notification(method).to_string());
    }
    let response = wire.ask(&request(json!(4), "describe", json!({})).to_string());
    assert_eq!(response, result(json!(4), json!({ "got": {} })));
}

/// The examples of the specification for what is no request.
fn check_wrong<R: BufRead, W: Write>(wire: &mut Wire<R, W>) {
    for (text, wanted) in [
        (r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#, -32_700),
        (
            r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method""#,
            -32_700,
        ),
        (r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#, -32_600),
        ("[]", -32_600),
    ] {
        let response = wire.ask(text);
        assert_eq!(code(&response, Value::Null), wanted, "{text}: {response}");
    }
    let responses = wire.ask("[1,2,3]");
    let responses = responses.as_array().expect("an array");
    assert!(responses.len() == 3 && responses.iter().all(|one| code(one, Value::Null) == -32_600));
}

fn check_batch<R: BufRead, W: Write>(wire: &mut Wire<R, W>, service: &str) {
    let batch = json!([
        request(json!(1), "describe", json!({ "n": 1 })),
        notification("describe"),
        request(json!(2), "fail", json!({})),
        { "foo": "boo" },
        request(json!("x"), "nonsense", json!({})),
    ]);
    let responses = wire.ask(&batch.to_string());
    let responses = responses.as_array().expect("an array");
    assert_eq!(responses.len(), 4, "{responses:?}");
    let of =
        |id: Value| responses.iter().find(|one| one["id"] == id).unwrap_or_else(|| panic!("{id} is missing"));
    assert_eq!(of(json!(1)), &result(json!(1), json!({ "got": { "n": 1 } })));
    check_failed(of(json!(2)), json!(2), service);
    assert_eq!(code(of(json!("x")), json!("x")), -32_601);
    assert_eq!(code(of(Value::Null), Value::Null), -32_600);
    // Of notifications alone nothing comes back.
    wire.send(&json!([notification("describe"), notification("fail")]).to_string());
    let response = wire.ask(&request(json!(9), "describe", json!({})).to_string());
    assert_eq!(response, result(json!(9), json!({ "got": {} })));
}

fn check<R: BufRead, W: Write>(mut wire: Wire<R, W>, service: &str) {
    check_single(&mut wire, service);
    check_wrong(&mut wire);
    check_batch(&mut wire, service);
}

#[test]
fn every_language_speaks_json_rpc_over_a_socket() {
    for peer in Peer::with_asyncio() {
        println!("{}", peer.language);
        let place = place();
        let socket = place.path().join("socket");
        let address = format!("unix://{}", socket.to_str().expect("a plain path"));
        let served = provide(&peer, place.path(), "json", &[address], Vec::new());
        let _serving = served.expect("a service");
        for framing in [Framing::Lines, Framing::ContentLength] {
            let to = UnixStream::connect(&socket).expect("it listens");
            to.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let from = BufReader::new(to.try_clone().expect("another descriptor"));
            check(Wire { from, to, framing }, "json");
        }
    }
}

#[test]
fn every_language_speaks_json_rpc_over_standard_input_and_output() {
    for peer in Peer::with_asyncio() {
        println!("{}", peer.language);
        for framing in [Framing::Lines, Framing::ContentLength] {
            let place = place();
            let mut command = peer.to_start(place.path(), &["serve", "pairs", "json", "pipe:0,1"]);
            let mut serving =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
            let from = BufReader::new(serving.stdout.take().expect("its output"));
            let to = serving.stdin.take().expect("its input");
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                check(Wire { from, to, framing }, "json");
            }));
            serving.kill().and_then(|()| serving.wait()).expect("it ends");
            checked.unwrap_or_else(|e| std::panic::resume_unwind(e));
        }
    }
}
