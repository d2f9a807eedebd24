//! One wait for a timer and a subscriber: the timer makes the program publish.

use axonic::*;
use std::time::Duration;

const TIMER: u64 = 1;
const ORDERS: u64 = 2;

fn main() -> Result<()> {
    let ax = match std::env::var("AXONIC_DOMAIN") {
        Ok(_) => Domain::open_default()?,
        Err(_) => Domain::open("example-waitset")?,
    };
    let mut orders = ax.subscriber("orders.>", &SubscriberOptions::default())?;
    let mut publisher = ax.publisher("orders.created", &PublisherOptions::default())?;
    let mut set = WaitSet::new()?;
    set.add_timer(Duration::from_millis(10), TIMER)?;
    set.add_subscriber(&mut orders, ORDERS)?;

    loop {
        for token in set.wait(None)? {
            if token == TIMER {
                println!("timer ready");
                set.remove(TIMER);
                publisher.publish_json(&serde_json::json!({ "id": 1 }))?;
            } else if let Some(message) = orders.try_receive()? {
                println!("subscriber ready");
                println!("received {}: {}", message.topic(), String::from_utf8_lossy(message.data()));
                return Ok(());
            }
        }
    }
}
