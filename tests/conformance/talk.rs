//! A conversation between every two languages, asyncio among them, in which everything that queues can do occurs once:
//! several at once, priorities, delays, times to live, ids for putting once, leases that are changed, progress, what is
//! given back for later, and looking into a queue, taking away and redriving.

use crate::jobs::{said, with_each};
use crate::peers::{Peer, Running};
use crate::{left_behind, place};

/// What who takes, settles and looks says of what the other puts. Message 4 is too late for anybody, message 6 is for
/// much later, and message 9 has the id of message 5.
const TOLD: [&str; 9] = [
    "peek 3 0 1 2 5",
    "many 3 0 1",
    "many 2 5",
    "dead 1 rejected 'as agreed'",
    "dead 4 expired ''",
    "redriven 2",
    // Ready, for later, held, dead; and how many were put.
    "stats 0 1 1 1 9",
    "purged 1 1",
    "fetched",
];

#[test]
fn every_pair_talks_about_everything() {
    with_each(|bringer, fetchers| {
        let place = place();
        let start = |peer: &Peer, verb, queue| peer.start(place.path(), &[verb, "pairs", queue]);
        let bringing: Vec<_> =
            fetchers.iter().map(|fetcher| start(bringer, "bring", fetcher.language)).collect();
        // All is there before somebody comes to fetch it.
        let talking: Vec<_> = fetchers
            .iter()
            .zip(bringing)
            .map(|(fetcher, mut bringing)| {
                let brought = bringing.expect_line("brought 3 0 1");
                let pair = brought.map(|()| (bringing, start(fetcher, "fetch", fetcher.language)));
                (fetcher.language, pair)
            })
            .collect();
        let outcomes = talking
            .into_iter()
            .map(|(queue, pair)| (queue, pair.and_then(|(bringing, fetching)| talked(bringing, fetching))))
            .collect();
        left_behind(&place).expect("empty queues go with their last handle");
        outcomes
    });
}

fn talked(bringing: Running, fetching: Running) -> Result<(), String> {
    let told = fetching.lines()?;
    if told != TOLD {
        return Err(format!("who fetches said {told:?}"));
    }
    said(bringing, "answered")
}
