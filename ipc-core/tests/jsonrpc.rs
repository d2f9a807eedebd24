//! JSON-RPC 2.0: what a service answers to who speaks it, byte by byte, and how a client calls who is not Axonic's.

mod common;

use axonic::{
    CallOptions, Client, ClientOptions, Code, Domain, ErrorKind, Payload, Request, Service, ServiceOptions,
    Status,
};
use common::Place;
use common::serving::Closing;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};

const SECONDS: Option<Duration> = Some(Duration::from_secs(10));

/// Calls that were cancelled while they were at work, and notifications that were done.
static CANCELLED: AtomicUsize = AtomicUsize::new(0);
static NOTED: AtomicUsize = AtomicUsize::new(0);

fn answer(request: Request) {
    let data = request.body().data().to_vec();
    let params: Value = serde_json::from_slice(&data).unwrap_or_default();
    let number = |at: usize, name: &str| params.get(at).or(params.get(name)).and_then(Value::as_i64);
    let reply = |request: Request, value: Value| {
        request.reply(Payload::json(value.to_string().as_bytes())).unwrap();
    };
    match request.method() {
        "subtract" => match (number(0, "minuend"), number(1, "subtrahend")) {
            (Some(a), Some(b)) => reply(request, json!(a - b)),
            _ => request.fail(Status::new(Code::InvalidArgument, "two numbers")),
        },
        "sum" => {
            let sum = params.as_array().into_iter().flatten().filter_map(Value::as_i64).sum::<i64>();
            reply(request, json!(sum))
        }
        "get_data" => reply(request, json!(["hello", 5])),
        "echo" => request.reply(Payload { content: axonic::Content::Json, ..Payload::raw(&data) }).unwrap(),
        "pretty" => request.reply(Payload::json(b"{\n \"a\": 1\r\n}")).unwrap(),
        "bytes" => request.reply(Payload::raw(b"\0\xff?")).unwrap(),
        "nothing" => request.reply(Payload::raw(b"")).unwrap(),
        "nonsense" => request.reply(Payload::json(b"{\"a\":")).unwrap(),
        "caller" => reply(request, json!(params)),
        "count" => {
            assert!(request.is_stream());
            request.begin_stream().unwrap();
            request.progress(0.5, "half");
            for i in 0..number(0, "up_to").unwrap_or(0) {
                request.send(Payload::json(i.to_string().as_bytes()), None).unwrap();
            }
            request.reply(Payload::raw(b"")).unwrap();
        }
        "endless" => {
            let item = format!("\"{}\"", "x".repeat(10_000));
            while request.send(Payload::json(item.as_bytes()), None).is_ok() {}
            CANCELLED.fetch_add(1, Ordering::SeqCst);
        }
        "hang" => {
            while !request.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            CANCELLED.fetch_add(1, Ordering::SeqCst);
        }
        "note" => {
            std::thread::sleep(Duration::from_millis(20));
            assert!(!request.is_cancelled());
            NOTED.fetch_add(1, Ordering::SeqCst);
            request.reply(Payload::default()).unwrap();
        }
        "fail" => request.fail(
            Status::new(Code::NotFound, "no order 7")
                .with_reason("no_such_order")
                .with_details(json!({ "order": 7 })),
        ),
        "break" => request.fail(Status::new(Code::Internal, "broken")),
        _ => request.no_such_method(&["subtract", "sum"]),
    }
}

/// A service at a Unix socket, for the time of a test.
fn with_service(act: impl FnOnce(&Domain, PathBuf)) {
    let place = Place::new();
    let ax = place.open();
    let mut options = ServiceOptions::default();
    options.channel.max_message = 1 << 20;
    let service = ax.service("maths", "1.0.0", &options).unwrap();
    let socket = place.path().join("maths.sock");
    service.listen(&format!("unix://{}", socket.display())).unwrap();
    std::thread::scope(|scope| {
        let _closing = serve(scope, &service);
        act(&ax, socket);
    });
}

/// Answers calls until what is returned is dropped.
fn serve<'scope>(scope: &'scope Scope<'scope, '_>, service: &'scope Service) -> Closing<'scope> {
    for _ in 0..3 {
        scope.spawn(|| {
            while let Ok(request) = service.next(None) {
                answer(request);
            }
        });
    }
    Closing(service)
}

fn connect(socket: &PathBuf) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(SECONDS).unwrap();
    stream
}

/// Sends a line and reads the line that answers it, without what `data` tells in errors.
fn ask(stream: &UnixStream, line: &str) -> String {
    (&*stream).write_all(format!("{line}\n").as_bytes()).unwrap();
    without_data(&read_line(stream))
}

fn read_line(mut stream: impl Read) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while stream.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// `data` is the service's own, and the last member of errors.
fn without_data(line: &str) -> String {
    let mut text = line.to_owned();
    while let Some(at) = text.find(",\"data\":") {
        let mut values = serde_json::Deserializer::from_str(&text[at + 8..]).into_iter::<Value>();
        values.next().unwrap().unwrap();
        let end = at + 8 + values.byte_offset();
        text.replace_range(at..end, "");
    }
    text
}

/// The same text without the spaces between its words.
fn compact(text: &str) -> String {
    let mut quoted = false;
    let keep = |c: &char| {
        quoted ^= *c == '"';
        quoted || !c.is_whitespace()
    };
    text.chars().filter(keep).collect()
}

#[test]
fn the_examples_of_the_specification() {
    with_service(|_, socket| {
        let stream = connect(&socket);
        for (sent, received) in [
            (
                r#"{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}"#,
                r#"{"jsonrpc": "2.0", "result": 19, "id": 1}"#,
            ),
            (
                r#"{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}"#,
                r#"{"jsonrpc": "2.0", "result": -19, "id": 2}"#,
            ),
            (
                r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}"#,
                r#"{"jsonrpc": "2.0", "result": 19, "id": 3}"#,
            ),
            (
                r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}"#,
                r#"{"jsonrpc": "2.0", "result": 19, "id": 4}"#,
            ),
            (
                r#"{"jsonrpc": "2.0", "method": "foobar", "id": "1"}"#,
                r#"{"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "1"}"#,
            ),
            (
                r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#,
                r#"{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}"#,
            ),
            (
                r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#,
                r#"{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}"#,
            ),
            (
                r#"[ {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method" ]"#,
                r#"{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}"#,
            ),
            (
                "[]",
                r#"{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}"#,
            ),
            (
                "[1]",
                r#"[{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}]"#,
            ),
            (
                "[1,2,3]",
                r#"[{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
                {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
                {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}]"#,
            ),
        ] {
            assert_eq!(ask(&stream, sent), compact(received), "{sent}");
        }
    });
}

#[test]
fn a_batch_is_answered_as_one_array_and_notifications_not_at_all() {
    with_service(|_, socket| {
        let stream = connect(&socket);
        let batch = r#"[
            {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
            {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
            {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
            {"foo": "boo"},
            {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
            {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
        ]"#;
        let answers: Vec<Value> = serde_json::from_str(&ask(&stream, &compact(batch))).unwrap();
        let expected: Vec<Value> = serde_json::from_str(
            r#"[
            {"jsonrpc": "2.0", "result": 7, "id": "1"},
            {"jsonrpc": "2.0", "result": 19, "id": "2"},
            {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
            {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "5"},
            {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}
        ]"#,
        )
        .unwrap();
        // They are in the order in which they were done.
        assert_eq!(answers.len(), expected.len());
        expected.iter().for_each(|one| assert!(answers.contains(one), "{one} in {answers:?}"));
        for silent in [
            r#"{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}"#,
            r#"{"jsonrpc": "2.0", "method": "foobar"}"#,
            r#"[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]}, {"jsonrpc": "2.0", "method": "fail"}]"#,
            // An answer to an answer would be answered again.
            r#"{"jsonrpc": "2.0", "result": 7, "id": 3}"#,
        ] {
            let marked = format!("{silent}\n{{\"jsonrpc\":\"2.0\",\"method\":\"sum\",\"id\":7}}");
            assert_eq!(ask(&stream, &marked), r#"{"jsonrpc":"2.0","result":0,"id":7}"#, "{silent}");
        }
        let large = vec![r#"{"jsonrpc":"2.0","method":"sum"}"#; 1025].join(",");
        assert!(ask(&stream, &format!("[{large}]")).contains("-32600"));
    });
}

#[test]
fn a_batch_waits_for_the_last_and_others_do_not_wait_for_it() {
    with_service(|_, socket| {
        let (slow, quick) = (connect(&socket), connect(&socket));
        (&slow)
            .write_all(b"[{\"jsonrpc\":\"2.0\",\"method\":\"sum\",\"id\":1},{\"jsonrpc\":\"2.0\",\"method\":\"hang\",\"id\":2}]\n")
            .unwrap();
        assert_eq!(
            ask(&quick, r#"{"jsonrpc":"2.0","method":"sum","params":[3],"id":1}"#),
            r#"{"jsonrpc":"2.0","result":3,"id":1}"#
        );
        slow.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!((&slow).read(&mut [0]).is_err());
    });
}

#[test]
fn ids_and_params_come_back_as_they_were() {
    with_service(|_, socket| {
        let stream = connect(&socket);
        for id in ["0", "-7", "1.50", "18446744073709551616", "\"\"", "\"a\\u00e4\\\"\"", "null"] {
            let call =
                format!(r#"{{"id":{id},"params":[1.10,{{"a":"\u20ac"}}],"method":"echo","jsonrpc":"2.0"}}"#);
            let says = format!(r#"{{"jsonrpc":"2.0","result":[1.10,{{"a":"\u20ac"}}],"id":{id}}}"#);
            assert_eq!(ask(&stream, &call), says);
        }
        for (method, says) in [
            ("pretty", r#""result":{  "a": 1  }"#),
            ("bytes", r#""result":"AP8/""#),
            ("nothing", r#""result":null"#),
            ("nonsense", r#""code":-32603"#),
            ("count", r#""result":[]"#),
            ("rpc.discover", r#""code":-32601"#),
            (&"x".repeat(300), r#""code":-32601"#),
            ("", r#""code":-32601"#),
        ] {
            let answer = ask(&stream, &format!(r#"{{"jsonrpc":"2.0","method":"{method}","id":1}}"#));
            assert!(answer.contains(says), "{method}: {answer}");
        }
        for (params, items) in [("[0]", "[]"), ("[1]", "[0]"), ("[3]", "[0,1,2]")] {
            assert_eq!(
                ask(&stream, &format!(r#"{{"jsonrpc":"2.0","method":"count","params":{params},"id":1}}"#)),
                format!(r#"{{"jsonrpc":"2.0","result":{items},"id":1}}"#)
            );
        }
        // More than a window, and less than a message.
        let many = ask(&stream, r#"{"jsonrpc":"2.0","method":"count","params":[100000],"id":1}"#);
        let many: Value = serde_json::from_str(&many).unwrap();
        assert_eq!(many["result"].as_array().unwrap().len(), 100_000);
    });
}

#[test]
fn a_failure_tells_its_status() {
    with_service(|_, socket| {
        let stream = connect(&socket);
        (&stream).write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"fail\",\"id\":1}\n").unwrap();
        let answer: Value = serde_json::from_str(&read_line(&stream)).unwrap();
        let error = &answer["error"];
        assert_eq!((&error["code"], &error["message"]), (&json!(-32005), &json!("no order 7")));
        let data = &error["data"];
        assert_eq!((&data["code"], &data["reason"]), (&json!("NOT_FOUND"), &json!("no_such_order")));
        assert_eq!(data["details"], json!({ "order": 7 }));
        assert!(data["origin"].as_str().unwrap().starts_with("maths@1.0.0"), "{answer}");
        for (method, code, message) in [
            ("subtract", -32602, "two numbers"),
            ("break", -32603, "broken"),
            ("none", -32601, "Method not found"),
        ] {
            let answer = ask(&stream, &format!(r#"{{"jsonrpc":"2.0","method":"{method}","id":1}}"#));
            let says = format!(r#"{{"code":{code},"message":"{message}"}}"#);
            assert!(answer.contains(&says), "{answer}");
        }
    });
}

#[test]
fn a_stream_without_end_fails_and_its_handler_is_told() {
    with_service(|_, socket| {
        let before = CANCELLED.load(Ordering::SeqCst);
        let stream = connect(&socket);
        let answer = ask(&stream, r#"{"jsonrpc":"2.0","method":"endless","id":1}"#);
        assert!(answer.contains("-32008") && answer.contains("1048576"), "{answer}");
        wait_for(&CANCELLED, before + 1);
        assert!(ask(&stream, r#"{"jsonrpc":"2.0","method":"sum","id":2}"#).contains("\"result\":0"));
    });
}

#[test]
fn a_notification_is_done_though_its_sender_has_gone() {
    with_service(|_, socket| {
        for _ in 0..10 {
            let note = b"{\"jsonrpc\":\"2.0\",\"method\":\"note\"}\n";
            connect(&socket).write_all(note).unwrap();
        }
        wait_for(&NOTED, 10);
    });
}

fn wait_for(counter: &AtomicUsize, count: usize) {
    let until = Instant::now() + Duration::from_secs(10);
    while counter.load(Ordering::SeqCst) < count {
        assert!(Instant::now() < until, "nobody was told");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn who_goes_away_waits_no_more() {
    with_service(|_, socket| {
        let before = CANCELLED.load(Ordering::SeqCst);
        let stream = connect(&socket);
        (&stream).write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"hang\",\"id\":1}\n").unwrap();
        assert!(ask(&stream, r#"{"jsonrpc":"2.0","method":"sum","id":2}"#).contains("\"id\":2"));
        drop(stream);
        wait_for(&CANCELLED, before + 1);
    });
}

#[test]
fn content_length_is_answered_in_content_length() {
    with_service(|_, socket| {
        let stream = connect(&socket);
        let text =
            "{\n  \"jsonrpc\": \"2.0\",\n  \"method\": \"echo\",\n  \"params\": [\"ä\"],\n  \"id\": 1\n}";
        let sent = format!("Content-Length: {}\r\nContent-Type: application/json\r\n\r\n{text}", text.len());
        // However it is cut.
        for byte in sent.as_bytes() {
            (&stream).write_all(&[*byte]).unwrap();
        }
        let says = "Content-Length: 40\r\n\r\n{\"jsonrpc\":\"2.0\",\"result\":[\"ä\"],\"id\":1}";
        let mut received = vec![0; says.len()];
        (&stream).read_exact(&mut received).unwrap();
        assert_eq!(String::from_utf8(received).unwrap(), says);
        (&stream).write_all(b"Content-Length: nonsense\r\n\r\n").unwrap();
        let mut rest = String::new();
        (&stream).read_to_string(&mut rest).unwrap();
        assert!(rest.starts_with("Content-Length: ") && rest.contains("-32700"), "{rest}");
    });
}

#[test]
fn what_is_too_long_is_told_so_and_ends_the_connection() {
    with_service(|_, socket| {
        for begins in ["{\"a\":\"", "Content-Length: 1048577\r\n\r\n"] {
            let stream = connect(&socket);
            let sender = stream.try_clone().unwrap();
            let begins = begins.to_owned();
            let sending = std::thread::spawn(move || {
                let _ = (&sender).write_all(&[begins.as_bytes(), &vec![b'x'; 2 << 20]].concat());
            });
            let mut rest = Vec::new();
            let _ = (&stream).read_to_end(&mut rest);
            sending.join().unwrap();
            let rest = String::from_utf8(rest).unwrap();
            assert!(rest.contains("-32700") && rest.contains("1048576"), "{rest}");
        }
        assert!(
            ask(&connect(&socket), r#"{"jsonrpc":"2.0","method":"sum","id":2}"#).contains("\"result\":0")
        );
    });
}

#[test]
fn a_request_is_one_line() {
    with_service(|_, socket| {
        let stream = connect(&socket);
        (&stream).write_all(b"\r\n  \n{\"jsonrpc\":\"2.0\",\n\"method\":\"sum\",\"id\":1}\n").unwrap();
        for says in ["a request is one line", "trailing characters"] {
            let answer = read_line(&stream);
            assert!(answer.contains("-32700") && answer.contains(says), "{answer}");
        }
    });
}

#[test]
fn everybody_speaks_to_one_service_at_the_same_time() {
    with_service(|ax, socket| {
        let address = format!("unix://{}", socket.display());
        let client = |query: &str| {
            let options = ClientOptions { address: Some(format!("{address}{query}")), ..Default::default() };
            ax.client("maths", "^1", &options).unwrap()
        };
        std::thread::scope(|scope| {
            for query in ["", "?protocol=json-rpc", "?protocol=json-rpc&framing=content-length"] {
                let client = client(query);
                scope.spawn(move || {
                    for i in 0..200 {
                        let body = client.call("sum", Payload::json(format!("[{i},1]").as_bytes()), SECONDS);
                        assert_eq!(body.unwrap().data(), (i + 1).to_string().as_bytes());
                    }
                });
            }
            let stream = connect(&socket);
            scope.spawn(move || {
                for i in 0..200 {
                    let call = format!(r#"{{"jsonrpc":"2.0","method":"sum","params":[{i}],"id":{i}}}"#);
                    assert_eq!(ask(&stream, &call), format!(r#"{{"jsonrpc":"2.0","result":{i},"id":{i}}}"#));
                }
            });
        });
        // A stranger disturbs nobody.
        let stranger = connect(&socket);
        (&stranger).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let read = (&stranger).read(&mut [0]);
        assert!(matches!(&read, Ok(0)) || read.unwrap_err().kind() == std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_client_of_json_rpc_is_a_client() {
    with_service(|ax, socket| {
        let address = format!("unix://{}?protocol=json-rpc", socket.display());
        let client =
            ax.client("maths", "*", &ClientOptions { address: Some(address), ..Default::default() }).unwrap();
        let body =
            client.call("subtract", Payload::json(b"{\"minuend\":3,\n\"subtrahend\":1}"), SECONDS).unwrap();
        assert_eq!((body.data(), body.content()), (&b"2"[..], axonic::Content::Json));
        assert_eq!(client.call("nothing", Payload::raw(b""), SECONDS).unwrap().data(), b"null");
        let error = client.call("fail", Payload::default(), SECONDS).unwrap_err();
        let status = error.status().unwrap();
        assert_eq!((error.kind(), status.code), (ErrorKind::CallFailed, Code::NotFound));
        assert_eq!((status.reason.as_str(), &status.details), ("no_such_order", &json!({ "order": 7 })));
        assert!(status.origin.starts_with("maths@1.0.0"));
        let error = client.call("foobar", Payload::default(), SECONDS).unwrap_err();
        assert!(
            error.status().unwrap().code == Code::Unimplemented
                && error.message().contains("it has subtract")
        );
        let body = client.call("count", Payload::json(b"[3]"), SECONDS).unwrap();
        assert_eq!(body.data(), b"[0,1,2]");
        refuses_what_has_no_word(&client);
        let error = client.call("hang", Payload::default(), Some(Duration::from_millis(20))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(client.call("sum", Payload::json(b"[7]"), SECONDS).unwrap().data(), b"7");
    });
}

fn refuses_what_has_no_word(client: &Client) {
    for payload in [Payload::raw(b"bytes"), Payload::json(b"7"), Payload::json(b"[7")] {
        let error = client.call("sum", payload, SECONDS).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("sum"), "{error}");
    }
    for (input, stream) in [(true, false), (false, true)] {
        let options = CallOptions { input, stream, timeout: SECONDS };
        let error = client.start("sum", Payload::default(), &options).unwrap_err();
        assert!(error.kind() == ErrorKind::Unsupported && error.message().contains("streams"), "{error}");
    }
}

/// A client of whoever answers lines at a TCP socket as `server` does.
fn with_server(server: impl FnOnce(TcpStream) + Send, act: impl FnOnce(&Client)) {
    let place = Place::new();
    let ax = place.open();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}?protocol=json-rpc", listener.local_addr().unwrap());
    let client =
        ax.client("other", "*", &ClientOptions { address: Some(address), ..Default::default() }).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || server(listener.accept().unwrap().0));
        act(&client);
        client.close();
    });
}

#[test]
fn calls_are_exactly_what_the_specification_says_and_answers_come_in_any_order() {
    let server = |stream: TcpStream| {
        let (mut first, mut second) = (read_line(&stream), read_line(&stream));
        let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap();
        let (a, b) = (id(&first), id(&second));
        first = first.replace(&format!("\"id\":{a}"), "\"id\":A");
        second = second.replace(&format!("\"id\":{b}"), "\"id\":B");
        assert_eq!(first, r#"{"jsonrpc":"2.0","method":"add","params":[1, 2],"id":A}"#);
        assert_eq!(second, r#"{"jsonrpc":"2.0","method":"a\"b","id":B}"#);
        let said = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"tick\"}}\n{{\"jsonrpc\":\"2.0\",\"result\":9,\"id\":\"nobody's\"}}\n\
             {{\"jsonrpc\":\"2.0\",\"method\":\"ask\",\"id\":\"q\"}}\n\
             [{{\"jsonrpc\":\"2.0\",\"error\":{{\"code\":-32050,\"message\":\"busy\",\"data\":[1]}},\"id\":{b}}},\
             {{\"jsonrpc\":\"2.0\",\"result\":{{\"sum\":3}},\"id\":{a}}}]\n"
        );
        (&stream).write_all(said.as_bytes()).unwrap();
        let answer = without_data(&read_line(&stream));
        assert_eq!(
            answer,
            r#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":"q"}"#
        );
    };
    with_server(server, |client| {
        let options = CallOptions { timeout: SECONDS, ..Default::default() };
        let mut add = client.start("add", Payload::json(b"[1, 2]"), &options).unwrap();
        let mut other = client.start("a\"b", Payload::default(), &options).unwrap();
        assert_eq!(add.result(None).unwrap().data(), b"{\"sum\":3}");
        let error = other.result(None).unwrap_err();
        let status = error.status().unwrap();
        assert_eq!((status.code, status.reason.as_str()), (Code::Unknown, "-32050"));
        assert_eq!((status.message.as_str(), &status.details), ("busy", &json!([1])));
    });
}

#[test]
fn a_server_that_goes_or_talks_nonsense_is_unavailable() {
    for says in [
        "",
        "hello\n",
        "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"Parse error\"},\"id\":null}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1}\n",
    ] {
        let server = move |stream: TcpStream| {
            read_line(&stream);
            (&stream).write_all(says.as_bytes()).unwrap();
        };
        with_server(server, |client| {
            let error = client.call("add", Payload::default(), SECONDS).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{says}: {error}");
        });
    }
    let place = Place::new();
    let address = Some(format!("unix://{}?protocol=json-rpc", place.path().join("none").display()));
    let client = place.open().client("other", "*", &ClientOptions { address, ..Default::default() }).unwrap();
    assert_eq!(client.call("a", Payload::default(), SECONDS).unwrap_err().kind(), ErrorKind::Unavailable);
}

/// What a server asks is refused, and it takes no refusals.
#[test]
fn a_server_that_asks_without_end_and_reads_nothing_is_left() {
    let server = |stream: TcpStream| {
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let id = "x".repeat(100_000);
        let asks = format!("{{\"jsonrpc\":\"2.0\",\"method\":\"ask\",\"id\":\"{id}\"}}\n");
        while (&stream).write_all(asks.as_bytes()).is_ok() {}
    };
    with_server(server, |client| {
        let error = client.call("add", Payload::default(), Some(Duration::from_secs(30))).unwrap_err();
        assert!(error.kind() == ErrorKind::Unavailable && error.message().contains("the limit"), "{error}");
    });
}

/// A call that waits for room is not sent: another connection does as well.
#[test]
fn a_call_that_was_not_sent_goes_elsewhere() {
    let place = Place::new();
    let ax = place.open();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Some(format!("tcp://{}?protocol=json-rpc", listener.local_addr().unwrap()));
    let client = ax.client("other", "*", &ClientOptions { address, ..Default::default() }).unwrap();
    let large = format!("[\"{}\"]", "x".repeat(15 << 20));
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| client.call("large", Payload::json(large.as_bytes()), SECONDS));
        let first = listener.accept().unwrap().0;
        std::thread::sleep(Duration::from_millis(100));
        let small = scope.spawn(|| client.call("small", Payload::default(), SECONDS));
        std::thread::sleep(Duration::from_millis(100));
        // It says nothing more, and still does not read.
        first.shutdown(std::net::Shutdown::Write).unwrap();
        let error = sending.join().unwrap().unwrap_err();
        assert!(!error.status().unwrap().retryable, "a part of it was sent: {error}");
        listener.set_nonblocking(true).unwrap();
        let second = (0..100).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            listener.accept().ok()
        });
        if let Some((second, _)) = second {
            second.set_nonblocking(false).unwrap();
            let asked: Value = serde_json::from_str(&read_line(&second)).unwrap();
            let answer = json!({ "jsonrpc": "2.0", "result": 7, "id": asked["id"] });
            writeln!(&second, "{answer}").unwrap();
        }
        assert_eq!(small.join().unwrap().unwrap().data(), b"7");
    });
}

/// What cannot be read is answered, too: whoever takes no such answers is read no further, and holds up nobody.
#[test]
fn who_sends_nonsense_and_reads_nothing_is_made_to_wait() {
    with_service(|_, socket| {
        let mut greedy = connect(&socket);
        greedy.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        greedy.write_all(b"{\n").unwrap();
        let lines = b"x\n".repeat(1 << 15);
        let sent = (0..100).take_while(|_| greedy.write_all(&lines).is_ok()).count();
        assert!(sent < 100, "{sent} times 32768 lines were read, and answered to nobody");
        let stream = connect(&socket);
        assert_eq!(
            ask(&stream, r#"{"jsonrpc":"2.0","method":"subtract","params":[9,2],"id":1}"#),
            r#"{"jsonrpc":"2.0","result":7,"id":1}"#
        );
    });
}

#[test]
fn a_server_at_descriptors_is_gone_with_them() {
    let place = Place::new();
    let (read, mut to_client) = std::io::pipe().unwrap();
    let (from_client, write) = std::io::pipe().unwrap();
    let address = Some(format!("pipe:{},{}?protocol=json-rpc", read.as_raw_fd(), write.as_raw_fd()));
    let ax = place.open();
    let client = ax.client("other", "*", &ClientOptions { address, ..Default::default() }).unwrap();
    // The client takes them.
    std::mem::forget((read, write));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for line in BufReader::new(from_client).lines().take(2) {
                let request: Value = serde_json::from_str(&line.unwrap()).unwrap();
                writeln!(to_client, "{}", json!({ "jsonrpc": "2.0", "result": 3, "id": request["id"] }))
                    .unwrap();
            }
        });
        assert_eq!(client.call("add", Payload::default(), SECONDS).unwrap().data(), b"3");
        // Who comes and goes meanwhile has a client look who is there.
        ax.service("another", "1.0.0", &ServiceOptions::default()).unwrap().close();
        assert_eq!(client.call("add", Payload::default(), SECONDS).unwrap().data(), b"3");
    });
    // Others have their numbers now, and keep them.
    let mut others: Vec<_> = (0..8).map(|_| std::io::pipe().unwrap()).collect();
    for _ in 0..2 {
        let error = client.call("add", Payload::default(), SECONDS).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(!error.status().unwrap().retryable, "{error}");
    }
    for (read, write) in &mut others {
        write.write_all(b"x").unwrap();
        assert_eq!(read.read(&mut [0]).unwrap(), 1);
    }
}

#[test]
fn other_protocols_are_for_services_and_streams() {
    let place = Place::new();
    let ax = place.open();
    let socket = format!("unix://{}", place.path().join("s").display());
    let options = Default::default();
    let service = ax.service("maths", "1.0.0", &ServiceOptions::default()).unwrap();
    let listened = service.listen(&format!("{socket}?protocol=json-rpc")).unwrap_err();
    let connected = ax.connect(&format!("{socket}?protocol=json-rpc"), &options, SECONDS).unwrap_err();
    for error in [listened, connected] {
        assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains("clients"), "{error}");
    }
    let _listening = UnixListener::bind(place.path().join("s")).unwrap();
    for (query, says) in [
        ("protocol=soap", "json-rpc"),
        ("protocol=json-rpc&framing=length", "lines, content-length"),
        ("protocol=json-rpc&checksum=crc32c", "checksums"),
    ] {
        let address = Some(format!("{socket}?{query}"));
        let client = ax.client("other", "*", &ClientOptions { address, ..Default::default() }).unwrap();
        let error = client.call("a", Payload::default(), SECONDS).unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains(says), "{error}");
    }
    std::fs::remove_file(place.path().join("s")).unwrap();
}
