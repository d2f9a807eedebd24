//! A service: methods on bytes and by name, a stream, a failure with its reason, a call out of time.

use axonic::*;
use serde_json::{Value, json};
use std::time::Duration;

/// Answers calls until the service is closed.
fn serve(shop: &Service) -> Result<()> {
    loop {
        match shop.next(None) {
            Ok(request) => answer(request)?,
            Err(e) if e.kind() == ErrorKind::Closed => return Ok(()),
            Err(e) => return Err(e),
        }
    }
}

fn answer(request: Request) -> Result<()> {
    let arguments: Value = serde_json::from_slice(request.body().data()).unwrap_or_default();
    match request.method() {
        "reverse" => {
            let reversed: Vec<u8> = request.body().data().iter().rev().copied().collect();
            request.reply(Payload::raw(&reversed))
        }
        "price" => price(request, &arguments),
        "countdown" => {
            request.begin_stream()?;
            for number in (1..=arguments["start"].as_u64().unwrap_or(0)).rev() {
                request.send(Payload::json(number.to_string().as_bytes()), None)?;
            }
            request.reply(Payload::raw(b""))
        }
        "nap" => {
            while !request.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        }
        _ => {
            request.no_such_method(&["countdown", "nap", "price", "reverse"]);
            Ok(())
        }
    }
}

fn price(request: Request, arguments: &Value) -> Result<()> {
    let item = arguments["item"].as_str().unwrap_or_default();
    let cents = match item {
        "apple" => 25,
        "pear" => 40,
        _ => {
            let status = Status::new(Code::NotFound, format!("the shop has no {item}"));
            request.fail(status.with_reason("no_such_item"));
            return Ok(());
        }
    };
    let price = cents * arguments["count"].as_u64().unwrap_or(0);
    request.reply(Payload::json(price.to_string().as_bytes()))
}

fn text(body: &Body) -> String {
    String::from_utf8_lossy(body.data()).into_owned()
}

fn buy(client: &Client) -> Result<()> {
    println!("reverse: {}", text(&client.call("reverse", Payload::raw(b"hello"), None)?));
    let apples = json!({ "item": "apple", "count": 3 }).to_string();
    println!("3 apples: {} cents", text(&client.call("price", Payload::json(apples.as_bytes()), None)?));
    let options = CallOptions { stream: true, ..CallOptions::default() };
    let mut call = client.start("countdown", Payload::json(br#"{"start":3}"#), &options)?;
    while let Some(number) = call.next(None)? {
        println!("countdown: {}", text(&number));
    }
    let moon = json!({ "item": "moon", "count": 1 }).to_string();
    if let Err(error) = client.call("price", Payload::json(moon.as_bytes()), None)
        && let Some(status) = error.status()
    {
        println!("price failed: {}, {}", status.code, status.reason);
    }
    let limit = Some(Duration::from_millis(50));
    if let Err(error) = client.call("nap", Payload::raw(b""), limit)
        && let Some(status) = error.status()
    {
        println!("nap failed: {}", status.code);
    }
    Ok(())
}

fn main() -> Result<()> {
    let ax = match std::env::var("AXONIC_DOMAIN") {
        Ok(_) => Domain::open_default()?,
        Err(_) => Domain::open("example-rpc")?,
    };
    let shop = ax.service("shop", "1.2.0", &ServiceOptions::default())?;
    let client = ax.client("shop", "^1.2", &ClientOptions::default())?;
    std::thread::scope(|scope| {
        let provider = scope.spawn(|| serve(&shop));
        let bought = buy(&client);
        shop.close();
        provider.join().expect("it does not panic")?;
        bought
    })?;
    if let Err(error) = client.call("reverse", Payload::raw(b"hello"), None)
        && let Some(status) = error.status()
    {
        println!("reverse failed: {}", status.code);
    }
    Ok(())
}
