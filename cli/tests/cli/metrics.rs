//! `stat --openmetrics`, read as strictly as OpenMetrics 1.0 is written, less what older readers do not know.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axonic::{Domain, DomainOptions, PublisherOptions, RegionOptions, RingOptions, SubscriberOptions};

use crate::harness::Place;

/// Family name to its samples: labels and value.
type Exposition = BTreeMap<String, Vec<(BTreeMap<String, String>, f64)>>;

/// What the metadata lines say of the family that is open.
#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    unit: Option<String>,
    help: bool,
    samples: usize,
}

/// Reads an exposition; panics at whatever OpenMetrics 1.0 does not allow.
fn parse(text: &str) -> Exposition {
    let body = text.strip_suffix("# EOF\n").expect("ends with `# EOF` and a line feed");
    let mut all = Exposition::new();
    let mut open = Family::default();
    for line in body.lines() {
        assert!(!line.is_empty() && line.trim() == line, "{line:?}");
        match line.strip_prefix("# ") {
            Some(meta) => metadata(meta, &mut open, &mut all),
            None => {
                let (labels, value) = sample(line, &open);
                let samples = all.get_mut(&open.name).expect(line);
                assert!(samples.iter().all(|(known, _)| *known != labels), "twice: {line}");
                samples.push((labels, value));
                open.samples += 1;
            }
        }
    }
    all
}

fn metadata(line: &str, open: &mut Family, all: &mut Exposition) {
    let mut words = line.splitn(3, ' ');
    let (word, name, rest) = (words.next().unwrap(), words.next().expect(line), words.next().expect(line));
    assert!(is_name(name, true), "{line}");
    if *name != open.name {
        assert!(all.insert(name.into(), Vec::new()).is_none(), "interleaved: {line}");
        *open = Family { name: name.into(), ..Family::default() };
    }
    assert_eq!(open.samples, 0, "metadata after samples: {line}");
    match word {
        "TYPE" => {
            assert!(open.kind.is_empty() && ["counter", "gauge"].contains(&rest), "{line}");
            open.kind = rest.into();
        }
        "UNIT" => {
            assert!(open.unit.is_none() && name.ends_with(&format!("_{rest}")), "{line}");
            open.unit = Some(rest.into());
        }
        "HELP" => {
            assert!(!std::mem::replace(&mut open.help, true), "{line}");
            // Prometheus' older format escapes no quotes there: without any, both read the same.
            assert!(!unescape(rest).contains('"'), "{line}");
        }
        _ => panic!("{line}"),
    }
}

fn sample(line: &str, open: &Family) -> (BTreeMap<String, String>, f64) {
    assert!(open.help && !open.kind.is_empty(), "no metadata before {line}");
    let (name, rest) = line.split_once('{').expect(line);
    let suffix = if open.kind == "counter" { "_total" } else { "" };
    assert_eq!(name, format!("{}{suffix}", open.name), "{line}");
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    loop {
        let (label, value) = rest.split_once("=\"").expect(line);
        assert!(is_name(label, false) && !label.starts_with("__"), "{line}");
        let end = end_of_quoted(value).expect(line);
        assert!(labels.insert(label.into(), unescape(&value[..end])).is_none(), "{line}");
        rest = &value[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    let value = rest.strip_prefix("} ").expect(line);
    assert!(value.bytes().all(|b| b.is_ascii_digit()), "{line}");
    (labels, value.parse().unwrap())
}

fn is_name(name: &str, colons: bool) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || colons && c == ':';
    name.chars().all(good) && name.starts_with(|c: char| !c.is_ascii_digit())
}

fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}

fn unescape(text: &str) -> String {
    let mut chars = text.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some(c @ ('\\' | '"')) => c,
                other => panic!("\\{other:?} in {text}"),
            },
            '"' | '\n' => panic!("{c:?} unescaped in {text}"),
            c => c,
        });
    }
    plain
}

fn open(place: &Place, label: &str) -> Domain {
    let options = DomainOptions {
        name: Some("plant".into()),
        runtime_dir: Some(place.path().into()),
        label: Some(label.into()),
        ..DomainOptions::default()
    };
    Domain::open_with(options).unwrap()
}

#[test]
fn openmetrics_is_strictly_what_the_standard_says_and_tells_everything() {
    let place = Place::new();
    let evil = "say \"hi\" \\ once\nmore";
    let domain = open(&place, evil);
    let topic = "a\"b\\c.größe";
    let mut subscriber = domain.subscriber("a\"b\\c.>", &SubscriberOptions::default()).unwrap();
    let mut ended = domain.publisher(topic, &PublisherOptions::default()).unwrap();
    ended.publish(b"of one that ended").unwrap();
    drop(ended);
    let mut publisher = domain.publisher(topic, &PublisherOptions::default()).unwrap();
    for _ in 0..3 {
        publisher.publish(&[7; 5000]).unwrap();
    }
    let held = [(); 2].map(|()| subscriber.borrow(Some(Duration::from_secs(5))).unwrap());
    let mut producer = domain.ring_producer("r", &RingOptions::default()).unwrap();
    producer.push(b"x", None).unwrap();
    let region = RegionOptions { size: Some(8192), ..RegionOptions::default() };
    let _region = domain.region("m", &region).unwrap();
    let _other = place.open("other");

    let text = place.ok(["stat", "--openmetrics"]);
    let all = parse(&text);
    let domains: BTreeSet<&str> = all["axonic_up"].iter().map(|(l, _)| l["domain"].as_str()).collect();
    assert_eq!(domains, BTreeSet::from(["other", "plant"]), "{text}");
    // The ended publisher's ring was read out by the second borrow at the latest.
    let value = |family: &str, wanted: &[(&str, &str)]| -> f64 {
        let fits = |l: &BTreeMap<String, String>| {
            wanted.iter().all(|(name, value)| l.get(*name).is_some_and(|v| v == value))
        };
        let found: Vec<f64> = all[family].iter().filter(|(l, _)| fits(l)).map(|(_, v)| *v).collect();
        assert_eq!(found.len(), 1, "{family} {wanted:?}: {text}");
        found[0]
    };
    let id = format!("{:016x}", publisher.id());
    let of_publisher = [("domain", "plant"), ("topic", topic), ("publisher", &id), ("participant", "0.1")];
    assert_eq!(value("axonic_publisher_published_messages", &of_publisher), 3.0);
    assert_eq!(value("axonic_publisher_published_bytes", &of_publisher), 15_000.0);
    let pinned = publisher.stats().pinned as f64;
    assert_eq!(value("axonic_publisher_pinned", &of_publisher), pinned);
    for counter in ["blocked", "wakes_sent", "wakes_elided"] {
        value(&format!("axonic_publisher_{counter}"), &of_publisher);
    }
    let id = format!("{:016x}", subscriber.id());
    let of_subscriber = [("domain", "plant"), ("pattern", "a\"b\\c.>"), ("subscriber", &id)];
    assert_eq!(value("axonic_subscriber_received_messages", &of_subscriber), 2.0);
    assert_eq!(value("axonic_subscriber_missed_messages", &of_subscriber), 0.0);
    assert_eq!(value("axonic_subscriber_pinned", &of_subscriber), pinned);
    assert_eq!(value("axonic_subscriber_lag_messages", &of_subscriber), 2.0);
    let orphans = value("axonic_topic_orphans", &[("topic", topic)]);
    assert_eq!(orphans, publisher.stats().orphans as f64);
    assert_eq!(value("axonic_topic_remnants", &[("topic", topic)]), 0.0);
    assert_eq!(value("axonic_participant_info", &[("label", "say \"hi\" \\ once?more")]), 1.0);
    assert_eq!(value("axonic_participants", &[("domain", "other"), ("state", "running")]), 1.0);
    assert_eq!(value("axonic_ring_messages", &[("ring", "r")]), 1.0);
    assert_eq!(value("axonic_ring_pending_messages", &[("ring", "r")]), 1.0);
    assert_eq!(value("axonic_region_bytes", &[("region", "m")]), 8192.0);
    drop(held);

    let one = parse(&place.ok(["stat", "--openmetrics", "--domain", "other"]));
    assert_eq!(one["axonic_up"].len(), 1);
    assert!(!one.contains_key("axonic_publisher_blocked"), "no family without a sample");
}

#[test]
fn openmetrics_of_nothing_and_of_what_cannot_be_read() {
    let place = Place::new();
    assert_eq!(parse(&place.ok(["stat", "--openmetrics"]))["axonic_up"].len(), 0);
    std::fs::create_dir(place.path().join("broken")).unwrap();
    std::fs::write(place.path().join("broken/participants"), b"no table at all").unwrap();
    let _healthy = place.open("healthy");
    let done = place.run(["stat", "--openmetrics"]);
    assert!(done.code == 0 && done.err.contains("broken"), "{done:?}");
    let up: Vec<f64> = parse(&done.out)["axonic_up"].iter().map(|(_, value)| *value).collect();
    assert_eq!(up, [1.0, 0.0]);
    assert_eq!(place.run(["stat", "--openmetrics", "--domain", "nowhere"]).error().0, 1);
}
