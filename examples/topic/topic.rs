//! Publish and subscribe: copies through a pattern, then an array written and read in place.

use axonic::*;
use std::time::Duration;

fn main() -> Result<()> {
    let ax = match std::env::var("AXONIC_DOMAIN") {
        Ok(_) => Domain::open_default()?,
        Err(_) => Domain::open("example-topic")?,
    };
    let second = Some(Duration::from_secs(1));

    let mut orders = ax.subscriber("orders.>", &SubscriberOptions::default())?;
    let mut created = ax.publisher("orders.created", &PublisherOptions::default())?;
    let mut paid = ax.publisher("orders.paid", &PublisherOptions::default())?;
    created.publish_json(&serde_json::json!({ "id": 1 }))?;
    paid.publish_json(&serde_json::json!({ "id": 2 }))?;
    for _ in 0..2 {
        let message = orders.receive(second)?;
        println!("received {}: {}", message.topic(), String::from_utf8_lossy(message.data()));
    }

    let mut viewer = ax.subscriber("camera", &SubscriberOptions::default())?;
    let mut camera = ax.publisher("camera", &PublisherOptions::default())?;
    let tensor = Tensor::new(Dtype::F32, [2, 3]);
    let mut loan = camera.loan(tensor.byte_len()?, second)?;
    for (i, element) in loan.chunks_exact_mut(4).enumerate() {
        element.copy_from_slice(&(i as f32).to_le_bytes());
    }
    let meta = LoanMeta { content: Content::Tensor, tensor: Some(&tensor), ..Default::default() };
    camera.commit(loan, &meta, second)?;

    let frame = viewer.borrow(second)?;
    let seen = frame.tensor().expect("a tensor was published");
    let sum: f32 = frame.chunks_exact(4).map(|e| f32::from_le_bytes([e[0], e[1], e[2], e[3]])).sum();
    println!(
        "borrowed {}: {}x{} {}, sum {sum}",
        frame.topic(),
        seen.shape[0],
        seen.shape[1],
        seen.dtype.name()
    );
    Ok(())
}
