//! Messages that are no frames of calls, or frames in an order that nobody would send, as a service and its client
//! read them.

use super::input::Input;
use super::scene::Scene;
use super::{Target, fair, touch};
use axonic::*;
use std::time::Duration;

pub struct Calls {
    scene: Scene,
    service: Service,
    /// Where the service listens for whoever says anything, and where somebody listens who answers with anything.
    address: String,
    listener: Listener,
}

const NOW: Option<Duration> = Some(Duration::ZERO);
const SOON: Option<Duration> = Some(Duration::from_secs(5));

fn options() -> ChannelOptions {
    ChannelOptions { wait: Wait::Block, ..Default::default() }
}

impl Calls {
    pub fn new() -> Calls {
        let scene = Scene::new();
        let domain = &scene.domain;
        let service = ServiceOptions { concurrency: 4, channel: options() };
        let service = domain.service("fuzzed", "1.0.0", &service).unwrap();
        let address = service.listen("inproc://service").unwrap();
        let listener = domain.listen("inproc://client", &options()).unwrap();
        Calls { service, address, listener, scene }
    }

    /// Says it all to the service, which works as services do.
    fn tell_service(&self, messages: &[&[u8]]) {
        let channel = std::thread::scope(|scope| {
            let connecting = scope.spawn(|| self.scene.domain.connect(&self.address, &options(), SOON));
            while !connecting.is_finished() {
                self.work();
            }
            connecting.join().unwrap().unwrap()
        });
        for message in messages {
            fair(channel.send(message, SOON));
            self.work();
        }
        while let Some(Some(answer)) = fair(channel.try_receive()) {
            touch(&answer.data);
        }
        drop(channel);
        // Its end is noticed.
        while self.service.at_work() > 0 {
            self.work();
        }
        self.work();
    }

    fn work(&self) {
        while let Some(Some(request)) = fair(self.service.try_next()) {
            touch(request.body().data());
            let _ = (request.body().attributes(), request.body().tensor().cloned(), request.remaining());
            request.progress(0.5, "half");
            let data = request.body().data().to_vec();
            let _ = request.send(Payload::raw(b"item"), NOW);
            let _ = request.next(NOW);
            match data.first() {
                Some(1) => request.fail(Status::new(Code::Internal, "as it was asked to")),
                Some(2) => drop(request),
                _ => drop(request.reply(Payload::raw(&data))),
            }
        }
    }

    /// Answers a client with it all.
    fn tell_client(&self, messages: &[&[u8]]) {
        let options = ClientOptions { address: Some("inproc://client".into()), channel: options() };
        let client = self.scene.domain.client("fuzzed", "^1", &options).unwrap();
        std::thread::scope(|scope| {
            let answering = scope.spawn(|| {
                let channel = self.listener.accept(SOON).unwrap();
                touch(&channel.receive(SOON).unwrap().data);
                // The first is taken for the welcome.
                for message in messages {
                    fair(channel.send(message, SOON));
                }
            });
            let timeout = Some(Duration::from_millis(1));
            let call = CallOptions { timeout, input: true, stream: true };
            if let Ok(mut call) = client.start("method", Payload::raw(b"x"), &call) {
                let _ = call.send(Payload::raw(b"y"), NOW);
                while let Ok(Some(item)) = call.next(timeout) {
                    touch(item.data());
                    let _ = item.attributes();
                }
                let _ = (call.progress(), call.try_result().is_ok());
            }
            answering.join().unwrap();
        });
    }
}

impl Target for Calls {
    fn run(&mut self, data: &[u8]) {
        let mut input = Input::new(data);
        let choice = input.byte();
        // Each message after its length in one byte; the last is what is left.
        let (mut rest, mut messages) = (input.rest(), Vec::new());
        while let Some((length, after)) = rest.split_first() {
            let (message, after) = after.split_at(after.len().min(usize::from(*length)));
            messages.push(message);
            rest = after;
        }
        let welcome = [&[2u8; 1][..], &[0; 15], br#"{"service":"fuzzed","version":"1.0.0"}"#].concat();
        if choice & 1 == 0 {
            self.tell_service(&messages);
        } else {
            if choice & 2 == 0 {
                messages.insert(0, &welcome);
            }
            self.tell_client(&messages);
        }
    }
}
