//! Peers of two languages in two containers that share nothing but the directory of the domain.

use crate::common::child;
use crate::common::container::Container;
use crate::common::random::Random;
use crate::peers::Peer;
use crate::table::LANGUAGES;
use crate::{Place, seed_of_now};

const SIZES: &str = "64,5000,100000";

/// Each language receives once, from the one so many places on.
fn talk(steps: usize) {
    let place = Place::new();
    let [here, there] = ["here", "there"].map(|name| Container::new(place.directory.path(), name));
    if !here.is_permitted() {
        return child::skip("containers: namespaces for mounts and pids of our own are not allowed here");
    }
    let peers = Peer::all();
    for (i, receiver) in peers.iter().enumerate() {
        let sender = &peers[(i + steps) % peers.len()];
        let words = |role, mode| [role, "chaos", "t", mode, SIZES, "200"];
        let mut listening =
            receiver.start_with(here.path(), &words("recv", "borrow"), |command| here.hold(command));
        listening.expect_line("ready").unwrap();
        let sending = sender.start_with(there.path(), &words("send", "loan"), |command| there.hold(command));
        let pair = format!("{} to {}", sender.language, receiver.language);
        assert_eq!(sending.finish().as_deref(), Ok("sent 600"), "{pair}");
        let received = listening.finish();
        assert!(received.as_ref().is_ok_and(|said| said.starts_with("ok 600 ")), "{pair}: {received:?}");
    }
    place.end();
}

#[test]
fn every_language_talks_to_another_container() {
    talk(1 + Random(seed_of_now()).below(LANGUAGES.len() as u64 - 1) as usize);
}

#[test]
#[ignore = "make chaos"]
fn every_pair_of_languages_talks_between_containers() {
    (0..LANGUAGES.len()).for_each(talk);
}
