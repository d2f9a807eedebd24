//! Channels over every transport: one list of behaviours, run over a table of transports. What a transport cannot do its
//! [`axonic::Can`] says, and the behaviours read it.

mod common;
#[path = "channel/ends.rs"]
mod ends;
#[path = "channel/ground.rs"]
mod ground;
#[path = "channel/listeners.rs"]
mod listeners;
#[path = "channel/messages.rs"]
mod messages;
#[path = "channel/room.rs"]
mod room;

use ground::Transport;

/// A test of each behaviour for a transport, in a module with its name.
macro_rules! behaviours {
    ($name:ident $transport:ident: $($room:ident: $($behaviour:ident),*;)*) => {
        $($(
            #[test]
            fn $behaviour() {
                crate::$room::$behaviour(&crate::ground::Ground::new(
                    crate::$transport,
                    concat!(stringify!($name), "::", stringify!($behaviour)),
                ))
            }
        )*)*
    };
}

/// The table: each transport with what it is to the suite.
macro_rules! transports {
    ($($name:ident = $constant:ident: $transport:expr;)*) => {
        $(
            const $constant: Transport = $transport;
            mod $name {
                behaviours! { $name $constant:
                    messages: sizes, order, send_many, several_threads, stats, limits;
                    room: tries, wait_sets, timeouts, back_pressure, waits_for_room, watched_room;
                    ends: half_close, end_is_told, sent_before_leaving, kept_and_left, dropping_is_ending, closing_ends_waits, domains_close, killed,
                        killed_while_sending, left_by_exec, forked, outlived_by_a_child;
                    listeners: refusals, comings_and_goings, accepts;
                }
            }
        )*
    };
}

transports! {
    inproc = INPROC: Transport { address: |_| Some("inproc://jobs".into()), across: false };
    seqpacket = SEQPACKET: Transport {
        address: |ground| Some(format!("unix://{}/s?type=seqpacket", ground.files().display())),
        across: true,
    };
    datagram = DATAGRAM: Transport {
        address: |ground| Some(format!("unix://{}/s?type=datagram", ground.files().display())),
        across: true,
    };
    udp = UDP: Transport { address: |_| Some("udp://127.0.0.1:0".into()), across: true };
    ws = WS: Transport { address: |_| Some("ws://127.0.0.1:0/chat".into()), across: true };
    shm = SHM: Transport { address: |_| Some("shm://test/jobs".into()), across: true };
    pipe = PIPE: Transport { address: |_| None, across: true };
    fifo = FIFO: Transport { address: |ground| Some(format!("fifo://{}/f", ground.files().display())), across: true };
    unix = UNIX: Transport { address: |ground| Some(format!("unix://{}/s", ground.files().display())), across: true };
    unix_checked = CHECKED: Transport {
        address: |ground| Some(format!("unix://@{}?checksum=crc32c", ground.files().display())),
        across: true,
    };
    tcp = TCP: Transport { address: |_| Some("tcp://127.0.0.1:0".into()), across: true };
    tls = TLS: Transport {
        address: |ground| Some(format!("tcp://127.0.0.1:0?{}", ground.certificates())),
        across: true,
    };
}
