//! What is received of who has gone.

use super::{Ground, SOON};
use axonic::{ChannelOptions, ErrorKind};

/// Also what is still on its way when the other end hears of it at last: more than fits into its memory for what comes.
#[test]
fn what_was_sent_before_closing_is_received_however_late() {
    let ground = Ground::new();
    for settings in ["", "?checksum=crc32c"] {
        let listener = ground.listen(&format!("tcp://127.0.0.1:0{settings}"));
        let connect = || ground.domain.connect(listener.address(), &ChannelOptions::default(), SOON).unwrap();
        let channel = connect();
        (0..50).for_each(|i| channel.send(&[i; 10_000], SOON).unwrap());
        channel.close();
        let accepted = listener.accept(SOON).unwrap();
        for i in 0..50 {
            assert_eq!(accepted.receive(SOON).unwrap().data, [i; 10_000]);
        }
        let ended = accepted.receive(SOON).unwrap_err();
        assert!(ended.kind() == ErrorKind::Disconnected && ended.message().contains("everything"), "{ended}");
        // Who has not gone is told what this end takes all the same.
        let options = ChannelOptions { max_message: 1000, ..Default::default() };
        let small = ground.domain.listen(&format!("tcp://127.0.0.1:0{settings}"), &options).unwrap();
        let channel = ground.domain.connect(small.address(), &ChannelOptions::default(), SOON).unwrap();
        channel.send(b"first", SOON).unwrap();
        let accepted = small.accept(SOON).unwrap();
        assert_eq!(accepted.receive(SOON).unwrap().data, b"first");
        let heard = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            channel.send(&[0; 2000], SOON).is_err_and(|e| e.kind() == ErrorKind::TooLarge)
        });
        assert!(heard);
    }
}
