//! `listen`, `connect`, `call`, `serve`; and channels and services as `ls`, `stat` and `top` show them.

use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::{Place, Running, until};

const SECOND: Option<Duration> = Some(Duration::from_secs(5));

/// A service that is a shell script.
fn serve(place: &Place, script: &str) -> Running {
    let mut command = place.axonic(["serve", "text", "1.2.0", "--exec", "sh", "--", "-c", script, "sh"]);
    let running = Running::start(&mut command);
    until("it is provided", || !place.snapshot().services.is_empty());
    running
}

#[test]
fn a_program_that_cannot_be_run_is_refused_at_once() {
    let place = Place::new();
    for program in ["/nonexistent", "no-such-program", "/etc/passwd", "./", ""] {
        let done = place.axonic(["serve", "text", "1.2.0", "--exec", program]).output().unwrap();
        let says = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(2), "{program}: {says}");
        assert!(says.contains(&format!("--exec {program}: there is no such program")), "{says}");
    }
}

fn end(mut running: Running) {
    running.signal(Signal::SIGTERM);
    let done = running.finish();
    assert_eq!((done.code, done.err.as_str()), (143, ""));
}

#[test]
fn what_one_end_reads_the_other_writes_and_both_end() {
    let place = Place::new();
    for address in ["shm://default/a", "tcp://127.0.0.1:47113", "tcp://127.0.0.1:47114?framing=none"] {
        let mut listening = Running::start(place.axonic(["listen", address]).stdin(Stdio::piped()));
        listening.child().stdin.take().unwrap().write_all(b"down\n").unwrap();
        let connect = || {
            let mut command = place.axonic(["connect", address]);
            let mut running = Running::start(command.stdin(Stdio::piped()));
            let _ = running.child().stdin.take().unwrap().write_all(b"one\n\nthree");
            running.finish()
        };
        let mut connected = connect();
        until("somebody listens", || {
            if connected.code != 0 {
                connected = connect();
            }
            connected.code == 0
        });
        assert_eq!(connected.ok(), "down\n", "{address}");
        let end = if address.ends_with("none") { "" } else { "\n" };
        assert_eq!(listening.finish().ok(), format!("one\n\nthree{end}"), "{address}");
    }
    let done = place.run(["connect", "shm://default/a"]);
    assert!(done.error().1.contains("nobody listens there"), "{done:?}");
}

#[test]
fn a_program_is_a_service() {
    let place = Place::new();
    let script = r#"case "$1" in
        echo) cat;;
        upper) tr a-z A-Z;;
        fail) echo "no such order" >&2; exit 3;;
        hang) exec sleep 60;;
    esac"#;
    let service = serve(&place, script);
    assert_eq!(place.ok(["call", "text", "echo", r#"{"a": 1}"#]), "{\"a\": 1}\n");
    assert_eq!(place.ok(["call", "text", "upper", r#""lamp""#, "--range", "^1.1"]), "\"LAMP\"\n");
    assert_eq!(place.ok(["call", "text", "upper", r#""lamp""#, "--stream"]), "\"LAMP\"\n");
    let done = place.run(["call", "text", "fail"]);
    let (code, message) = done.error();
    assert!(code == 1 && message.contains("no such order") && message.contains("exit_3"), "{message}");
    let done = place.run(["call", "text", "echo", "--range", "^2"]);
    assert!(done.error().1.contains("there is 1.2.0"), "{done:?}");
    assert_eq!(place.run(["call", "text", "echo", "{nonsense"]).code, 1);
    // A program nobody waits for any more is killed.
    let done = place.run(["call", "text", "hang", "--timeout", "0.2"]);
    assert!(done.error().1.contains("no answer in its time"), "{done:?}");
    until("nothing is at work", || place.snapshot().services[0].at_work == 0);
    end(service);
    assert!(place.run(["call", "text", "echo"]).error().1.contains("nobody provides it"));
}

#[test]
fn a_service_at_its_standard_streams_ends_with_its_input() {
    let place = Place::new();
    let mut command = place.axonic(["serve", "text", "1.2.0", "--address", "pipe:0,1", "--exec", "sh"]);
    let mut running = Running::start(command.args(["--", "-c", "cat", "sh"]).stdin(Stdio::piped()));
    let mut input = running.child().stdin.take().unwrap();
    input.write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":[7],\"id\":1}\n").unwrap();
    drop(input);
    let done = running.finish();
    assert_eq!((done.code, done.out.as_str()), (0, "{\"jsonrpc\":\"2.0\",\"result\":[7],\"id\":1}\n"));
}

#[test]
fn items_of_a_stream_are_printed_as_they_come() {
    let place = Place::new();
    let domain = place.open("default");
    let service = domain.service("count", "1.0.0", &axonic::ServiceOptions::default()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let request = service.next(SECOND).unwrap();
            for number in ["1", "2", "3"] {
                request.send(axonic::Payload::json(number.as_bytes()), SECOND).unwrap();
            }
            request.reply(axonic::Payload::raw(b"")).unwrap();
        });
        assert_eq!(place.ok(["call", "count", "up", "--stream"]), "1\n2\n3\n");
    });
}

#[test]
fn channels_and_services_are_listed() {
    let place = Place::new();
    let domain = place.open("default");
    let options = axonic::ChannelOptions::default();
    let listener = domain.listen("shm://default/jobs", &options).unwrap();
    let _service = domain.service("search", "1.2.0", &axonic::ServiceOptions::default()).unwrap();
    std::thread::scope(|scope| {
        let accepting = scope.spawn(|| listener.accept(SECOND).unwrap());
        let channel = domain.connect("shm://default/jobs", &options, SECOND).unwrap();
        let _accepted = accepting.join().unwrap();
        channel.send(&[0; 1000], SECOND).unwrap();
        let listed = place.ok(["ls", "default"]);
        for words in ["1 listener\n", "1 service\n", "1 channel\n", "search", "1.2.0", "jobs", "1 KiB"] {
            assert!(listed.contains(words), "{words}: {listed}");
        }
        assert!(place.ok(["ls"]).contains("SERVICES"));
        let counted = place.ok(["stat"]);
        assert!(counted.contains("1 service, 1 channel") && counted.contains("AT WORK"), "{counted}");
        let seen: serde_json::Value = serde_json::from_str(&place.ok(["stat", "--json"])).unwrap();
        assert_eq!(seen["channels"][0]["client"]["pending_bytes"], 1024);
        assert_eq!(seen["services"][0]["name"], "search");
        let text = place.ok(["stat", "--openmetrics"]);
        for line in [
            "axonic_listener_waiting{domain=\"default\",listener=\"jobs\"} 0",
            "axonic_channel_pending_bytes{domain=\"default\",listener=\"jobs\"} 1024",
            "axonic_service_calls_total{domain=\"default\",service=\"search\",version=\"1.2.0\"",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    });
}

#[test]
fn top_shows_what_services_and_channels_do() {
    let place = Place::new();
    let domain = place.open("default");
    let service = domain.service("search", "1.2.0", &axonic::ServiceOptions::default()).unwrap();
    let _idle = domain.service("archive", "0.1.0", &axonic::ServiceOptions::default()).unwrap();
    let stop = AtomicBool::new(false);
    let top = std::thread::scope(|scope| {
        scope.spawn(|| {
            while let Ok(request) = service.next(None) {
                request.reply(axonic::Payload::raw(b"found")).unwrap();
            }
        });
        scope.spawn(|| {
            let client = domain.client("search", "^1", &axonic::ClientOptions::default()).unwrap();
            while !stop.load(Ordering::Relaxed) {
                client.call("find", axonic::Payload::raw(b"x"), SECOND).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
            service.close();
        });
        until("somebody calls", || place.snapshot().services.iter().any(|s| s.calls > 0));
        let top = place.ok(["top", "--once"]);
        stop.store(true, Ordering::Relaxed);
        top
    });
    let row = |table: &str, begins: &str| {
        let mut lines = top.lines().skip_while(|line| !line.starts_with(table)).skip(1);
        let found = lines.find(|line| line.starts_with(begins)).expect(&top);
        found.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let search = row("SERVICE", "search");
    let rate: f64 = search[3].parse().unwrap();
    assert!(rate > 10.0 && rate < 2000.0, "{top}");
    assert_eq!(
        (search[1].as_str(), search[5].as_str(), search.last().unwrap().as_str()),
        ("1.2.0", "1", "live"),
        "{top}"
    );
    assert_eq!(row("SERVICE", "archive")[3], "0", "{top}");
    let channel = row("CHANNEL OF", "search@1.2.0");
    let (there, back): (f64, f64) = (channel[3].parse().unwrap(), channel[4].parse().unwrap());
    assert!(there > 10.0 && back > 10.0, "{top}");
    // The busy come first, and of what there is none no table is shown.
    assert!(top.find("search").unwrap() < top.find("archive").unwrap() && !top.contains("QUEUE"), "{top}");
}
