//! `ls`, `stat` and `top --once` of a domain that knows nothing of being watched.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axonic::{Overflow, PublisherOptions, RegionOptions, RingOptions, Start, SubscriberOptions};

use crate::harness::Place;

/// The first line that contains `text`.
fn line<'a>(output: &'a str, text: &str) -> &'a str {
    output.lines().find(|line| line.contains(text)).unwrap_or_else(|| panic!("no {text:?} in:\n{output}"))
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn an_empty_place_has_no_domains() {
    let place = Place::new();
    assert!(place.ok(["ls"]).starts_with("no domains in "));
    assert!(place.ok(["doctor"]).starts_with("ok"));
}

#[test]
fn ls_counts_what_each_domain_holds() {
    let place = Place::new();
    let alpha = place.open("alpha");
    let _beta = place.open("beta");
    let _publisher = alpha.publisher("orders.created", &PublisherOptions::default()).unwrap();
    let _subscriber = alpha.subscriber("quiet.*", &SubscriberOptions::default()).unwrap();
    let listed = place.ok(["ls"]);
    assert_eq!(words(listed.lines().next().unwrap())[0], "DOMAIN");
    assert_eq!(words(line(&listed, "alpha"))[..5], ["alpha", "1", "2", "0", "0"], "{listed}");
    assert_eq!(words(line(&listed, "beta"))[..5], ["beta", "1", "0", "0", "0"], "{listed}");
}

#[test]
fn ls_names_who_publishes_and_who_listens() {
    let place = Place::new();
    let domain = place.open("demo");
    let _publisher = domain.publisher("orders.created", &PublisherOptions::default()).unwrap();
    let _subscriber = domain.subscriber("orders.>", &SubscriberOptions::default()).unwrap();
    let _quiet = domain.subscriber("nobody.publishes", &SubscriberOptions::default()).unwrap();
    let options = RegionOptions { size: Some(8192), ..RegionOptions::default() };
    let _region = domain.region("frames", &options).unwrap();
    let _ring = domain.ring_producer("lane", &RingOptions::default()).unwrap();

    let me = format!("tester({})", std::process::id());
    for args in [&["ls", "demo"][..], &["--domain", "demo", "ls"], &["ls", "demo", "--domain", "demo"]] {
        let listed = place.ok(args);
        assert_eq!(words(line(&listed, "orders.created")), ["orders.created", &me, &me]);
        assert_eq!(words(line(&listed, "nobody.publishes")), ["nobody.publishes", "-", &me]);
        assert_eq!(words(line(&listed, "frames")), ["frames", "8", "KiB"]);
        assert_eq!(words(line(&listed, "lane"))[..3], ["lane", "live", "-"], "{listed}");
        assert_eq!(words(line(&listed, "live"))[1..3], ["tester", &std::process::id().to_string()]);
        assert!(!listed.contains('\x1b'), "no colours outside a terminal");
    }
    assert_eq!(place.run(["ls", "demo", "--domain", "other"]).error().0, 2);
}

#[test]
fn looking_at_a_domain_that_is_not_there_says_so_and_does_not_create_it() {
    let place = Place::new();
    for args in
        [&["ls", "nowhere"][..], &["stat", "--domain", "nowhere"], &["top", "--once", "--domain", "nowhere"]]
    {
        let done = place.run(args);
        let (code, message) = done.error();
        assert_eq!(code, 1);
        assert!(message.contains("nowhere"), "{message}");
    }
    assert!(place.ok(["ls"]).starts_with("no domains"));
}

#[test]
fn stat_json_tells_every_counter() {
    let place = Place::new();
    let domain = place.open("default");
    let options = PublisherOptions { overflow: Overflow::Block, ..PublisherOptions::default() };
    let mut publisher = domain.publisher("numbers", &options).unwrap();
    let mut subscriber = domain.subscriber("numbers", &SubscriberOptions::default()).unwrap();
    for number in 0..5u8 {
        publisher.publish(&[number; 100]).unwrap();
    }
    for _ in 0..2 {
        subscriber.receive(Some(Duration::from_secs(5))).unwrap();
    }

    let stat: serde_json::Value = serde_json::from_str(&place.ok(["stat", "--json"])).unwrap();
    assert_eq!(stat["domain"], "default");
    assert!(stat["bytes"].as_u64().unwrap() > 0);
    let participant = &stat["participants"][0];
    assert_eq!(participant["label"], "tester");
    assert_eq!(participant["pid"], std::process::id());
    assert_eq!(participant["alive"], true);
    let seen = &stat["publishers"][0];
    assert_eq!(seen["topic"], "numbers");
    assert_eq!(seen["published"], 5);
    assert_eq!(seen["bytes"], 500);
    assert_eq!(seen["id"], format!("{:016x}", publisher.id()));
    assert_eq!(seen["orphan"], false);
    let seen = &stat["subscribers"][0];
    assert_eq!(seen["pattern"], "numbers");
    assert_eq!(seen["received"], 2);
    assert_eq!(seen["missed"], 0);
    assert_eq!(seen["lag"][0]["publisher"], format!("{:016x}", publisher.id()));
    assert_eq!(seen["lag"][0]["messages"], 3);
}

#[test]
fn stat_names_who_lags_and_who_pins_memory() {
    let place = Place::new();
    let domain = place.open("default");
    let mut publisher = domain.publisher("frames", &PublisherOptions::default()).unwrap();
    let mut subscriber = domain.subscriber("frames", &SubscriberOptions::default()).unwrap();
    for _ in 0..4 {
        publisher.publish(&[7; 100_000]).unwrap();
    }
    let held = [(); 2].map(|()| subscriber.borrow(Some(Duration::from_secs(5))).unwrap());
    let stat = place.ok(["stat"]);
    let me = format!("tester({})", std::process::id());
    let below =
        |head: &str| stat.lines().skip_while(|line| !line.starts_with(head)).nth(1).unwrap_or_default();
    assert_eq!(words(below("LAGGING")), [&me, "frames", &me, "2"], "{stat}");
    assert_eq!(words(below("PINNING")), [&me, "frames", &me, "2"], "{stat}");
    drop(held);
    assert!(!place.ok(["stat"]).contains("PINNING"));
}

#[test]
fn stat_names_the_publisher_that_ended_before_all_was_read() {
    let place = Place::new();
    let domain = place.open("default");
    let options = SubscriberOptions { start: Start::Latest, ..SubscriberOptions::default() };
    let mut subscriber = domain.subscriber("news", &options).unwrap();
    place.ok(["pub", "news", "left behind"]);
    let stat = place.ok(["stat"]);
    assert!(line(&stat, "! news").contains("ended"), "{stat}");
    assert_eq!(subscriber.receive(Some(Duration::from_secs(5))).unwrap().data(), b"left behind");
}

/// However many they are, they are told of in two lines, and the doctor says what helps.
#[test]
fn stat_and_doctor_count_the_publishers_that_ended_behind_a_sleeper() {
    let place = Place::new();
    let domain = place.open("default");
    let _sleeper = domain.subscriber("news", &SubscriberOptions::default()).unwrap();
    let small = PublisherOptions { capacity: 64 << 10, ..PublisherOptions::default() };
    (0..100).for_each(|_| domain.publisher("news", &small).unwrap().publish(b"x").unwrap());
    let stat = place.ok(["stat"]);
    let notes: Vec<&str> = stat.lines().filter(|line| line.starts_with("! news")).collect();
    assert_eq!(notes.len(), 2, "{stat}");
    assert!(notes[0].contains("64 publishers ended, their messages stay"), "{}", notes[0]);
    assert!(notes[1].contains("36 publishers ended and their messages were dropped"), "{}", notes[1]);
    let doctor = place.run(["doctor"]);
    assert_eq!(doctor.code, 1);
    for words in ["64 of at most 64", "36 of at most 1024", "let the subscriber read", "unlink topic news"] {
        assert!(doctor.out.contains(words), "'{words}' is not in {}", doctor.out);
    }
}

#[test]
fn top_once_measures_rates() {
    let place = Place::new();
    let domain = place.open("default");
    let mut busy = domain.publisher("busy", &PublisherOptions::default()).unwrap();
    let _idle = domain.publisher("idle", &PublisherOptions::default()).unwrap();
    let _subscriber = domain.subscriber(">", &SubscriberOptions::default()).unwrap();
    let stop = AtomicBool::new(false);
    let top = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                busy.publish(b"0123456789").unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let top = place.ok(["top", "--once"]);
        // Without a terminal the option changes nothing.
        let plain = place.ok(["top"]);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(top.lines().count(), plain.lines().count());
        top
    });
    let rows: Vec<&str> =
        top.lines().filter(|line| line.starts_with("busy") || line.starts_with("idle")).collect();
    let rate: f64 = words(rows[0])[2].parse().unwrap();
    assert!(rows[0].starts_with("busy") && rate > 10.0 && rate < 2000.0, "{top}");
    assert_eq!(words(rows[1])[2], "0", "{top}");
    let lag: u64 = words(line(&top, ">  "))[6].parse().unwrap();
    assert!(lag > 0, "{top}");
    assert!(!top.contains('\x1b'));
}
