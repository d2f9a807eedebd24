//! JSON-RPC 2.0 with programs that are not Axonic's: `python-lsp-jsonrpc` of PyPI, `jayson` and `vscode-jsonrpc` of npm. Each calls
//! a service, and each is called by a client. Which Python and Node they run on is told by the environment
//! `cargo xtask test interop` sets.

use axonic::{Client, ClientOptions, Code, Domain, DomainOptions, ErrorKind, Payload, Request, Service};
use axonic::{ServiceOptions, Status};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SECONDS: Option<Duration> = Some(Duration::from_secs(20));

/// A third party: the setting that says what it runs on, its program, and what its framing is in an address.
struct Party {
    runs_on: &'static str,
    program: &'static str,
    framing: &'static str,
}

const PARTIES: [Party; 3] = [
    Party { runs_on: "AXONIC_TEST_PYTHON", program: "pylsp.py", framing: "content-length" },
    Party { runs_on: "AXONIC_TEST_NODE", program: "jayson.mjs", framing: "lines" },
    Party { runs_on: "AXONIC_TEST_NODE", program: "vscode.mjs", framing: "content-length" },
];

impl Party {
    fn start(&self, role: &str, port: &str) -> Child {
        let Some(runs_on) = std::env::var_os(self.runs_on) else {
            panic!("{} is not set: run this through `cargo xtask test interop`", self.runs_on)
        };
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("jsonrpc").join(self.program);
        let mut command = Command::new(runs_on);
        command.arg(program).args([role, port]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().unwrap_or_else(|e| panic!("{} does not start: {e}", self.program))
    }
}

/// A domain in a directory of its own.
fn domain() -> (tempfile::TempDir, Domain) {
    let place = tempfile::Builder::new().prefix("axonic-jsonrpc-").tempdir_in("/dev/shm").expect("/dev/shm");
    let runtime_dir: Option<PathBuf> = Some(place.path().into());
    let options = DomainOptions { name: Some("test".into()), runtime_dir, ..Default::default() };
    let ax = Domain::open_with(options).expect("a domain");
    (place, ax)
}

/// What a party's service of the same name does, too.
fn answer(request: Request) {
    let params = String::from_utf8_lossy(request.body().data()).into_owned();
    match request.method() {
        "echo" => request.reply(Payload::json(params.as_bytes())).expect("its answer is sent"),
        "count" => {
            for i in 0..3 {
                let sent = request.send(Payload::json(format!("{{\"i\":{i}}}").as_bytes()), None);
                sent.expect("its caller takes it");
            }
            request.reply(Payload::raw(b"")).expect("its answer is sent");
        }
        "fail" => request.fail(Status::new(Code::NotFound, "no order 7").with_reason("no_such_order")),
        _ => request.no_such_method(&["echo", "count", "fail"]),
    }
}

/// Answers until it is closed; how many calls.
fn serve(service: &Service) -> usize {
    let mut calls = 0;
    while let Ok(request) = service.next(None) {
        calls += 1;
        answer(request);
    }
    calls
}

#[test]
fn others_call_a_service() {
    for party in &PARTIES {
        let (_place, ax) = domain();
        let service = ax.service("orders", "1.0.0", &ServiceOptions::default()).expect("a service");
        let address = service.listen("tcp://127.0.0.1:0").expect("it listens");
        let port = address.rsplit(':').next().unwrap_or_default();
        let (output, calls) = std::thread::scope(|scope| {
            let serving = scope.spawn(|| serve(&service));
            let output = party.start("client", port).wait_with_output();
            service.close();
            (output.expect("its output"), serving.join().expect("the service"))
        });
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.trim() == "all answered", "{}: {said}", party.program);
        // Its program says what they are.
        assert_eq!(calls, 104, "{}", party.program);
    }
}

#[test]
fn others_are_called_by_a_client() {
    for party in &PARTIES {
        let (_place, ax) = domain();
        let mut child = party.start("server", "0");
        let mut port = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        output.read_line(&mut port).expect("its port");
        let address = format!("tcp://127.0.0.1:{}?protocol=json-rpc&framing={}", port.trim(), party.framing);
        let options = ClientOptions { address: Some(address), ..Default::default() };
        let client = ax.client("orders", "*", &options).expect("a client");
        call(&client, party.program);
        // It ends when its input does.
        drop(child.stdin.take());
        output.read_to_string(&mut port).expect("its end");
        assert!(child.wait().expect("its end").success(), "{}: {port}", party.program);
        let error = client.call("echo", Payload::json(b"[1]"), SECONDS).expect_err("it is gone");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{}: {error}", party.program);
    }
}

fn call(client: &Client, who: &str) {
    let params = "{\"text\":\"ä€😀\",\"n\":[1,2.5,null,true]}";
    let expected: serde_json::Value = serde_json::from_str(params).expect("JSON");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let body = client.call("echo", Payload::json(params.as_bytes()), SECONDS);
                    let body = body.unwrap_or_else(|e| panic!("{who}: {e}"));
                    let value: serde_json::Value = serde_json::from_slice(body.data()).expect("JSON");
                    assert_eq!(value, expected, "{who}");
                }
            });
        }
    });
    let failed = client.call("fail", Payload::json(b"{}"), SECONDS).expect_err("it fails");
    let status = failed.status().expect("a status");
    assert_eq!((status.code, status.reason.as_str()), (Code::Unknown, "-32050"), "{who}: {failed}");
    assert!(status.message.contains("no order 7"), "{who}: {failed}");
    assert_eq!(status.details["order"], 7, "{who}: {failed}");
    let none = client.call("nonsense", Payload::json(b"{}"), SECONDS).expect_err("there is none");
    assert_eq!(none.status().map(|status| status.code), Some(Code::Unimplemented), "{who}: {none}");
}
