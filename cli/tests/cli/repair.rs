//! `doctor` and `unlink`: what a killed process leaves, and how it goes away.

use axonic::{PublisherOptions, QueueOptions, RegionOptions};
use nix::sys::signal::Signal;

use crate::harness::{Place, Running, until};

#[test]
fn doctor_finds_and_removes_what_a_killed_process_left() {
    let place = Place::new();
    let mut victim = place.sub(["a"]);
    let pid = victim.child().id().to_string();
    place.ok(["doctor"]);
    victim.signal(Signal::SIGKILL);
    assert_eq!(victim.finish().code, 137);

    let found = place.run(["doctor"]);
    assert_eq!(found.code, 1, "{found:?}");
    assert!(found.out.contains(&pid) && found.out.contains("remedy: "), "{}", found.out);
    assert_eq!(place.run(["doctor"]).code, 1, "looking changes nothing");

    let cleaned = place.run(["doctor", "--clean"]);
    assert_eq!(cleaned.code, 0, "{cleaned:?}");
    assert!(cleaned.out.contains("removed"), "{}", cleaned.out);
    assert!(place.ok(["doctor"]).starts_with("ok"));
    assert!(place.snapshot().subscribers.is_empty());
}

#[test]
fn doctor_looks_at_the_domain_it_was_told() {
    let place = Place::new();
    let mut victim = place.sub(["a"]);
    let _healthy = place.open("healthy");
    victim.signal(Signal::SIGKILL);
    victim.finish();
    place.ok(["doctor", "--domain", "healthy"]);
    assert_eq!(place.run(["doctor", "--domain", "default"]).code, 1);
    assert_eq!(place.run(["doctor"]).code, 1);
    assert_eq!(place.run(["doctor", "--domain", "nowhere"]).code, 1);
}

#[test]
fn a_remedy_helps_wherever_it_is_pasted() {
    let place = Place::new();
    let domain = place.open("shop");
    let mut producer = domain.queue_producer("jobs", &QueueOptions::default()).unwrap();
    producer.put(b"x", None).unwrap();
    let mut consumer = domain.queue_consumer("jobs", &QueueOptions::default()).unwrap();
    consumer.get(None).unwrap().reject("no").unwrap();
    let found: serde_json::Value = serde_json::from_str(&place.ok(["doctor", "--json"])).unwrap();
    let remedy = found[0]["remedy"].as_str().unwrap();
    let command = remedy.split('`').find(|part| part.starts_with("axonic queue purge")).expect(remedy);
    assert_eq!(place.ok(command.split_whitespace().skip(1)), "1 dead letter taken away\n", "{command}");
}

#[test]
fn the_help_tells_which_domains_are_looked_at() {
    let place = Place::new();
    let (_one, _other) = (place.open("one"), place.open("other"));
    let mut command = place.axonic(["doctor"]);
    let done = Running::start(command.env("AXONIC_DOMAIN", "one")).finish();
    assert_eq!(done.ok(), "ok  2 domains examined\n");
    let help = place.ok(["doctor", "--help"]);
    assert!(help.contains("for ls, doctor and stat --openmetrics: all"), "{help}");
}

#[test]
fn a_damaged_domain_is_a_finding_that_does_not_hide_the_others() {
    let place = Place::new();
    let _healthy = place.open("healthy");
    std::fs::create_dir(place.path().join("broken")).unwrap();
    std::fs::write(place.path().join("broken/participants"), b"no table at all").unwrap();
    let done = place.run(["doctor"]);
    assert_eq!((done.code, done.err.as_str()), (1, ""), "{}", done.out);
    assert!(done.out.starts_with("problem  broken: ") && !done.out.contains("healthy"), "{}", done.out);
    let listed = place.ok(["ls"]);
    assert!(listed.contains("\nhealthy ") && listed.contains("\nbroken: "), "{listed}");
}

#[test]
fn doctor_keeps_what_a_live_subscriber_has_yet_to_read() {
    let place = Place::new();
    let domain = place.open("default");
    let mut subscriber = domain.subscriber("a", &axonic::SubscriberOptions::default()).unwrap();
    let mut victim = Running::start(place.axonic(["pub", "a"]).stdin(std::process::Stdio::piped()));
    use std::io::Write;
    victim.child().stdin.as_mut().unwrap().write_all(b"owed\n").unwrap();
    until("it published", || place.snapshot().publishers.iter().any(|p| p.published == 1));
    victim.signal(Signal::SIGKILL);
    victim.finish();
    place.run(["doctor", "--clean"]);
    assert_eq!(subscriber.receive(Some(std::time::Duration::from_secs(10))).unwrap().data(), b"owed");
}

#[test]
fn unlink_removes_a_region_once() {
    let place = Place::new();
    let domain = place.open("default");
    let options = RegionOptions { size: Some(4096), ..RegionOptions::default() };
    drop(domain.region("frames", &options).unwrap());
    assert!(place.ok(["ls", "default"]).contains("frames"));
    assert_eq!(place.ok(["unlink", "region", "frames"]), "");
    assert!(!place.ok(["ls", "default"]).contains("frames"));
    let done = place.run(["unlink", "region", "frames"]);
    let (code, message) = done.error();
    assert_eq!(code, 1);
    assert!(message.contains("frames"), "{message}");
}

#[test]
fn unlink_leaves_alone_what_somebody_holds() {
    let place = Place::new();
    let domain = place.open("default");
    let _publisher = domain.publisher("a", &PublisherOptions::default()).unwrap();
    let done = place.run(["unlink", "topic", "a"]);
    let (code, message) = done.error();
    assert!(code == 1 && message.contains('a'), "{message}");
    assert_eq!(place.snapshot().publishers.len(), 1);
}

#[test]
fn unlink_removes_retained_messages() {
    let place = Place::new();
    place.ok(["pub", "a", "kept", "--retain"]);
    assert_eq!(place.snapshot().publishers.len(), 1);
    place.ok(["unlink", "topic", "a"]);
    assert!(place.snapshot().publishers.is_empty());
}

#[test]
fn unlink_does_not_create_the_domain_it_looks_into() {
    let place = Place::new();
    assert_eq!(place.run(["unlink", "region", "x", "--domain", "nowhere"]).error().0, 1);
    assert!(place.ok(["ls"]).starts_with("no domains"));
    let options = axonic::DomainOptions { runtime_dir: Some(place.path().into()), ..Default::default() };
    assert!(axonic::snapshot(&options).is_err());
}

#[test]
fn doctor_says_why_and_what_helps_and_looks_beside_the_domains() {
    let place = Place::new();
    let mut sub = place.sub(["a"]);
    let pid = sub.child().id().to_string();
    sub.signal(Signal::SIGSTOP);
    until("it is stopped", || place.snapshot().participants.iter().any(|p| p.stopped));
    let text = place.ok(["doctor"]);
    assert!(
        text.contains("is stopped") && text.contains("why it matters: ") && text.contains(&pid),
        "{text}"
    );
    assert!(text.contains(&format!("kill -CONT {pid}")), "{text}");

    std::fs::write(place.path().join("stray"), b"?").unwrap();
    let done = place.run(["doctor", "--json"]);
    assert_eq!(done.code, 1, "{done:?}");
    let found: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    let kinds: Vec<(&str, &str)> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["kind"].as_str().unwrap(), f["domain"].as_str().unwrap_or("beside")))
        .collect();
    assert_eq!(kinds, [("stopped", "default"), ("foreign", "beside")]);
    assert!(found[1]["path"].as_str().unwrap().ends_with("/stray"));
    assert_eq!(found[1]["severity"], "warning");
    assert_eq!(place.run(["doctor", "--domain", "default"]).code, 0, "a domain of its own");

    std::fs::remove_file(place.path().join("stray")).unwrap();
    sub.signal(Signal::SIGCONT);
    sub.signal(Signal::SIGKILL);
    sub.finish();
    let cleaned: serde_json::Value =
        serde_json::from_str(&place.ok(["doctor", "--clean", "--json"])).unwrap();
    assert!(cleaned.as_array().unwrap().iter().all(|f| f["removed"] == true || f["severity"] == "note"));
    assert_eq!(place.ok(["doctor", "--json"]), "[]\n");
}
