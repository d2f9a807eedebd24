//! iceoryx2: publish-subscribe on slices, copied into the loan and out of the sample, and request-response; for the
//! blocking case a notifier and a listener beside it, which is how its users sleep.

#![allow(dead_code)]
mod common;

use common::effort::Effort;
use common::{asked, folder, latencies, measure, process, rates, samples, tell};
use iceoryx2::node::Node;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::port::update_connections::UpdateConnections;
use iceoryx2::prelude::*;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

/// The process that was started: both halves name their services by it.
static RUN: OnceLock<u32> = OnceLock::new();

fn main() {
    set_log_level(LogLevel::Error);
    RUN.get_or_init(std::process::id);
    let (case, effort) = asked();
    match case.as_str() {
        "one_way_spin" => {
            for size in [48, 64, 1024, MIB] {
                latencies(size, round_trips(effort.spinning(size), size, Wait::Spin), 2.0);
            }
        }
        "round_trip_spin" => latencies(64, round_trips(effort.spinning(64), 64, Wait::Spin), 1.0),
        "round_trip_blocking" => latencies(64, round_trips(effort.sleeping(), 64, Wait::Block), 1.0),
        "call_spin" => latencies(64, calls(effort.spinning(64)), 1.0),
        "loan_borrow" => latencies(MIB, lend(effort.spinning(MIB)), 2.0),
        "throughput" => {
            for size in [64, 4096, 65536, MIB] {
                rates(size, rate(&effort, size));
            }
        }
        "fan_out" => {
            for count in [1, 4, 16, 64] {
                let nanos = samples::percentiles(idle(&effort, count));
                tell(64, &format!("publish_{count}_idle"), "ns", nanos);
            }
        }
        "open_and_first_publish" => latencies(64, opens(), 1.0),
        "memory" => memory(),
        _ => {}
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Wait {
    Spin,
    Block,
}

type Out = Publisher<ipc::Service, [u8], ()>;
type In = Subscriber<ipc::Service, [u8], ()>;

/// What every file of it is named by, so that the bench finds them: the bench's folder is `axonic-bench-<pid>`.
fn prefix() -> String {
    format!("{}_", folder().file_name().expect("a name").to_string_lossy())
}

fn node() -> Node<ipc::Service> {
    let mut config = Config::default();
    config.global.prefix = FileName::new(prefix().as_bytes()).expect("a file name");
    let root = folder().join("iceoryx2");
    config.global.set_root_path(&Path::new(root.to_string_lossy().as_bytes()).expect("a path"));
    NodeBuilder::new().config(&config).create().expect("node")
}

/// The settings of a service. Both ends must ask for the same.
#[derive(Clone, Copy)]
struct Topic<'a> {
    name: &'a str,
    size: usize,
    buffer: usize,
    overflow: bool,
}

macro_rules! service {
    ($node:expr, $topic:expr) => {
        $node
            .service_builder(&name($topic.name))
            .publish_subscribe::<[u8]>()
            .enable_safe_overflow($topic.overflow)
            .subscriber_max_buffer_size($topic.buffer)
            .max_subscribers(64)
            .open_or_create()
            .expect("service")
    };
}

fn name(of: &str) -> ServiceName {
    format!("{}/{of}", RUN.get().expect("set by main")).as_str().try_into().expect("a service name")
}

fn publisher(node: &Node<ipc::Service>, topic: Topic) -> Out {
    let strategy = BackpressureStrategy::RetryUntilDelivered;
    let service = service!(node, topic);
    let builder = service.publisher_builder().initial_max_slice_len(topic.size);
    builder.backpressure_strategy(strategy).create().expect("publisher")
}

fn subscriber(node: &Node<ipc::Service>, topic: Topic) -> In {
    service!(node, topic).subscriber_builder().create().expect("subscriber")
}

type Line = [u8; 64];

/// Requests and responses of one line, copied in and out.
fn calls(n: usize) -> Vec<f64> {
    let start = process::word(process::shared(4096), 0);
    let service = |node: &Node<ipc::Service>| {
        let builder = node.service_builder(&name("call")).request_response::<Line, Line>();
        builder.open_or_create().expect("service")
    };
    let serve = || {
        let node = node();
        let service = service(&node);
        let server = service.server_builder().create().expect("server");
        process::meet(start, 2);
        measure::answers(n, || {
            let request = loop {
                if let Some(request) = server.receive().expect("request") {
                    break request;
                }
            };
            let copy = *request.payload();
            request.send_copy(copy).expect("response");
        });
        process::meet(start, 4);
    };
    process::pair(serve, || {
        let node = node();
        let service = service(&node);
        process::meet(start, 2);
        let client = service.client_builder().create().expect("client");
        let message: Line = [7; 64];
        let measured = measure::exchanges(n, || {
            let pending = client.send_copy(std::hint::black_box(message)).expect("request");
            let response = loop {
                if let Some(response) = pending.receive().expect("response") {
                    break response;
                }
            };
            std::hint::black_box(*response.payload());
        });
        process::meet(start, 4);
        measured
    })
}

/// A message in both directions, and the bells for who sleeps.
struct Ends {
    output: Out,
    input: In,
    ring: Notifier<ipc::Service>,
    bell: Listener<ipc::Service>,
    _node: Node<ipc::Service>,
}

impl Ends {
    fn open(send: &str, receive: &str, size: usize, start: &std::sync::atomic::AtomicU64) -> Ends {
        let node = node();
        let topic = |name| Topic { name, size, buffer: 16, overflow: true };
        let event = |of: &str| {
            node.service_builder(&name(&format!("bell/{of}"))).event().open_or_create().expect("event")
        };
        let (input, output) = (subscriber(&node, topic(receive)), publisher(&node, topic(send)));
        let bell = event(receive).listener_builder().create().expect("listener");
        let ring = event(send).notifier_builder().create().expect("notifier");
        process::meet(start, 2);
        output.update_connections().expect("connections");
        process::meet(start, 4);
        Ends { output, input, ring, bell, _node: node }
    }

    fn send(&self, bytes: &[u8], wait: Wait) {
        let loan = self.output.loan_slice_uninit(bytes.len()).expect("loan");
        loan.write_from_slice(bytes).send().expect("send");
        if wait == Wait::Block {
            self.ring.notify().expect("notify");
        }
    }

    fn receive(&self, to: &mut [u8], wait: Wait) {
        loop {
            if let Some(sample) = self.input.receive().expect("receive") {
                to.copy_from_slice(sample.payload());
                return;
            }
            if wait == Wait::Block {
                self.bell.blocking_wait(|_| {}).expect("wait");
            }
        }
    }
}

fn round_trips(n: usize, size: usize, wait: Wait) -> Vec<f64> {
    let start = process::word(process::shared(4096), 0);
    let of = |direction: &str| format!("{direction}/{size}");
    let echo = || {
        let ends = Ends::open(&of("pong"), &of("ping"), size, start);
        let mut bytes = vec![0; size];
        measure::answers(n, || {
            ends.receive(&mut bytes, wait);
            ends.send(&bytes, wait);
        });
        process::meet(start, 6);
    };
    process::pair(echo, || {
        let ends = Ends::open(&of("ping"), &of("pong"), size, start);
        let (message, mut got) = (vec![7; size], vec![0; size]);
        let measured = measure::exchanges(n, || {
            ends.send(std::hint::black_box(&message), wait);
            ends.receive(&mut got, wait);
            std::hint::black_box(&got);
        });
        process::meet(start, 6);
        measured
    })
}

/// A megabyte lent and looked at in place, of which one line is written and read.
fn lend(n: usize) -> Vec<f64> {
    let start = process::word(process::shared(4096), 0);
    let lend = |ends: &Ends, value: u8| {
        let mut loan = ends.output.loan_slice_uninit(MIB).expect("loan");
        loan.payload_mut()[..64].fill(std::mem::MaybeUninit::new(value));
        // SAFETY: bytes of shared memory, all of which are some value.
        unsafe { loan.assume_init() }.send().expect("send");
    };
    let look = |ends: &Ends| loop {
        if let Some(sample) = ends.input.receive().expect("receive") {
            return sample.payload()[0];
        }
    };
    let echo = || {
        let ends = Ends::open("lent/pong", "lent/ping", MIB, start);
        measure::answers(n, || lend(&ends, look(&ends)));
        process::meet(start, 6);
    };
    process::pair(echo, || {
        let ends = Ends::open("lent/ping", "lent/pong", MIB, start);
        let mut value = 0u8;
        let measured = measure::exchanges(n, || {
            value = value.wrapping_add(1);
            lend(&ends, value);
            assert_eq!(look(&ends), value);
        });
        process::meet(start, 6);
        measured
    })
}

/// Nothing is lost: no overflow, and the publisher waits for room.
fn rate(effort: &Effort, size: usize) -> f64 {
    let stream = effort.stream(size);
    let start = process::word(process::shared(4096), 0);
    let name = format!("data/{size}");
    let topic = Topic { name: &name, size, buffer: if size > 4096 { 16 } else { 256 }, overflow: false };
    let produce = || {
        let node = node();
        let output = publisher(&node, topic);
        process::meet(start, 2);
        output.update_connections().expect("connections");
        process::meet(start, 4);
        let message = vec![7; size];
        for _ in 0..stream.all() {
            let loan = output.loan_slice_uninit(size).expect("loan");
            loan.write_from_slice(std::hint::black_box(&message)).send().expect("send");
        }
        process::meet(start, 6);
    };
    process::pair(produce, || {
        let node = node();
        let input = subscriber(&node, topic);
        process::meet(start, 2);
        process::meet(start, 4);
        let mut to = vec![0; size];
        let rate = measure::receive(stream, || {
            loop {
                if let Some(sample) = input.receive().expect("receive") {
                    to.copy_from_slice(sample.payload());
                    std::hint::black_box(&to);
                    break;
                }
            }
        });
        process::meet(start, 6);
        rate
    })
}

/// Nanoseconds of a publish while `count` subscribers of another process exist and do not read.
fn idle(effort: &Effort, count: usize) -> Vec<f64> {
    const BATCH: usize = 64;
    let start = process::word(process::shared(4096), 0);
    let name = format!("news/{count}");
    let topic = Topic { name: &name, size: 64, buffer: 16, overflow: true };
    let stand = || {
        let node = node();
        let inputs: Vec<In> = (0..count).map(|_| subscriber(&node, topic)).collect();
        process::meet(start, 2);
        while start.load(std::sync::atomic::Ordering::Acquire) < 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(inputs);
    };
    process::pair(stand, || {
        let node = node();
        let output = publisher(&node, topic);
        process::meet(start, 2);
        output.update_connections().expect("connections");
        let batch = |_| {
            let started = Instant::now();
            for _ in 0..BATCH {
                let loan = output.loan_slice_uninit(64).expect("loan");
                loan.write_from_slice(std::hint::black_box(&[7; 64])).send().expect("send");
            }
            started.elapsed().as_nanos() as f64 / BATCH as f64
        };
        let all: Vec<f64> = (0..effort.exchanges / 64 + 64).map(batch).collect();
        start.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        all[64..].to_vec()
    })
}

/// A node, a service that did not exist, a publisher, one message.
fn opens() -> Vec<f64> {
    process::pin(0);
    let open = |i| {
        let name = format!("first/{i}");
        let started = Instant::now();
        let node = node();
        let output = publisher(&node, Topic { name: &name, size: 64, buffer: 16, overflow: true });
        output.loan_slice_uninit(64).expect("loan").write_from_slice(&[7; 64]).send().expect("send");
        started.elapsed().as_nanos() as f64
    };
    (0..20).map(open).collect()
}

/// Blocks of all files of a publisher and a subscriber with default settings, after one message.
fn memory() {
    let node = node();
    let before = allocated();
    let service = || {
        let builder = node.service_builder(&name("default")).publish_subscribe::<[u8]>();
        builder.open_or_create().expect("service")
    };
    let input = service().subscriber_builder().create().expect("subscriber");
    let output = service().publisher_builder().initial_max_slice_len(64).create().expect("publisher");
    output.loan_slice_uninit(64).expect("loan").write_from_slice(&[7; 64]).send().expect("send");
    assert!(input.receive().expect("receive").is_some());
    tell(64, "topic", "bytes", [(allocated() - before) as f64; 3]);
}

fn allocated() -> u64 {
    let prefix = prefix();
    let mut pending = vec![folder().join("iceoryx2"), "/dev/shm".into()];
    let mut bytes = 0;
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let ours = directory != std::path::Path::new("/dev/shm")
                || entry.file_name().to_string_lossy().starts_with(&prefix);
            match entry.metadata() {
                Ok(meta) if ours && meta.is_dir() => pending.push(entry.path()),
                Ok(meta) if ours => bytes += meta.blocks() * 512,
                _ => {}
            }
        }
    }
    bytes
}
