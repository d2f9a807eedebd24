//! Channels in event loops: what their descriptors tell of room.

mod common;

use axonic::{ChannelOptions, ErrorKind};
use common::Place;
use std::time::Duration;

const SECOND: Option<Duration> = Some(Duration::from_secs(1));

#[test]
fn whoever_watches_hears_of_room_after_there_was_none() {
    let place = Place::new();
    let ax = place.open();
    let options = ChannelOptions::default();
    let listener = ax.listen("shm://test/jobs", &options).unwrap();
    std::thread::scope(|scope| {
        let there = scope.spawn(|| listener.accept(SECOND).unwrap());
        let here = ax.connect("shm://test/jobs", &options, SECOND).unwrap();
        let there = there.join().unwrap();
        let fd = here.send_fd().unwrap();
        let full = loop {
            if let Err(e) = here.try_send(&[7; 10_000]) {
                break e;
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        assert!(!common::wait_readable(fd, Duration::ZERO), "there is no room");
        while there.try_receive().unwrap().is_some() {}
        assert!(common::wait_readable(fd, Duration::from_secs(5)));
        here.try_send(&vec![8; 1 << 20]).unwrap();
        assert!(!here.try_flush().unwrap() && !common::wait_readable(fd, Duration::ZERO));
        scope.spawn(move || assert_eq!(there.receive(SECOND).unwrap().data.len(), 1 << 20));
        while !here.try_flush().unwrap() {
            assert!(common::wait_readable(fd, Duration::from_secs(5)));
        }
    });
}
