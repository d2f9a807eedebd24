//! Used by `cargo xtask dist`: `axonic` as packed, and `next`, the same with another layout version.
//! Each of them makes a domain that a process with the other must refuse, and keeps working in it.

use std::process::Command;
use std::time::Duration;

macro_rules! make_and_be_refused {
    ($mine:ident, $domain:literal, $others:literal) => {{
        use $mine::{Domain, PublisherOptions, SubscriberOptions};
        let ax = Domain::open($domain).unwrap();
        let itself = std::env::current_exe().unwrap();
        assert!(Command::new(itself).args([$others, $domain]).status().unwrap().success());
        let mut subscriber = ax.subscriber("t", &SubscriberOptions::default()).unwrap();
        let mut publisher = ax.publisher("t", &PublisherOptions::default()).unwrap();
        publisher.publish(b"undisturbed").unwrap();
        let message = subscriber.receive(Some(Duration::from_secs(1))).unwrap();
        assert_eq!(message.data(), b"undisturbed");
    }};
}

macro_rules! must_refuse {
    ($mine:ident, $domain:expr) => {{
        let error = $mine::Domain::open($domain).err().expect("a domain of another layout version");
        assert_eq!(error.kind(), $mine::ErrorKind::LayoutMismatch, "{error}");
        println!("{error}");
    }};
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["axonic", domain] => must_refuse!(axonic, domain),
        ["next", domain] => must_refuse!(next, domain),
        _ => {
            assert_ne!(axonic::LAYOUT_VERSION, next::LAYOUT_VERSION);
            make_and_be_refused!(axonic, "old", "next");
            make_and_be_refused!(next, "new", "axonic");
        }
    }
}
