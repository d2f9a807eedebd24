//! What tests of queues do all the time: with a queue called `jobs`, and texts.

use axonic::*;
use std::time::Duration;

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

pub fn options() -> QueueOptions {
    QueueOptions::default()
}

pub fn pair(domain: &Domain, options: &QueueOptions) -> (QueueProducer, QueueConsumer) {
    (domain.queue_producer("jobs", options).unwrap(), domain.queue_consumer("jobs", options).unwrap())
}

pub fn put(producer: &mut QueueProducer, text: &str, put: Put) -> Receipt {
    producer.put_with(&Payload::raw(text.as_bytes()), &put, SECOND).unwrap()
}

pub fn get(consumer: &mut QueueConsumer) -> Delivery {
    consumer.get(SECOND).unwrap()
}

pub fn text(delivery: &Delivery) -> &str {
    std::str::from_utf8(delivery.data()).unwrap()
}
