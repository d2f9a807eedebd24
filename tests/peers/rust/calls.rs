//! What the Rust peer does with services and calls.

use crate::{PATIENCE, byte, check};
use axonic::*;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// So many are at work, of which some nap.
const THREADS: usize = 8;
/// Of the messages that are reversed.
const SIZES: [usize; 5] = [0, 1, 64, 4096, 1 << 20];
/// Items of a stream, which are more than its credit.
const ITEMS: usize = 600;
const ITEM: usize = 1024;
const MOMENT: Duration = Duration::from_millis(1);
const LIMIT: Duration = Duration::from_millis(100);
const PARAMS: &str =
    r#"{"text":"ä€😀","numbers":[1,-2.5,1e300],"none":null,"yes":true,"deep":{"a":[{"b":[]}]}}"#;
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const METHODS: [&str; 10] =
    ["describe", "fail", "go", "items", "nap", "naps", "reverse", "total", "trace", "work"];

fn pattern(k: usize, size: usize) -> Vec<u8> {
    (0..size).map(|i| byte(i, k, size)).collect()
}

/// Calls that lasted until their caller waited no more.
#[derive(Default)]
struct Naps {
    begun: AtomicU64,
    over: AtomicU64,
    /// How many milliseconds the last one's caller gave it; -1: as long as it takes.
    given: AtomicI64,
    /// Who has seen how far some work is says so.
    go: AtomicBool,
}

impl Naps {
    fn take(&self, request: &Request) {
        let given = request.remaining().map_or(-1, |left| left.as_millis() as i64);
        self.given.store(given, SeqCst);
        self.begun.fetch_add(1, SeqCst);
        while !request.is_cancelled() {
            std::thread::sleep(MOMENT);
        }
        self.over.fetch_add(1, SeqCst);
    }
}

fn text(body: &Body) -> String {
    String::from_utf8_lossy(body.data()).into_owned()
}

fn answer(request: Request, naps: &Naps) -> Result<()> {
    match request.method() {
        "reverse" => {
            let reversed: Vec<u8> = request.body().data().iter().rev().copied().collect();
            request.reply(Payload::raw(&reversed))
        }
        "describe" => {
            let description = format!("{{\"got\":{}}}", text(request.body()));
            request.reply(Payload::json(description.as_bytes()))
        }
        "fail" => {
            let status = Status::new(Code::FailedPrecondition, "not now").with_reason("not_now");
            let details = r#"{"left":3,"why":["a",null]}"#.parse().expect("JSON");
            request.fail(Status { retryable: true, details, ..status });
            Ok(())
        }
        "nap" => {
            naps.take(&request);
            Ok(())
        }
        "naps" => {
            let [begun, over] = [&naps.begun, &naps.over].map(|count| count.load(SeqCst));
            let told = format!("{begun} {over} {}", naps.given.load(SeqCst));
            request.reply(Payload::raw(told.as_bytes()))
        }
        "go" => {
            naps.go.store(true, SeqCst);
            request.reply(Payload::raw(b""))
        }
        "items" => {
            let count = text(request.body()).parse().expect("a number of items");
            for k in 0..count {
                request.send(Payload::raw(&pattern(k, ITEM)), PATIENCE)?;
            }
            request.reply(Payload::raw(b""))
        }
        "total" => total(request),
        "trace" => {
            let trace = request.body().attributes()?.get("traceparent").unwrap_or_default().to_owned();
            request.reply(Payload::raw(trace.as_bytes()))
        }
        "work" => {
            request.progress(0.5, "half");
            while !naps.go.swap(false, SeqCst) && !request.is_cancelled() {
                std::thread::sleep(MOMENT);
            }
            request.reply(Payload::raw(b"worked"))
        }
        _ => {
            request.no_such_method(&METHODS);
            Ok(())
        }
    }
}

/// Adds up what the caller streams.
fn total(request: Request) -> Result<()> {
    let (mut count, mut sum) = (0, 0u32);
    while let Some(item) = request.next(PATIENCE)? {
        sum = sum.wrapping_add(checked(item.data(), count, ITEM)?);
        count += 1;
    }
    request.reply(Payload::raw(format!("{count} {sum}").as_bytes()))
}

fn checked(data: &[u8], k: usize, size: usize) -> Result<u32> {
    let torn = || Error::new(ErrorKind::Corrupt, format!("item {k} has {} bytes", data.len()));
    check(data, k, size).ok_or_else(torn)
}

pub fn serve(domain: &str, name: &str, addresses: &[&str]) -> Result<()> {
    let domain = Domain::open(domain)?;
    let service = domain.service(name, "1.2.0", &ServiceOptions::default())?;
    let is_silent = addresses.contains(&"pipe:0,1");
    for address in addresses {
        let at = service.listen(address)?;
        if !is_silent {
            println!("at {at}");
        }
    }
    if !is_silent {
        println!("serving");
    }
    let naps = Naps::default();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Ok(request) = service.next(None) {
                    // Who waits no more is not answered.
                    let _ = answer(request, &naps);
                }
            });
        }
    });
    Ok(())
}

/// One way to the service.
struct Way(Client);

impl Way {
    fn open(domain: &Domain, service: &str, address: &str) -> Result<Way> {
        let address = (address != "-").then(|| address.to_owned());
        Ok(Way(domain.client(service, "^1.2", &ClientOptions { address, ..Default::default() })?))
    }

    fn reverse(&self) -> Result<()> {
        let mut sum = 0u32;
        for (k, size) in SIZES.into_iter().enumerate() {
            let mut data = self.0.call("reverse", Payload::raw(&pattern(k, size)), PATIENCE)?.data().to_vec();
            data.reverse();
            sum = sum.wrapping_add(checked(&data, k, size)?);
        }
        println!("reversed {sum}");
        Ok(())
    }

    fn fail(&self) -> Result<()> {
        let error = failure(self.0.call("fail", Payload::json(b"{}"), PATIENCE))?;
        let status = error.status().expect("a failed call has a status");
        let retryable = u8::from(status.retryable);
        let Status { code, reason, message, details, origin, .. } = status;
        println!("failed {} {code} {reason} {retryable}|{message}|{details}|{origin}", error.kind().name());
        tell("unknown", &failure(self.0.call("nonsense", Payload::json(b"{}"), PATIENCE))?);
        Ok(())
    }

    /// How many naps were begun and are over, and how long the last was to be.
    fn naps(&self) -> Result<(u64, u64, i64)> {
        let told = text(&self.0.call("naps", Payload::raw(b""), PATIENCE)?);
        let mut words = told.split(' ').map(|word| word.parse::<i64>().expect("a number"));
        let mut next = || words.next().expect("three numbers");
        Ok((next() as u64, next() as u64, next()))
    }

    /// Waits until so many naps were begun, and are over.
    fn until(&self, begun: u64, over: u64) -> Result<i64> {
        let end = Instant::now() + PATIENCE.expect("an end");
        loop {
            let naps = self.naps()?;
            if naps.0 >= begun && naps.1 >= over {
                return Ok(naps.2);
            }
            if Instant::now() > end {
                return Err(Error::new(ErrorKind::Timeout, format!("of {begun} naps: {naps:?}")));
            }
            std::thread::sleep(MOMENT);
        }
    }

    fn start(&self, method: &str, options: CallOptions) -> Result<Call> {
        self.0.start(method, Payload::json(b"{}"), &options)
    }

    /// One nap that is too long, and one that is given up.
    fn nap(&self) -> Result<()> {
        let (begun, over, _) = self.naps()?;
        let late = failure(self.0.call("nap", Payload::json(b"{}"), Some(LIMIT)))?;
        let given = self.until(begun + 1, over + 1)?;
        tell("late", &late);
        println!("given {given}");
        let call = self.start("nap", CallOptions::default())?;
        self.until(begun + 2, over + 1)?;
        call.cancel();
        println!("cancelled {}", self.until(begun + 2, over + 2)?);
        Ok(())
    }

    fn stream(&self) -> Result<()> {
        let options = CallOptions { stream: true, timeout: PATIENCE, ..Default::default() };
        let mut call = self.0.start("items", Payload::raw(ITEMS.to_string().as_bytes()), &options)?;
        let (mut count, mut sum) = (0, 0u32);
        while let Some(item) = call.next(PATIENCE)? {
            sum = sum.wrapping_add(checked(item.data(), count, ITEM)?);
            count += 1;
        }
        println!("streamed {count} {sum}");
        let mut call =
            self.start("total", CallOptions { input: true, timeout: PATIENCE, ..Default::default() })?;
        for k in 0..ITEMS {
            call.send(Payload::raw(&pattern(k, ITEM)), PATIENCE)?;
        }
        call.finish_input()?;
        println!("total {}", text(&call.result(PATIENCE)?));
        Ok(())
    }

    fn progress(&self) -> Result<()> {
        let mut call = self.start("work", CallOptions { timeout: PATIENCE, ..Default::default() })?;
        let end = Instant::now() + PATIENCE.expect("an end");
        let progress = loop {
            match call.progress() {
                None if Instant::now() < end => std::thread::sleep(MOMENT),
                progress => break progress.unwrap_or_default(),
            }
        };
        self.0.call("go", Payload::raw(b""), PATIENCE)?;
        println!("progress {} {} {}", progress.0, progress.1, text(&call.result(PATIENCE)?));
        Ok(())
    }

    fn trace(&self) -> Result<()> {
        let mut attributes = Attributes::default();
        attributes.insert("traceparent", TRACE)?;
        let traced = Payload::json(b"{}").with_attributes(&attributes);
        println!("trace {}", text(&self.0.call("trace", traced, PATIENCE)?));
        Ok(())
    }

    fn talk(&self) -> Result<()> {
        self.reverse()?;
        let described = self.0.call("describe", Payload::json(PARAMS.as_bytes()), PATIENCE)?;
        println!("described {}", text(&described));
        self.fail()?;
        self.nap()?;
        self.stream()?;
        self.progress()?;
        self.trace()
    }
}

fn failure(called: Result<Body>) -> Result<Error> {
    match called {
        Err(e) => Ok(e),
        Ok(_) => Err(Error::new(ErrorKind::Corrupt, "a call that had to fail did not")),
    }
}

fn tell(what: &str, error: &Error) {
    let code = error.status().map_or_else(|| "no status".to_owned(), |status| status.code.to_string());
    println!("{what} {} {code}", error.kind().name());
}

pub fn call(domain: &str, service: &str, addresses: &[&str]) -> Result<()> {
    let domain = Domain::open(domain)?;
    let ways = addresses.iter().map(|address| Way::open(&domain, service, address));
    let ways = ways.collect::<Result<Vec<_>>>()?;
    ways.iter().try_for_each(Way::talk)?;
    let nobody = domain.client("nobody", "*", &ClientOptions::default())?;
    tell("absent", &failure(nobody.call("reverse", Payload::raw(b""), PATIENCE))?);
    let (begun, over, _) = ways[0].naps()?;
    let calls = ways.iter().map(|way| way.start("nap", CallOptions::default()));
    let mut calls = calls.collect::<Result<Vec<_>>>()?;
    ways[0].until(begun + calls.len() as u64, over)?;
    println!("napping");
    for call in &mut calls {
        tell("gone", &failure(call.result(PATIENCE))?);
    }
    Ok(())
}
