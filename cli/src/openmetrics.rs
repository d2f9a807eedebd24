//! What `axonic stat --openmetrics` prints: OpenMetrics text format 1.0, for Prometheus and its kin. Only counters and
//! gauges, and no quotes in help texts: then readers of Prometheus' older format, node_exporter's textfile collector
//! among them, read it too. They know neither `info` nor `stateset`.

use std::collections::BTreeMap;
use std::fmt::Write;

use axonic::{
    ListenerInfo, LockInfo, PublisherInfo, QueueInfo, RingInfo, ServiceInfo, Snapshot, SubscriberInfo,
    TopicInfo,
};

use crate::human::printable;
use crate::view::id;

/// What a family's samples are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Only grows, while its object is there; its samples end in `_total`.
    Counter,
    /// Now.
    Gauge,
}

/// One family: its name (which ends in its unit), what it is, and its samples, as labels and value.
struct Family {
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    help: &'static str,
    samples: Vec<(String, u64)>,
}

/// The text for these domains, `# EOF` included. A domain that could not be read has `axonic_up` 0.
pub(crate) fn text(domains: &[Snapshot], unreadable: &[String]) -> String {
    let mut text = String::new();
    let mut up: Vec<(String, u64)> = domains.iter().map(|d| (labels(&[("domain", &d.domain)]), 1)).collect();
    up.extend(unreadable.iter().map(|name| (labels(&[("domain", name)]), 0)));
    let help = "Whether the domain could be looked at.";
    write(&mut text, &Family { name: "axonic_up", kind: Kind::Gauge, unit: "", help, samples: up });
    let families = [
        of_domains(domains),
        of_participants(domains),
        of_topics(domains),
        of_publishers(domains),
        of_subscribers(domains),
        of_lags(domains),
        of_rings(domains),
        of_queues(domains),
        of_locks(domains),
        of_listeners(domains),
        of_services(domains),
        of_channels(domains),
        of_regions(domains),
    ];
    families.iter().flatten().filter(|family| !family.samples.is_empty()).for_each(|f| write(&mut text, f));
    text.push_str("# EOF\n");
    text
}

fn write(text: &mut String, family: &Family) {
    let Family { name, kind, unit, help, samples } = family;
    let (word, suffix) = match kind {
        Kind::Counter => ("counter", "_total"),
        Kind::Gauge => ("gauge", ""),
    };
    let _ = writeln!(text, "# TYPE {name} {word}");
    if !unit.is_empty() {
        let _ = writeln!(text, "# UNIT {name} {unit}");
    }
    let _ = writeln!(text, "# HELP {name} {}", escape(help));
    for (labels, value) in samples {
        let _ = writeln!(text, "{name}{suffix}{labels} {value}");
    }
}

/// As the format wants it in quotes and in help texts.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

/// Columns of families that have one sample for each of the same objects: name, kind, unit, help, value.
type Column<T> = (&'static str, Kind, &'static str, &'static str, fn(&T) -> u64);

fn families<T>(columns: &[Column<T>], objects: &[(String, &T)]) -> Vec<Family> {
    let family = |(name, kind, unit, help, value): &Column<T>| Family {
        name,
        kind: *kind,
        unit,
        help,
        samples: objects.iter().map(|(labels, object)| (labels.clone(), value(object))).collect(),
    };
    columns.iter().map(family).collect()
}

use Kind::{Counter, Gauge};

fn of_domains(domains: &[Snapshot]) -> Vec<Family> {
    let columns: &[Column<Snapshot>] = &[
        ("axonic_domain_bytes", Gauge, "bytes", "Shared memory all files of the domain take.", |d| d.bytes),
        ("axonic_domain_participant_slots", Gauge, "", "Participants there can be at a time.", |d| {
            u64::from(d.participant_slots)
        }),
        ("axonic_domain_filesystem_bytes", Gauge, "bytes", "Size of the filesystem it is on.", |d| {
            d.filesystem_bytes
        }),
        ("axonic_domain_filesystem_free_bytes", Gauge, "bytes", "What is free there.", |d| {
            d.filesystem_free_bytes
        }),
    ];
    let objects: Vec<_> = domains.iter().map(|d| (labels(&[("domain", &d.domain)]), d)).collect();
    families(columns, &objects)
}

fn of_participants(domains: &[Snapshot]) -> Vec<Family> {
    let mut counts = Vec::new();
    let mut infos = Vec::new();
    for d in domains {
        let count = |state: fn(&axonic::ParticipantInfo) -> bool| {
            d.participants.iter().filter(|p| state(p)).count() as u64
        };
        let states: [(&str, u64); 3] = [
            ("running", count(|p| p.alive && !p.stopped)),
            ("stopped", count(|p| p.stopped)),
            ("dead", count(|p| !p.alive)),
        ];
        for (state, count) in states {
            counts.push((labels(&[("domain", &d.domain), ("state", state)]), count));
        }
        for p in &d.participants {
            let (participant, pid) = (id(p), p.pid.to_string());
            let pairs = [
                ("domain", d.domain.as_str()),
                ("participant", &participant),
                ("pid", &pid),
                ("label", &printable(&p.label)),
            ];
            infos.push((labels(&pairs), 1));
        }
    }
    let family = |name, help, samples| Family { name, kind: Gauge, unit: "", help, samples };
    vec![
        family("axonic_participants", "Participants by state: running, stopped, dead.", counts),
        family("axonic_participant_info", "1 for each that takes part.", infos),
    ]
}

fn of_topics(domains: &[Snapshot]) -> Vec<Family> {
    let columns: &[Column<TopicInfo>] = &[
        ("axonic_topic_publishers", Gauge, "", "Live publishers.", |t| t.publishers as u64),
        ("axonic_topic_subscribers", Gauge, "", "Live subscribers whose pattern matches.", |t| {
            t.subscribers as u64
        }),
        ("axonic_topic_rings", Gauge, "", "Rings of publishers, finished ones included.", |t| t.rings as u64),
        (
            "axonic_topic_orphans",
            Gauge,
            "",
            "Finished publishers whose rings still wait for a reader, or are retained.",
            |t| t.orphans as u64,
        ),
        (
            "axonic_topic_remnants",
            Gauge,
            "",
            "Finished publishers of which only the count is left, for subscribers still to be told.",
            |t| t.remnants as u64,
        ),
    ];
    let objects: Vec<_> = domains
        .iter()
        .flat_map(|d| {
            d.topics.iter().map(move |t| (labels(&[("domain", &d.domain), ("topic", &t.topic)]), t))
        })
        .collect();
    families(columns, &objects)
}

fn of_publishers(domains: &[Snapshot]) -> Vec<Family> {
    let columns: &[Column<PublisherInfo>] = &[
        ("axonic_publisher_published_messages", Counter, "messages", "Messages published.", |p| p.published),
        ("axonic_publisher_published_bytes", Counter, "bytes", "Payload bytes published.", |p| p.bytes),
        ("axonic_publisher_blocked", Counter, "", "Waits for room.", |p| p.blocked),
        ("axonic_publisher_wakes_sent", Counter, "", "Bells rung for sleeping subscribers.", |p| {
            p.wakes_sent
        }),
        ("axonic_publisher_wakes_elided", Counter, "", "Messages for which nobody had to be woken.", |p| {
            p.wakes_elided
        }),
        ("axonic_publisher_ring_bytes", Gauge, "bytes", "Capacity of its ring.", |p| p.capacity),
        ("axonic_publisher_slab_bytes", Gauge, "bytes", "Memory its slab has taken.", |p| p.slab_bytes),
        ("axonic_publisher_slab_limit_bytes", Gauge, "bytes", "The most its slab may take.", |p| p.max_bytes),
        ("axonic_publisher_pinned", Gauge, "", "Slots of its slab that readers have pinned.", |p| {
            p.pinned as u64
        }),
        ("axonic_publisher_pinned_bytes", Gauge, "bytes", "Bytes of these slots.", |p| p.pinned_bytes),
        ("axonic_publisher_waiting", Gauge, "", "1 while it waits for room.", |p| u64::from(p.waiting)),
        ("axonic_publisher_orphan", Gauge, "", "1 once it has ended.", |p| u64::from(p.orphan)),
    ];
    let objects: Vec<_> =
        domains.iter().flat_map(|d| d.publishers.iter().map(move |p| (of_publisher(d, p, &[]), p))).collect();
    families(columns, &objects)
}

/// The labels of a publisher, after those given.
fn of_publisher(domain: &Snapshot, publisher: &PublisherInfo, more: &[(&str, &str)]) -> String {
    let id = hex(publisher.id);
    let mut pairs = vec![("domain", domain.domain.as_str())];
    pairs.extend_from_slice(more);
    pairs.extend([("topic", publisher.topic.as_str()), ("publisher", &id)]);
    if more.is_empty() {
        pairs.push(("participant", &publisher.participant));
    }
    labels(&pairs)
}

/// Ids as everywhere else: sixteen hexadecimal digits.
fn hex(id: u64) -> String {
    format!("{id:016x}")
}

fn of_subscribers(domains: &[Snapshot]) -> Vec<Family> {
    let columns: &[Column<SubscriberInfo>] = &[
        ("axonic_subscriber_received_messages", Counter, "messages", "Messages received.", |s| s.received),
        ("axonic_subscriber_received_bytes", Counter, "bytes", "Payload bytes received.", |s| s.bytes),
        ("axonic_subscriber_missed_messages", Counter, "messages", "Messages missed.", |s| s.missed),
        ("axonic_subscriber_pinned", Gauge, "", "Slab slots it has borrowed.", |s| s.pinned as u64),
        ("axonic_subscriber_rings", Gauge, "", "Rings it follows.", |s| s.rings as u64),
        ("axonic_subscriber_orphans", Gauge, "", "Of these, those whose publishers have ended.", |s| {
            s.orphans as u64
        }),
        ("axonic_subscriber_waiting", Gauge, "", "1 while it sleeps or its descriptor is watched.", |s| {
            u64::from(s.waiting)
        }),
        ("axonic_subscriber_alive", Gauge, "", "1 while its participant is alive.", |s| u64::from(s.alive)),
    ];
    let objects: Vec<_> = domains
        .iter()
        .flat_map(|d| {
            d.subscribers.iter().map(move |s| {
                let id = hex(s.id);
                let pairs = [
                    ("domain", d.domain.as_str()),
                    ("pattern", &s.pattern),
                    ("subscriber", &id),
                    ("participant", &s.participant),
                ];
                (labels(&pairs), s)
            })
        })
        .collect();
    families(columns, &objects)
}

/// One sample for each pair of a subscriber and a publisher it is behind.
fn of_lags(domains: &[Snapshot]) -> Vec<Family> {
    let mut samples = Vec::new();
    for d in domains {
        for s in &d.subscribers {
            for lag in &s.lag {
                if let Some(publisher) = d.publishers.iter().find(|p| p.id == lag.publisher) {
                    let id = hex(s.id);
                    let more = [("pattern", s.pattern.as_str()), ("subscriber", &id)];
                    samples.push((of_publisher(d, publisher, &more), lag.messages));
                }
            }
        }
    }
    let (name, unit) = ("axonic_subscriber_lag_messages", "messages");
    vec![Family { name, kind: Gauge, unit, help: "Messages it has yet to read of a publisher.", samples }]
}

fn of_rings(domains: &[Snapshot]) -> Vec<Family> {
    let columns: &[Column<RingInfo>] = &[
        ("axonic_ring_messages", Counter, "messages", "Messages written since the ring was made.", |r| {
            r.messages
        }),
        ("axonic_ring_blocked", Counter, "", "Times its producer waited for room.", |r| r.blocked),
        ("axonic_ring_wakes_sent", Counter, "", "Bells rung for a sleeping consumer.", |r| r.wakes_sent),
        ("axonic_ring_wakes_elided", Counter, "", "Messages for which it had not to be woken.", |r| {
            r.wakes_elided
        }),
        ("axonic_ring_pending_messages", Gauge, "messages", "Written and not yet released.", |r| {
            r.pending_messages
        }),
        ("axonic_ring_pending_bytes", Gauge, "bytes", "The same with record headers.", |r| r.pending_bytes),
        ("axonic_ring_capacity_bytes", Gauge, "bytes", "Its capacity.", |r| r.capacity),
        ("axonic_ring_producer", Gauge, "", "1 while somebody alive writes it.", |r| u64::from(r.producer)),
        ("axonic_ring_consumer", Gauge, "", "1 while somebody alive reads it.", |r| u64::from(r.consumer)),
    ];
    let objects: Vec<_> = domains
        .iter()
        .flat_map(|d| d.rings.iter().map(move |r| (labels(&[("domain", &d.domain), ("ring", &r.name)]), r)))
        .collect();
    families(columns, &objects)
}

fn of_queues(domains: &[Snapshot]) -> Vec<Family> {
    let columns: &[Column<QueueInfo>] = &[
        ("axonic_queue_put_messages", Counter, "messages", "Messages put since the queue was made.", |q| {
            q.stats.put
        }),
        ("axonic_queue_delivered_messages", Counter, "messages", "Handed out, some more than once.", |q| {
            q.stats.delivered
        }),
        ("axonic_queue_acked_messages", Counter, "messages", "Acknowledged.", |q| q.stats.acked),
        (
            "axonic_queue_returned_messages",
            Counter,
            "messages",
            "Given back, by a consumer, by the end of a lease or after a death.",
            |q| q.stats.returned,
        ),
        ("axonic_queue_buried_messages", Counter, "messages", "Those that became dead letters.", |q| {
            q.stats.buried
        }),
        ("axonic_queue_blocked", Counter, "", "Times a producer waited for room.", |q| q.stats.blocked),
        ("axonic_queue_wakes_sent", Counter, "", "Bells rung for sleeping consumers.", |q| {
            q.stats.wakes_sent
        }),
        ("axonic_queue_ready_messages", Gauge, "messages", "To be delivered now.", |q| q.stats.ready),
        ("axonic_queue_delayed_messages", Gauge, "messages", "For later.", |q| q.stats.delayed),
        ("axonic_queue_held_messages", Gauge, "messages", "Consumers have them.", |q| q.stats.leased),
        ("axonic_queue_done_messages", Gauge, "messages", "Results not fetched yet.", |q| q.stats.done),
        ("axonic_queue_dead_messages", Gauge, "messages", "Dead letters.", |q| q.stats.dead),
        ("axonic_queue_capacity_messages", Gauge, "messages", "The most it can hold.", |q| q.stats.capacity),
        ("axonic_queue_large_bytes", Gauge, "bytes", "Memory of messages over 128 bytes.", |q| q.stats.bytes),
        ("axonic_queue_large_limit_bytes", Gauge, "bytes", "The most there can be of these.", |q| {
            q.stats.max_bytes
        }),
        ("axonic_queue_producers", Gauge, "", "Live handles that put.", |q| q.producers as u64),
        ("axonic_queue_consumers", Gauge, "", "Live handles that take.", |q| q.consumers as u64),
    ];
    let objects: Vec<_> = domains
        .iter()
        .flat_map(|d| d.queues.iter().map(move |q| (labels(&[("domain", &d.domain), ("queue", &q.name)]), q)))
        .collect();
    families(columns, &objects)
}

/// What is so now: what the handles have done goes with each that is closed, and counters may not go down.
fn of_locks(domains: &[Snapshot]) -> Vec<Family> {
    let columns: &[Column<LockInfo>] = &[
        ("axonic_lock_holders", Gauge, "", "Who has it: owner, readers, permits, parties.", |l| {
            l.holders.len() as u64
        }),
        ("axonic_lock_waiting", Gauge, "", "Live handles that wait for it.", |l| l.waiting as u64),
        ("axonic_lock_owner_died", Gauge, "", "1 while its owner is dead and nobody was told.", |l| {
            u64::from(l.state.ends_with(" died"))
        }),
    ];
    let of_lock = |d: &Snapshot, l: &LockInfo| {
        labels(&[("domain", &d.domain), ("lock", &l.name), ("type", l.type_name)])
    };
    let objects: Vec<_> =
        domains.iter().flat_map(|d| d.locks.iter().map(move |l| (of_lock(d, l), l))).collect();
    families(columns, &objects)
}

fn of_listeners(domains: &[Snapshot]) -> Vec<Family> {
    let columns: &[Column<ListenerInfo>] = &[
        ("axonic_listener_waiting", Gauge, "", "Channels that wait to be accepted.", |l| l.waiting as u64),
        ("axonic_listener_alive", Gauge, "", "1 while its participant is alive.", |l| u64::from(l.alive)),
    ];
    let labels = |d: &Snapshot, l: &ListenerInfo| labels(&[("domain", &d.domain), ("listener", &l.name)]);
    let objects: Vec<_> =
        domains.iter().flat_map(|d| d.listeners.iter().map(move |l| (labels(d, l), l))).collect();
    families(columns, &objects)
}

fn of_services(domains: &[Snapshot]) -> Vec<Family> {
    let columns: &[Column<ServiceInfo>] = &[
        ("axonic_service_calls", Counter, "", "Calls its provider has taken.", |s| s.calls),
        ("axonic_service_at_work", Gauge, "", "Calls that are at work.", |s| s.at_work),
        ("axonic_service_concurrency", Gauge, "", "Calls that may be at work at a time.", |s| s.concurrency),
        ("axonic_service_clients", Gauge, "", "Clients of the domain that are connected.", |s| {
            s.clients as u64
        }),
        ("axonic_service_waiting", Gauge, "", "Clients that wait to be let in.", |s| s.waiting as u64),
        ("axonic_service_unread_bytes", Gauge, "bytes", "What clients sent and it has yet to read.", |s| {
            s.unread_bytes
        }),
        ("axonic_service_alive", Gauge, "", "1 while its participant is alive.", |s| u64::from(s.alive)),
    ];
    let of_service = |d: &Snapshot, s: &ServiceInfo| {
        labels(&[
            ("domain", &d.domain),
            ("service", &s.name),
            ("version", &s.version),
            ("participant", &s.participant),
            ("id", &hex(s.id)),
        ])
    };
    let objects: Vec<_> =
        domains.iter().flat_map(|d| d.services.iter().map(move |s| (of_service(d, s), s))).collect();
    families(columns, &objects)
}

/// Summed up for each listener: channels come and go.
fn of_channels(domains: &[Snapshot]) -> Vec<Family> {
    let mut sums: BTreeMap<(&str, &str), Traffic> = BTreeMap::new();
    for d in domains {
        for channel in &d.channels {
            let sum = sums.entry((&d.domain, &channel.listener)).or_default();
            sum.channels += 1;
            for end in [Some(&channel.client), channel.server.as_ref()].into_iter().flatten() {
                sum.pending = sum.pending.saturating_add(end.pending_bytes);
                sum.blocked += u64::from(end.blocked_since_unix_ms != 0);
            }
        }
    }
    let columns: &[Column<Traffic>] = &[
        ("axonic_channel_open", Gauge, "", "Channels of a listener, or service, that are there.", |t| {
            t.channels
        }),
        ("axonic_channel_pending_bytes", Gauge, "bytes", "What their ends have yet to read.", |t| t.pending),
        ("axonic_channel_blocked", Gauge, "", "Ends of them that wait for room.", |t| t.blocked),
    ];
    let objects: Vec<_> = sums
        .iter()
        .map(|((domain, of), sum)| (labels(&[("domain", domain), ("listener", of)]), sum))
        .collect();
    families(columns, &objects)
}

/// What is under way on the channels of one listener.
#[derive(Default)]
struct Traffic {
    channels: u64,
    pending: u64,
    blocked: u64,
}

fn of_regions(domains: &[Snapshot]) -> Vec<Family> {
    let samples = domains
        .iter()
        .flat_map(|d| {
            d.regions.iter().map(|r| (labels(&[("domain", &d.domain), ("region", &r.name)]), r.size))
        })
        .collect();
    vec![Family { name: "axonic_region_bytes", kind: Gauge, unit: "bytes", help: "Its size.", samples }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(labels(&[("a", "b\"c\\d\ne"), ("f", "")]), "{a=\"b\\\"c\\\\d\\ne\",f=\"\"}");
    }

    #[test]
    fn nothing_is_a_whole_exposition_too() {
        let text = text(&[], &["broken".into()]);
        assert!(text.ends_with("axonic_up{domain=\"broken\"} 0\n# EOF\n"), "{text}");
    }
}
