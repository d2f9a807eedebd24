//! What queues' operations do in the process that is to die, which tells its test what it is about to do and what it was
//! told.

use super::super::litmus::{self, PATIENCE, Parent, SOON, number_of, payload};
use axonic::*;
use nix::sys::signal::Signal;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// A length that takes some parts.
pub const LARGE: usize = 1000;
pub const CAPACITY: usize = 8;
pub const PARTS: usize = 64;
/// Bytes of a part, as `store.rs` has it.
pub const PART: usize = 224;
/// A lease or a delay that is over soon.
pub const BRIEF: Duration = Duration::from_millis(5);

pub struct Operation {
    pub name: &'static str,
    pub run: fn(&mut Actor),
    /// Messages that are there before: number 0 and so on, each `LARGE`.
    pub before: u64,
    /// Somebody waits for room meanwhile.
    pub blocked: bool,
    /// Somebody died before in the middle of many things.
    pub dead: bool,
    /// Its lease is over soon: if it stops, somebody else takes the message meanwhile.
    pub late: bool,
    /// Whoever starts it anew puts its first message again.
    pub again: bool,
    pub durable: bool,
    /// Others had the queue open before it, and do not live on.
    pub kept: bool,
    /// In the end everything in memory is lost.
    pub reboot: bool,
}

const fn op(name: &'static str, before: u64, run: fn(&mut Actor)) -> Operation {
    Operation {
        name,
        run,
        before,
        blocked: false,
        dead: false,
        late: false,
        again: false,
        durable: false,
        kept: false,
        reboot: false,
    }
}

const fn late(name: &'static str, run: fn(&mut Actor)) -> Operation {
    Operation { late: true, ..op(name, 1, run) }
}

const fn durable(name: &'static str, before: u64, run: fn(&mut Actor)) -> Operation {
    Operation { durable: true, ..op(name, before, run) }
}

const fn rebooted(name: &'static str, before: u64, run: fn(&mut Actor)) -> Operation {
    Operation { kept: true, reboot: true, ..durable(name, before, run) }
}

pub const OPERATIONS: &[Operation] = &[
    op("queue_open", 2, |actor| {
        let open = || actor.domain.queue_consumer("q", &actor.options);
        let _consumer = actor.parent.armed(actor.after, actor.signal, || open().unwrap());
    }),
    op("queue_open_new", 0, |actor| {
        let open = || actor.domain.queue_producer("new", &actor.options);
        let _producer = actor.parent.armed(actor.after, actor.signal, || open().unwrap());
    }),
    op("queue_close_producer", 1, |actor| {
        let mut producer = actor.producer();
        actor.put(&mut producer, 1, LARGE, Put::default());
        actor.parent.armed(actor.after, actor.signal, || drop(producer));
    }),
    op("queue_close_consumer", 3, |actor| {
        let mut consumer = actor.consumer();
        let delivery = actor.get(&mut consumer, &Get::default());
        actor.parent.armed(actor.after, actor.signal, || drop((consumer, delivery)));
    }),
    op("queue_close_domain", 3, |actor| {
        let (_producer, mut consumer) = (actor.producer(), actor.consumer());
        let _delivery = actor.get(&mut consumer, &Get::default());
        actor.parent.armed(actor.after, actor.signal, || actor.domain.close());
    }),
    op("queue_put", 1, |actor| actor.puts(&[(1, 10, 0), (2, 10, 0), (3, 10, 0)])),
    op("queue_put_many", 1, |actor| actor.put_many()),
    Operation {
        again: true,
        ..op("queue_put_once", 1, |actor| {
            let mut producer = actor.producer();
            actor.arm();
            actor.put(&mut producer, 1, LARGE, once());
            actor.disarm();
        })
    },
    op("queue_put_to_a_sleeper", 0, |actor| {
        actor.let_sleep();
        actor.puts(&[(1, 10, 0), (2, 10, 0)]);
    }),
    op("queue_put_large", 1, |actor| actor.puts(&[(1, LARGE, 0), (2, LARGE, 3)])),
    op("queue_put_growing", 0, |actor| actor.puts(&[(1, 40 * PART, 6)])),
    op("queue_put_later", 1, |actor| {
        let mut producer = actor.producer();
        actor.arm();
        (1..3).for_each(|n| {
            actor.put(&mut producer, n, LARGE, Put { delay: BRIEF, priority: 1, ..Put::default() })
        });
        actor.disarm();
    }),
    op("queue_put_with_a_ticket", 1, |actor| {
        let mut producer = actor.producer();
        actor.arm();
        drop(actor.put_for_result(&mut producer, 1));
        actor.disarm();
    }),
    op("queue_get", 3, |actor| {
        let mut consumer = actor.consumer();
        actor.arm();
        let _deliveries = [(); 2].map(|()| actor.get(&mut consumer, &Get::default()));
        actor.disarm();
    }),
    op("queue_get_for_a_time", 2, |actor| {
        let mut consumer = actor.consumer();
        actor.arm();
        let _delivery = consumer.get_with(&brief(), PATIENCE);
        actor.disarm();
    }),
    op("queue_extend", 2, |actor| {
        let mut consumer = actor.consumer();
        let get = Get { lease: Some(SOON), ..Get::default() };
        let mut delivery = consumer.get_with(&get, PATIENCE).unwrap();
        actor.arm();
        let _ = delivery.extend(BRIEF);
        actor.disarm();
    }),
    op("queue_fall_asleep", 0, |actor| {
        let mut consumer = actor.consumer();
        actor.arm();
        let _ = consumer.get(Some(BRIEF));
        actor.disarm();
    }),
    Operation {
        blocked: true,
        ..op("queue_ack", CAPACITY as u64, |actor| actor.settle("ack", |d| d.ack(), Get::default()))
    },
    op("queue_ack_of_a_timed_one", 2, |actor| {
        actor.settle("ack", |d| d.ack(), Get { lease: Some(SOON), ..Get::default() });
    }),
    op("queue_nack", 1, |actor| actor.settle("nack", |d| d.nack(Duration::ZERO), Get::default())),
    op("queue_nack_for_later", 1, |actor| actor.settle("nack", |d| d.nack(BRIEF), Get::default())),
    op("queue_reject", 2, |actor| {
        actor.settle("reject", |d| d.reject(&"why ".repeat(100)), Get::default());
    }),
    op("queue_ack_with_a_result", 1, |actor| actor.answer(false)),
    op("queue_ack_for_nobody", 1, |actor| actor.answer(true)),
    late("queue_ack_late", |actor| actor.settle("ack", |d| d.ack(), brief())),
    late("queue_nack_late", |actor| actor.settle_alone("nack", |d| d.nack(Duration::ZERO), brief())),
    late("queue_reject_late", |actor| actor.settle("reject", |d| d.reject("why"), brief())),
    late("queue_extend_late", |actor| actor.settle("extend", |mut d| d.extend(BRIEF), brief())),
    Operation { before: 0, ..late("queue_answer_late", |actor| actor.answer_late()) },
    op("queue_fetch_a_result", 1, |actor| {
        let (mut producer, mut consumer) = (actor.producer(), actor.consumer());
        let _first = consumer.get(PATIENCE).unwrap();
        let mut ticket = actor.put_for_result(&mut producer, 1);
        let delivery = consumer.get(PATIENCE).unwrap();
        actor.parent.say("acking 1");
        delivery.ack_with(&Payload::raw(&[7; LARGE])).unwrap();
        actor.parent.say("acked 1");
        actor.arm();
        assert_eq!(producer.result(&mut ticket, PATIENCE).unwrap().data(), [7; LARGE]);
        actor.disarm();
    }),
    op("queue_drop_a_ticket", 1, |actor| {
        let (mut producer, mut consumer) = (actor.producer(), actor.consumer());
        let _first = consumer.get(PATIENCE).unwrap();
        let ticket = actor.put_for_result(&mut producer, 1);
        actor.parent.say("acking 1");
        consumer.get(PATIENCE).unwrap().ack_with(&Payload::raw(&[7; LARGE])).unwrap();
        actor.parent.say("acked 1");
        actor.parent.armed(actor.after, actor.signal, || drop(ticket));
    }),
    op("queue_end_a_lease", 2, |actor| {
        let (mut consumer, mut other) = (actor.consumer(), actor.consumer());
        let get = Get { lease: Some(Duration::from_millis(1)), ..Get::default() };
        let _delivery = other.get_with(&get, PATIENCE).unwrap();
        let _second = other.get(PATIENCE).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        actor.arm();
        let _third = consumer.try_get().unwrap();
        actor.disarm();
    }),
    op("queue_expire", 0, |actor| actor.expire()),
    op("queue_redrive", 3, |actor| actor.redrive()),
    op("queue_peek", 3, |actor| {
        let mut consumer = actor.consumer();
        consumer.get(PATIENCE).unwrap().reject("bad luck").unwrap();
        actor.arm();
        assert_eq!((consumer.peek(9).unwrap().len(), consumer.dead_letters(9).unwrap().len()), (2, 1));
        actor.disarm();
    }),
    op("queue_purge_dead_letters", 3, |actor| actor.purge_dead_letters()),
    op("queue_purge", CAPACITY as u64, |actor| actor.purge(CAPACITY as u64)),
    Operation {
        dead: true,
        ..op("queue_recover", 4, |actor| {
            actor.arm();
            let _consumer = actor.consumer();
            actor.disarm();
        })
    },
    durable("queue_put_durably", 1, |actor| actor.puts(&[(1, 10, 0), (2, LARGE, 0)])),
    durable("queue_put_many_durably", 1, |actor| actor.put_many()),
    durable("queue_answer_durably", 1, |actor| actor.answer(false)),
    durable("queue_close_durably", 1, |actor| actor.close_unsynced()),
    durable("queue_start_over", 2, |actor| actor.start_over()),
    durable("queue_ack_durably", 2, |actor| actor.settle("ack", |d| d.ack(), Get::default())),
    durable("queue_reject_durably", 2, |actor| actor.reject()),
    durable("queue_expire_durably", 0, |actor| actor.expire()),
    durable("queue_redrive_durably", 3, |actor| actor.redrive()),
    durable("queue_purge_durably", 3, |actor| actor.purge(3)),
    durable("queue_purge_dead_letters_durably", 3, |actor| actor.purge_dead_letters()),
    durable("queue_write_and_sync", 1, |actor| actor.write_and_sync()),
    durable("queue_go_round_the_disk", 1, |actor| actor.go_round()),
    Operation {
        dead: true,
        ..durable("queue_recover_durably", 3, |actor| {
            actor.arm();
            let mut consumer = actor.consumer();
            let _ = consumer.sync(PATIENCE);
            actor.disarm();
        })
    },
    rebooted("queue_put_before_a_reboot", 1, |actor| actor.puts(&[(1, 10, 0), (2, LARGE, 0)])),
    rebooted("queue_put_many_before_a_reboot", 1, |actor| actor.put_many()),
    rebooted("queue_ack_before_a_reboot", 2, |actor| actor.settle("ack", |d| d.ack(), Get::default())),
    rebooted("queue_nack_before_a_reboot", 2, |actor| {
        actor.settle_alone("nack", |d| d.nack(Duration::ZERO), Get::default());
    }),
    rebooted("queue_reject_before_a_reboot", 2, |actor| actor.reject()),
    rebooted("queue_expire_before_a_reboot", 0, |actor| actor.expire()),
    rebooted("queue_redrive_before_a_reboot", 3, |actor| actor.redrive()),
    rebooted("queue_purge_before_a_reboot", 3, |actor| actor.purge(3)),
    rebooted("queue_purge_dead_letters_before_a_reboot", 3, |actor| actor.purge_dead_letters()),
    rebooted("queue_close_before_a_reboot", 1, |actor| actor.close_unsynced()),
    rebooted("queue_write_before_a_reboot", 1, |actor| actor.write_and_sync()),
    rebooted("queue_go_round_before_a_reboot", 1, |actor| actor.go_round()),
    rebooted("queue_start_over_before_a_reboot", 2, |actor| actor.start_over()),
    Operation {
        kept: true,
        ..durable("queue_load", 3, |actor| {
            // Everybody else is gone, and what was in memory too.
            actor.domain.close();
            actor.parent.say("reboot 0");
            actor.parent.hear().expect("done");
            let domain = litmus::open();
            let options = &actor.options;
            let open = || domain.queue_consumer("q", options);
            let _consumer = actor.parent.armed(actor.after, actor.signal, || open().unwrap());
        })
    },
];

/// A lease that is over soon.
fn brief() -> Get {
    Get { lease: Some(BRIEF), ..Get::default() }
}

/// A put that is done once, however often it is tried.
pub fn once() -> Put {
    Put { dedup_id: Some("once".into()), ..Put::default() }
}

pub fn options(durable: bool) -> QueueOptions {
    QueueOptions {
        capacity: CAPACITY,
        max_bytes: PARTS * PART,
        durable: durable.then_some(Fsync::Always),
        wait: Wait::Block,
        ..Default::default()
    }
}

/// The process that is to die.
pub struct Actor<'a> {
    parent: &'a mut Parent,
    domain: Domain,
    options: QueueOptions,
    /// What it was told must be so after a reboot.
    reboot: bool,
    after: u64,
    signal: i32,
}

impl Parent {
    /// Runs an operation that is cut short.
    fn armed<T>(&self, after: u64, signal: i32, operation: impl FnOnce() -> T) -> T {
        crash::arm(after, signal);
        let result = operation();
        self.say(format!("steps {}", after.saturating_sub(crash::disarm())));
        result
    }
}

impl Actor<'_> {
    fn arm(&self) {
        crash::arm(self.after, self.signal);
    }

    fn disarm(&self) {
        self.parent.say(format!("steps {}", self.after.saturating_sub(crash::disarm())));
    }

    /// Lets a survivor wait for a message, of which there is none now.
    fn let_sleep(&mut self) {
        self.parent.say("sleep 0");
        self.parent.hear().expect("it sleeps");
    }

    fn producer(&self) -> QueueProducer {
        self.domain.queue_producer("q", &self.options).unwrap()
    }

    fn consumer(&self) -> QueueConsumer {
        self.domain.queue_consumer("q", &self.options).unwrap()
    }

    fn put(&self, producer: &mut QueueProducer, number: u64, size: usize, put: Put) {
        self.parent.say(format!("putting {number}"));
        producer.put_with(&Payload::raw(&payload(number, size)), &put, PATIENCE).unwrap();
        self.parent.say(format!("accepted {number}"));
    }

    fn put_for_result(&self, producer: &mut QueueProducer, number: u64) -> Ticket {
        self.parent.say(format!("putting {number}"));
        let put = Put { result: true, ..Put::default() };
        let receipt = producer.put_with(&Payload::raw(&payload(number, LARGE)), &put, PATIENCE).unwrap();
        self.parent.say(format!("accepted {number}"));
        receipt.ticket().unwrap()
    }

    /// Messages by number, size and priority.
    fn puts(&self, messages: &[(u64, usize, u8)]) {
        let mut producer = self.producer();
        self.arm();
        for (number, size, priority) in messages {
            self.put(&mut producer, *number, *size, Put { priority: *priority, ..Put::default() });
        }
        self.disarm();
    }

    fn get(&self, consumer: &mut QueueConsumer, get: &Get) -> Delivery {
        consumer.get_with(get, PATIENCE).unwrap()
    }

    /// Takes the first message and settles it; a survivor sleeps for one that is given back.
    fn settle(&mut self, how: &str, settle: fn(Delivery) -> Result<()>, get: Get) {
        let mut consumer = self.consumer();
        let delivery = self.get(&mut consumer, &get);
        if how == "nack" {
            self.let_sleep();
        }
        self.settle_this(how, delivery, settle, get.lease.is_some());
    }

    /// The same where nobody sleeps.
    fn settle_alone(&mut self, how: &str, settle: fn(Delivery) -> Result<()>, get: Get) {
        let mut consumer = self.consumer();
        let delivery = self.get(&mut consumer, &get);
        self.settle_this(how, delivery, settle, get.lease.is_some());
    }

    fn settle_this(&self, how: &str, delivery: Delivery, settle: fn(Delivery) -> Result<()>, timed: bool) {
        let number = number_of(delivery.data());
        self.parent.say(format!("{how}ing {number}"));
        self.arm();
        match settle(delivery) {
            Ok(()) => self.parent.say(format!("{how}ed {number}")),
            Err(e) => assert_eq!((e.kind(), timed), (ErrorKind::LeaseLost, true), "{e}"),
        }
        self.disarm();
    }

    /// Answers when somebody else may have the message.
    fn answer_late(&mut self) {
        let (mut producer, mut consumer) = (self.producer(), self.consumer());
        let _ticket = self.put_for_result(&mut producer, 1);
        let delivery = self.get(&mut consumer, &brief());
        self.settle_this("ack", delivery, |d| d.ack_with(&Payload::raw(&[7; 10])), true);
    }

    /// Some at once, of which all are accepted that are counted.
    fn put_many(&mut self) {
        let mut producer = self.producer();
        (1..4).for_each(|number| self.parent.say(format!("putting {number}")));
        let messages: Vec<Vec<u8>> = (1..4).map(|number| payload(number, LARGE)).collect();
        let payloads: Vec<Payload<'_>> = messages.iter().map(|message| Payload::raw(message)).collect();
        self.arm();
        assert_eq!(producer.put_many(&payloads, &Put::default(), PATIENCE).unwrap(), 3);
        (1..4).for_each(|number| self.parent.say(format!("accepted {number}")));
        self.disarm();
    }

    /// Says what has become of messages: at once, or where everything in memory will be lost, once it is on the disk.
    fn tell(&self, consumer: &mut QueueConsumer, what: &str, numbers: Range<u64>) {
        if self.reboot {
            consumer.sync(PATIENCE).unwrap();
        }
        numbers.for_each(|number| self.parent.say(format!("{what} {number}")));
    }

    /// Rejects one, in so many words that they take some parts.
    fn reject(&self) {
        let mut consumer = self.consumer();
        let delivery = self.get(&mut consumer, &Get::default());
        self.arm();
        delivery.reject(&"why ".repeat(100)).unwrap();
        self.tell(&mut consumer, "rejected", 0..1);
        self.disarm();
    }

    /// Puts two for which it is too late at once, and comes to take them.
    fn expire(&self) {
        let (mut producer, mut consumer) = (self.producer(), self.consumer());
        for number in 0..2 {
            self.parent.say(format!("expiring {number}"));
            let ttl = Some(Duration::from_micros(1));
            self.put(&mut producer, number, LARGE, Put { ttl, ..Put::default() });
        }
        self.arm();
        assert!(consumer.try_get().unwrap().is_none());
        consumer.sync(PATIENCE).unwrap();
        self.disarm();
    }

    /// Rejects so many; where the queue is durable, on the disk.
    fn bury(&self, consumer: &mut QueueConsumer, count: usize) {
        (0..count).for_each(|_| consumer.get(PATIENCE).unwrap().reject("bad luck").unwrap());
        consumer.sync(PATIENCE).unwrap();
    }

    /// Lets two dead letters be delivered again.
    fn redrive(&self) {
        let mut consumer = self.consumer();
        self.bury(&mut consumer, 2);
        self.arm();
        assert_eq!(consumer.redrive(9).unwrap(), 2);
        self.tell(&mut consumer, "redriven", 0..2);
        self.disarm();
    }

    /// Takes so many messages away, of which the first is a dead letter and stays.
    fn purge(&self, count: u64) {
        let mut consumer = self.consumer();
        self.bury(&mut consumer, 1);
        self.parent.say("rejected 0");
        (1..count).for_each(|number| self.parent.say(format!("purging {number}")));
        self.arm();
        assert_eq!(consumer.purge().unwrap(), count - 1);
        (1..count).for_each(|number| self.parent.say(format!("purged {number}")));
        self.disarm();
    }

    /// Takes two dead letters away, and no message that is none.
    fn purge_dead_letters(&self) {
        let mut consumer = self.consumer();
        self.bury(&mut consumer, 2);
        (0..2).for_each(|number| self.parent.say(format!("purging {number}")));
        self.arm();
        assert_eq!(consumer.purge_dead_letters().unwrap(), 2);
        (0..2).for_each(|number| self.parent.say(format!("purged {number}")));
        self.disarm();
    }

    /// Closes a queue of which something is not on the disk yet.
    fn close_unsynced(&mut self) {
        let mut producer = self.producer();
        let put = Put { durable: Some(false), ..Put::default() };
        self.parent.say("putting 1");
        producer.put_with(&Payload::raw(&payload(1, LARGE)), &put, PATIENCE).unwrap();
        self.arm();
        drop(producer);
        self.parent.say("accepted 1");
        self.disarm();
    }

    /// A sync has failed, and the journal is written anew.
    fn start_over(&mut self) {
        let mut producer = self.producer();
        self.put(&mut producer, 2, LARGE, Put::default());
        self.poison();
        self.arm();
        self.put(&mut producer, 3, LARGE, Put::default());
        self.disarm();
    }

    /// Says in the journal's state what one says whose sync failed; where, docs/protocol.md tells.
    fn poison(&self) {
        let path = std::env::var("AXONIC_RUNTIME_DIR").unwrap() + "/test/queues/q";
        let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
        let word = |at: u64| {
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, at).unwrap();
            u64::from_le_bytes(bytes)
        };
        let count = word(4144);
        let copy = [4224, 4336][count as usize & 1];
        let mut words: Vec<u64> = (0..13).map(|i| word(copy + 8 * i)).collect();
        words[11] |= 1;
        let sum = [&[count], &words[..]]
            .concat()
            .iter()
            .fold(0, |crc, w| crc32c::crc32c_append(crc, &w.to_le_bytes()));
        words.push(sum.into());
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        file.write_all_at(&bytes, copy).unwrap();
    }

    /// Answers a message whose producer waits for that, or does not any more.
    fn answer(&self, given_up: bool) {
        let (mut producer, mut consumer) = (self.producer(), self.consumer());
        let _first = consumer.get(PATIENCE).unwrap();
        let mut ticket = Some(self.put_for_result(&mut producer, 1));
        let delivery = consumer.get(PATIENCE).unwrap();
        ticket.take_if(|_| given_up);
        self.parent.say("acking 1");
        self.arm();
        delivery.ack_with(&Payload::raw(&[7; LARGE])).unwrap();
        self.parent.say("acked 1");
        self.disarm();
    }

    /// Some that need not be on the disk, and then all of them.
    fn write_and_sync(&self) {
        let (mut producer, mut consumer) = (self.producer(), self.consumer());
        let put = || Put { durable: Some(false), ..Put::default() };
        self.arm();
        for number in 1..3 {
            // Accepted, and not durable before the sync.
            self.parent.say(format!("putting {number}"));
            producer.put_with(&Payload::raw(&payload(number, LARGE)), &put(), PATIENCE).unwrap();
        }
        self.parent.say("acking 0");
        consumer.get_with(&Get { durable: Some(false), ..Get::default() }, PATIENCE).unwrap().ack().unwrap();
        producer.sync(PATIENCE).unwrap();
        (1..3).for_each(|number| self.parent.say(format!("accepted {number}")));
        self.parent.say("acked 0");
        self.disarm();
    }

    /// So many that the journal goes on in further segments, and frees the first, in which one message is left.
    fn go_round(&self) {
        let (mut producer, mut consumer) = (self.producer(), self.consumer());
        let _first = consumer.get(PATIENCE).unwrap();
        self.arm();
        for number in 1..16 {
            self.put(&mut producer, number, LARGE, Put::default());
            self.parent.say(format!("acking {number}"));
            consumer.get(PATIENCE).unwrap().ack().unwrap();
            self.parent.say(format!("acked {number}"));
        }
        self.disarm();
    }
}

/// `operation after signal`: dies or stops on the way, or when it is done.
pub fn act_on_queue(parent: &mut Parent) {
    let name = parent.arguments()[0].clone();
    let (after, signal) = (parent.number(1), parent.number(2) as i32);
    let operation = OPERATIONS.iter().find(|known| known.name == name).expect("an operation");
    let options = options(operation.durable);
    (operation.run)(&mut Actor {
        parent,
        domain: litmus::open(),
        options,
        reboot: operation.reboot,
        after,
        signal,
    });
    parent.wait_for_end();
}

/// `durable count`: has a queue open, and has put so many messages.
pub fn keep_queue(parent: &mut Parent) {
    let (domain, options) = (litmus::open(), options(parent.number(0) == 1));
    let mut producer = domain.queue_producer("q", &options).unwrap();
    let _consumer = domain.queue_consumer("q", &options).unwrap();
    (0..parent.number(1)).for_each(|number| producer.put(&payload(number, LARGE), PATIENCE).unwrap());
    parent.say("ready");
    parent.wait_for_end();
}

/// `durable step`: takes a message, another for long, gives one back, and dies at a step of a put.
pub fn die_in_a_put(parent: &mut Parent) {
    let (durable, step) = (parent.number(0) == 1, parent.number(1));
    let (domain, options) = (litmus::open(), options(durable));
    let mut producer = domain.queue_producer("q", &options).unwrap();
    let mut consumer = domain.queue_consumer("q", &options).unwrap();
    let _taken = consumer.get(PATIENCE).unwrap();
    let _timed = consumer.get_with(&Get { lease: Some(BRIEF), ..Get::default() }, PATIENCE).unwrap();
    parent.say("putting 100");
    crash::arm(step, Signal::SIGKILL as i32);
    producer.put(&payload(100, LARGE), PATIENCE).unwrap();
    crash::disarm();
    parent.say("accepted 100");
    parent.wait_for_end();
}
