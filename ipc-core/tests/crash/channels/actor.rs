//! What operations of channels and calls do in the process that is to die.

use super::super::litmus::{self, PATIENCE, Parent, number_of, payload};
use axonic::*;
use std::time::Duration;

/// A length that takes some parts.
pub const LARGE: usize = 300_000;

pub struct Operation {
    pub name: &'static str,
    pub run: fn(&mut Actor),
    /// Messages it sends, and that it is sent, of so many bytes.
    pub sends: u64,
    pub receives: u64,
    pub size: usize,
    /// The other end reads nothing until it is over.
    pub unread: bool,
}

const fn op(name: &'static str, run: fn(&mut Actor)) -> Operation {
    Operation { name, run, sends: 0, receives: 0, size: 100, unread: false }
}

pub const OPERATIONS: &[Operation] = &[
    op("channel_listen", |actor| {
        let domain = &actor.domain;
        let _listener = actor.armed(|| domain.listen("shm://test/theirs", &blocking()).unwrap());
    }),
    op("channel_connect", |actor| {
        let _channel = actor.armed(|| actor.connect());
    }),
    op("channel_give_up", |actor| {
        // Whoever listens there is this one, who does not accept.
        let _listener = actor.listen();
        let brief = Some(Duration::from_millis(3));
        actor.armed(|| actor.domain.connect("shm://test/theirs", &blocking(), brief).unwrap_err());
    }),
    op("channel_accept", |actor| {
        let listener = actor.listen();
        actor.ask("connect");
        let _channel = actor.armed(|| listener.accept(PATIENCE).unwrap());
    }),
    op("channel_close_listener", |actor| {
        let listener = actor.listen();
        actor.ask("connect");
        actor.armed(|| drop(listener));
    }),
    op("channel_close_domain", |actor| {
        let (_listener, _channel) = (actor.listen(), actor.connect());
        actor.ask("connect");
        actor.armed(|| actor.domain.close());
    }),
    Operation { sends: 3, ..op("channel_send", |actor| actor.send(100)) },
    Operation { sends: 3, ..op("channel_send_large", |actor| actor.send(LARGE)) },
    Operation {
        sends: 3,
        unread: true,
        ..op("channel_wait_for_room", |actor| {
            let channel = actor.connect();
            actor.arm();
            // The first has more parts than there is room for: its rest waits.
            let brief = Some(Duration::from_millis(3));
            channel.send(&payload(0, 2 * LARGE), brief).unwrap();
            channel.send(&payload(1, 100), brief).unwrap_err();
            actor.disarm();
        })
    },
    Operation { receives: 3, ..op("channel_receive", |actor| actor.receive()) },
    Operation { receives: 3, size: LARGE, ..op("channel_receive_large", |actor| actor.receive()) },
    op("channel_fall_asleep", |actor| {
        let channel = actor.connect();
        actor.armed(|| channel.receive(Some(Duration::from_millis(3))).unwrap_err());
    }),
    Operation {
        sends: 1,
        ..op("channel_finish", |actor| {
            let channel = actor.connect();
            channel.send(&payload(0, 100), PATIENCE).unwrap();
            actor.parent.say("sent 1");
            actor.armed(|| channel.finish(None).unwrap());
        })
    },
    Operation {
        sends: 1,
        ..op("channel_close", |actor| {
            let channel = actor.connect();
            channel.send(&payload(0, 100), PATIENCE).unwrap();
            actor.parent.say("sent 1");
            actor.armed(|| channel.close());
        })
    },
    op("service_open", |actor| {
        let _service = actor.armed(|| actor.service());
    }),
    op("service_close", |actor| {
        let service = actor.service();
        actor.ask("call");
        let _request = service.next(PATIENCE).unwrap();
        actor.armed(|| service.close());
    }),
    op("service_answer", |actor| {
        let service = actor.service();
        actor.ask("call");
        actor.armed(|| service.next(PATIENCE).unwrap().reply(Payload::raw(b"y")).unwrap());
    }),
    op("service_answer_large", |actor| {
        let service = actor.service();
        actor.ask("call");
        actor.armed(|| service.next(PATIENCE).unwrap().reply(Payload::raw(&[7; LARGE])).unwrap());
    }),
    op("service_fail", |actor| {
        let service = actor.service();
        actor.ask("take");
        actor.armed(|| drop(service.next(PATIENCE).unwrap()));
    }),
    op("service_stream", |actor| {
        let service = actor.service();
        actor.ask("take");
        let request = service.next(PATIENCE).unwrap();
        actor.armed(|| {
            // More than its caller gives credit for at once.
            (0..40).for_each(|_| request.send(Payload::raw(&[7; 10_000]), PATIENCE).unwrap());
            request.reply(Payload::raw(b"")).unwrap();
        });
    }),
    op("client_call", |actor| {
        let client = actor.client();
        actor.armed(|| client.call("echo", Payload::raw(b"x"), PATIENCE).unwrap());
    }),
    op("client_call_again", |actor| {
        let client = actor.client();
        client.call("echo", Payload::raw(b"x"), PATIENCE).unwrap();
        actor.armed(|| client.call("echo", Payload::raw(&[7; LARGE]), PATIENCE).unwrap());
    }),
    op("client_give_up", |actor| {
        let client = actor.client();
        let call = client.start("hang", Payload::raw(b""), &CallOptions::default()).unwrap();
        actor.armed(|| call.cancel());
    }),
    op("client_wait", |actor| {
        let client = actor.client();
        let mut call = client.start("hang", Payload::raw(b""), &CallOptions::default()).unwrap();
        actor.armed(|| call.result(Some(Duration::from_millis(3))).unwrap_err());
    }),
    op("client_take_a_stream", |actor| {
        let client = actor.client();
        let options = CallOptions { stream: true, ..Default::default() };
        let mut call = client.start("stream", Payload::raw(b""), &options).unwrap();
        actor.armed(|| {
            (0..500).for_each(|_| assert_eq!(call.next(PATIENCE).unwrap().unwrap().data(), [7; 1000]));
        });
    }),
    op("client_stream", |actor| {
        let client = actor.client();
        let options = CallOptions { input: true, ..Default::default() };
        let mut call = client.start("sum", Payload::raw(b""), &options).unwrap();
        actor.armed(|| {
            (0..40).for_each(|_| call.send(Payload::raw(&[7; 10_000]), PATIENCE).unwrap());
            call.finish_input().unwrap();
            assert_eq!(call.result(PATIENCE).unwrap().data(), 40u64.to_le_bytes());
        });
    }),
    op("client_close", |actor| {
        let client = actor.client();
        let _call = client.start("hang", Payload::raw(b""), &CallOptions::default()).unwrap();
        actor.armed(|| client.close());
    }),
];

pub fn blocking() -> ChannelOptions {
    ChannelOptions { wait: Wait::Block, ..Default::default() }
}

/// The process that is to die.
pub struct Actor<'a> {
    parent: &'a mut Parent,
    domain: Domain,
    after: u64,
    signal: i32,
}

impl Actor<'_> {
    fn arm(&self) {
        crash::arm(self.after, self.signal);
    }

    fn disarm(&self) {
        self.parent.say(format!("steps {}", self.after.saturating_sub(crash::disarm())));
    }

    /// Runs the operation itself; before, everything is in place.
    fn armed<T>(&self, operation: impl FnOnce() -> T) -> T {
        self.arm();
        let result = operation();
        self.disarm();
        result
    }

    /// Has a survivor do something.
    fn ask(&mut self, what: &str) {
        self.parent.say(what);
        self.parent.hear().expect("it is done");
    }

    fn connect(&self) -> Channel {
        self.domain.connect("shm://test/ours", &blocking(), PATIENCE).unwrap()
    }

    fn listen(&self) -> Listener {
        self.domain.listen("shm://test/theirs", &blocking()).unwrap()
    }

    fn service(&self) -> Service {
        let options = ServiceOptions { channel: blocking(), ..Default::default() };
        self.domain.service("theirs", "1.0.0", &options).unwrap()
    }

    fn client(&self) -> Client {
        let options = ClientOptions { channel: blocking(), ..Default::default() };
        self.domain.client("ours", "^1", &options).unwrap()
    }

    fn send(&mut self, size: usize) {
        let channel = self.connect();
        self.arm();
        for number in 0..3 {
            channel.send(&payload(number, size), PATIENCE).unwrap();
            self.parent.say(format!("sent {}", number + 1));
        }
        self.disarm();
    }

    fn receive(&mut self) {
        let channel = self.connect();
        self.armed(|| {
            (0..3).for_each(|number| assert_eq!(number_of(&channel.receive(PATIENCE).unwrap().data), number));
        });
    }
}

/// `operation after signal`: dies or stops on the way, or when it is done.
pub fn act_on_channel(parent: &mut Parent) {
    let name = parent.arguments()[0].clone();
    let (after, signal) = (parent.number(1), parent.number(2) as i32);
    let operation = OPERATIONS.iter().find(|known| known.name == name).expect("an operation");
    let mut actor = Actor { parent, domain: litmus::open(), after, signal };
    (operation.run)(&mut actor);
    actor.parent.wait_for_end();
}
