//! `pub` and `sub`: what one sends the other prints.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use axonic::{Attributes, Dtype, Payload, PublisherOptions, SubscriberOptions, Tensor};

use crate::harness::{Place, Running, json_lines};

/// Feeds `input` to a command's stdin.
fn feed(place: &Place, args: &[&str], input: &[u8]) -> crate::harness::Done {
    let mut running = Running::start(place.axonic(args).stdin(Stdio::piped()));
    let mut stdin = running.child().stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let done = running.finish();
    writer.join().unwrap();
    done
}

#[test]
fn one_message_from_the_command_line() {
    let place = Place::new();
    let sub = place.sub(["greetings", "--count", "1"]);
    place.ok(["pub", "greetings", "hello"]);
    assert_eq!(sub.finish().ok(), "hello\n");
}

#[test]
fn short_lived_publishers_leave_nothing_behind_while_several_listen() {
    let place = Place::new();
    // More than the finished publishers a topic may keep for those who have yet to read.
    let subs = [(); 2].map(|()| place.sub(["t", "--count", "80"]));
    for number in 0..80 {
        place.ok(["pub", "t", &number.to_string()]);
    }
    for sub in subs {
        let received = sub.finish().ok();
        // Order is promised per publisher, and these are eighty.
        let mut numbers: Vec<u32> = received.lines().map(|line| line.parse().unwrap()).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..80), "{received}");
    }
    assert!(place.snapshot().publishers.is_empty());
}

#[test]
fn a_number_is_no_option() {
    let place = Place::new();
    let sub = place.sub(["t", "--count", "1"]);
    place.ok(["pub", "t", "-5"]);
    assert_eq!(sub.finish().ok(), "-5\n");
}

#[test]
fn each_line_of_stdin_is_a_message() {
    let place = Place::new();
    let sub = place.sub(["t", "--json", "--count", "4"]);
    feed(&place, &["pub", "t"], b"one\n\n three\r\nno line feed").ok();
    let messages = json_lines(&sub.finish().ok());
    let data: Vec<&str> = messages.iter().map(|message| message["data"].as_str().unwrap()).collect();
    assert_eq!(data, ["one", "", " three\r", "no line feed"]);
}

#[test]
fn nothing_is_lost_however_slow_the_reader() {
    // More than any ring holds: by default `pub` waits, as a pipe would.
    let lines: Vec<String> = (0..60_000).map(|number| format!("line {number}")).collect();
    let place = Place::new();
    let count = lines.len().to_string();
    let sub = place.sub(["t", "--count", &count]);
    let received = std::thread::scope(|scope| {
        scope.spawn(|| feed(&place, &["pub", "t"], lines.join("\n").as_bytes()).ok());
        sub.finish().ok()
    });
    assert!(received.lines().eq(lines.iter().map(String::as_str)), "{} lines", received.lines().count());
}

#[test]
fn losses_under_drop_oldest_are_counted_exactly() {
    let place = Place::new();
    let mut sub = place.sub(["t", "--json", "--timeout", "1"]);
    sub.signal(nix::sys::signal::Signal::SIGSTOP);
    let line = [b'x'; 1000];
    let input: Vec<u8> = (0..2000).flat_map(|_| line.iter().copied().chain([b'\n'])).collect();
    feed(&place, &["pub", "t", "--overflow", "drop_oldest"], &input).ok();
    sub.signal(nix::sys::signal::Signal::SIGCONT);
    let done = sub.finish();
    let messages = json_lines(&done.out);
    let missed: u64 = messages.iter().map(|message| message["missed"].as_u64().unwrap()).sum();
    assert!(missed > 0 && !messages.is_empty());
    assert_eq!(missed + messages.len() as u64, 2000);
    assert_eq!((done.code, done.err), (0, format!("axonic: missed {missed} messages, the last on t\n")));
}

#[test]
fn a_full_ring_under_reject_is_an_error() {
    let place = Place::new();
    let mut sub = place.sub(["t"]);
    sub.signal(nix::sys::signal::Signal::SIGSTOP);
    let done = feed(
        &place,
        &["pub", "t", "--overflow", "reject"],
        &[b'x'; 1 << 20].chunks(1000).fold(Vec::new(), |mut all, line| {
            all.extend_from_slice(line);
            all.push(b'\n');
            all
        }),
    );
    let (code, message) = done.error();
    assert_eq!(code, 1);
    assert!(message.starts_with("line "), "{message}");
}

#[test]
fn a_pattern_sees_all_its_topics() {
    let place = Place::new();
    let sub = place.sub(["orders.>", "--json", "--count", "2"]);
    place.ok(["pub", "invoices.created", "no"]);
    place.ok(["pub", "orders.created", "first"]);
    place.ok(["pub", "orders.paid.eu", "{\"id\": 10.50}", "--json"]);
    let out = sub.finish().ok();
    let messages = json_lines(&out);
    assert_eq!(messages[0]["topic"], "orders.created");
    assert_eq!(messages[0]["content"], "raw");
    assert_eq!(messages[0]["data"], "first");
    assert_eq!(messages[0]["sequence"], 0);
    assert_eq!(messages[0]["missed"], 0);
    assert_eq!(messages[1]["topic"], "orders.paid.eu");
    assert_eq!(messages[1]["content"], "json");
    assert!(out.contains("\"value\":{\"id\": 10.50}"), "numbers keep their digits: {out}");
}

#[test]
fn json_is_checked_before_it_is_sent() {
    let place = Place::new();
    let sub = place.sub(["t", "--count", "2"]);
    let done = place.run(["pub", "t", "--json", "{nonsense"]);
    let (code, message) = done.error();
    assert_eq!(code, 1);
    assert!(message.contains("not JSON"), "{message}");
    let done = feed(&place, &["pub", "t", "--json"], b"1\n\n[2]\nthree\n4\n");
    let (code, message) = done.error();
    assert_eq!(code, 1);
    assert!(message.starts_with("line 4: ") && message.contains("not JSON"), "{message}");
    assert_eq!(sub.finish().ok(), "1\n[2]\n");
}

#[test]
fn whole_takes_stdin_as_it_is() {
    let place = Place::new();
    let sub = place.sub(["t", "--json", "--count", "1"]);
    feed(&place, &["pub", "t", "--whole"], b"a\nb\xff\n").ok();
    assert_eq!(json_lines(&sub.finish().ok())[0]["data_base64"], "YQpi/wo=");
}

#[test]
fn whole_may_be_larger_than_the_default_budget() {
    let place = Place::new();
    let domain = place.open("default");
    let mut subscriber = domain.subscriber("t", &SubscriberOptions::default()).unwrap();
    let input: Vec<u8> = (0..80u32 << 20).map(|at| (at % 251) as u8).collect();
    let length = input.len();
    std::thread::scope(|scope| {
        scope.spawn(|| feed(&place, &["pub", "t", "--whole"], &input).ok());
        let message = subscriber.receive(Some(Duration::from_secs(30))).unwrap();
        assert!(message.data().len() == length && message.data() == input);
    });
}

#[test]
fn attributes_travel() {
    let place = Place::new();
    let sub = place.sub(["t", "--json", "--count", "1"]);
    place.ok(["pub", "t", "x", "--attribute", "subject=build-7", "--attribute", "type=done"]);
    let attributes = &json_lines(&sub.finish().ok())[0]["attributes"];
    assert_eq!(attributes["subject"], "build-7");
    assert_eq!(attributes["type"], "done");
    assert_eq!(attributes["specversion"], "1.0");
    assert_eq!(place.run(["pub", "t", "x", "--attribute", "Bad-Name=1"]).error().0, 2);
}

#[test]
fn what_programs_send_is_printed_readably() {
    let place = Place::new();
    let domain = place.open("default");
    let mut publisher = domain.publisher("t", &PublisherOptions::default()).unwrap();
    let text = place.sub(["t", "--count", "3"]);
    let json = place.sub(["t", "--json", "--count", "3"]);
    publisher.wait_for_subscribers(2, Some(Duration::from_secs(10))).unwrap();

    let tensor = Tensor { dtype: Dtype::F32, shape: vec![1, 2] };
    let floats: Vec<u8> = [1.0f32, 2.0].iter().flat_map(|float| float.to_le_bytes()).collect();
    let mut attributes = Attributes::new();
    attributes.insert("subject", "s").unwrap();
    publisher.send(&Payload::json(b"{\n  \"a\": [1,\n 2]\n}"), None).unwrap();
    publisher.send(&Payload::tensor(&floats, &tensor), None).unwrap();
    publisher.send(&Payload::raw(b"last").with_attributes(&attributes), None).unwrap();

    let text = text.finish().ok();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "{   \"a\": [1,  2] }");
    assert!(lines[1].contains("float32"), "{text}");
    assert_eq!(lines[2..], ["last"]);

    let messages = json_lines(&json.finish().ok());
    assert_eq!(messages[0]["value"]["a"][1], 2);
    assert_eq!(messages[1]["tensor"]["dtype"], "float32");
    assert_eq!(messages[1]["tensor"]["shape"], serde_json::json!([1, 2]));
    assert_eq!(messages[1]["data_base64"], "AACAPwAAAEA=");
    assert_eq!(messages[2]["attributes"]["subject"], "s");
    assert!(messages[0].get("attributes").is_none());
}

#[test]
fn from_oldest_begins_with_what_was_retained() {
    let place = Place::new();
    feed(&place, &["pub", "t", "--retain"], b"a\nb\n").ok();
    assert_eq!(place.ok(["sub", "t", "--from", "oldest", "--timeout", "0"]), "a\nb\n");
    assert_eq!(place.ok(["sub", "t", "--timeout", "0"]), "");
}

#[test]
fn a_timeout_before_the_count_is_an_error() {
    let place = Place::new();
    let done = place.run(["sub", "t", "--count", "2", "--timeout", "0.05"]);
    let (code, message) = done.error();
    assert_eq!(code, 1);
    assert!(message.contains("0 of 2 messages") && message.contains("0.05 s"), "{message}");
}

#[test]
fn names_that_cannot_be_are_usage_errors() {
    let place = Place::new();
    let long = "x".repeat(10_000);
    for bad in ["a/b", "..", "", "a..b", "a b", "\u{7f}", &long] {
        for args in [&["pub", bad, "x"][..], &["sub", bad], &["ls", bad], &["unlink", "topic", bad]] {
            let done = place.run(args);
            let (code, message) = done.error();
            assert!(matches!(code, 1 | 2) && !message.is_empty(), "{args:?}: {code} {message}");
            assert!(message.len() < 1000, "{message}");
        }
        assert_eq!(place.run(["pub", bad, "x"]).code, 2, "{bad:?}");
        assert_eq!(place.run(["sub", bad]).code, 2, "{bad:?}");
    }
    assert_eq!(place.run(["pub", "a.*", "x"]).code, 2, "a pattern is no topic");
    assert_eq!(place.run(["--runtime-dir", "/proc/nowhere", "pub", "a", "x"]).code, 1);
}
