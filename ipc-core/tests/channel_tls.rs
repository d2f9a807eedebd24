//! What is special to channels over TLS: who is let in, what is wrong with whose files, and what comes of a connection that
//! somebody between has a hand in. Peers of another make are in `tests/conformance`.

mod common;

use axonic::log::{self, Record};
use axonic::{
    Channel, ChannelOptions, ClientOptions, Domain, ErrorKind, Listener, Payload, ServiceOptions, Wait,
};
use common::certificates::{Authority, HERE, Kind};
use common::{Place, expect, readable, wait_readable};
use std::io::{ErrorKind as IoKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const SOON: Option<Duration> = Some(Duration::from_secs(20));
const MOMENT: Option<Duration> = Some(Duration::from_millis(100));

/// They sleep at once.
fn options() -> ChannelOptions {
    ChannelOptions { wait: Wait::Block, ..Default::default() }
}

/// An authority, and a domain in which somebody listens who wants to know who connects.
struct Ground {
    authority: Authority,
    domain: Domain,
    _place: Place,
}

impl Ground {
    fn new() -> Ground {
        let place = Place::new();
        Ground { authority: Authority::new(), domain: place.open(), _place: place }
    }

    fn listen(&self, settings: &str) -> Listener {
        self.domain.listen(&format!("tcp://127.0.0.1:0?{settings}"), &options()).unwrap()
    }

    fn connect(&self, host: &str, settings: &str) -> axonic::Result<Channel> {
        self.domain.connect(&format!("tcp://{host}?{settings}"), &options(), SOON)
    }

    /// Who connects so, and what is accepted.
    fn pair(&self, listener: &Listener, settings: &str) -> (Channel, Channel) {
        std::thread::scope(|scope| {
            let accepted = scope.spawn(|| listener.accept(SOON).unwrap());
            (self.connect(&host(listener), settings).unwrap(), accepted.join().unwrap())
        })
    }

    /// What becomes of whoever connects so and is not let in, and of what it does then.
    fn not_let_in(&self, listener: &Listener, settings: &str) -> axonic::Result<Channel> {
        self.refused_at(listener, &host(listener), settings)
    }

    fn refused_at(&self, listener: &Listener, host: &str, settings: &str) -> axonic::Result<Channel> {
        std::thread::scope(|scope| {
            let accepting = scope.spawn(|| listener.accept(Some(Duration::from_millis(500))));
            let connected = self.connect(host, settings);
            let accepted = accepting.join().unwrap();
            expect(accepted, ErrorKind::Timeout, &["nobody connected"]);
            connected
        })
    }
}

/// `host:port` of a listener.
fn host(listener: &Listener) -> String {
    listener.address().strip_prefix("tcp://").unwrap().split('?').next().unwrap().into()
}

fn echo(one: &Channel, other: &Channel, bytes: &[u8]) {
    std::thread::scope(|scope| {
        scope.spawn(|| one.send(bytes, SOON).unwrap());
        assert!(other.receive(SOON).unwrap().data == bytes);
    });
    other.send(b"", SOON).unwrap();
    assert_eq!(one.receive(SOON).unwrap().data, b"");
}

#[test]
fn who_has_a_certificate_of_the_authority_is_let_in() {
    let ground = Ground::new();
    let Ground { authority, .. } = &ground;
    let mutual = ground.listen(&authority.mutual("listener"));
    let (one, other) = ground.pair(&mutual, &authority.mutual("client"));
    assert_eq!(other.peer().address.as_deref().map(|address| &address[..10]), Some("127.0.0.1:"));
    assert_eq!(one.peer().address, Some(host(&mutual)));
    assert!(other.can().half_close && other.can().messages && !other.can().credentials);
    for length in [0, 1, 16_383, 16_384, 16_385, 5 << 20] {
        echo(&one, &other, &vec![7; length]);
    }
    // Who listens need not want to know.
    let open = ground.listen(&authority.settings("open", HERE, Kind::Good));
    let (one, other) = ground.pair(&open, &authority.trust());
    echo(&one, &other, b"nobody in particular");
    // What else addresses have is the same.
    let raw = ground.listen(&format!("framing=none&keepalive=5&{}", authority.mutual("listener")));
    let (one, other) = ground.pair(&raw, &format!("framing=none&{}", authority.mutual("client")));
    one.send(b"GET /", SOON).unwrap();
    assert_eq!(other.receive(SOON).unwrap().data, b"GET /");
    let checked = ground.listen(&format!("checksum=crc32c&{}", authority.mutual("listener")));
    let (one, other) = ground.pair(&checked, &authority.mutual("client"));
    echo(&one, &other, &[1; 100_000]);
}

static HEARD: Mutex<Vec<Record>> = Mutex::new(Vec::new());

fn hear(record: Record) {
    HEARD.lock().unwrap().push(record);
}

/// Whether a listener has told this of somebody it has not let in.
fn was_told(listener: &Listener, why: &str) -> bool {
    let begins = format!("listener '{}': somebody was not let in: 127.0.0.1:", listener.address());
    HEARD.lock().unwrap().iter().any(|heard| heard.text.starts_with(&begins) && heard.text.contains(why))
}

/// Who is not let in hears why, and so does who listens; nobody else is disturbed.
#[test]
fn clients_that_are_not_trusted_are_refused() {
    let ground = Ground::new();
    let (authority, foreign) = (&ground.authority, Authority::new());
    let listener = ground.listen(&authority.mutual("listener"));
    let (calm, good) = ground.pair(&listener, &authority.mutual("client"));
    let trust = authority.trust();
    let with = |who: &str, kind| format!("{}&{trust}", authority.settings(who, HERE, kind));
    log::listen(hear).unwrap();
    let foreigner = format!("{}&{trust}", foreign.settings("f", HERE, Kind::Good));
    for (what, settings, says, told) in [
        ("nobody", trust.clone(), "wants to know who connects", "give its address cert= and key="),
        ("foreign", foreigner, "does not trust", "no authority in ca= has signed it"),
        (
            "expired",
            with("expired", Kind::Expired),
            "CertificateExpired",
            "who connected is not trusted: it has expired",
        ),
        ("not yet", with("early", Kind::NotYetValid), "does not trust", "not valid yet"),
        ("a server's", with("server", Kind::ServersOnly), "does not trust", "InvalidPurpose"),
    ] {
        println!("{what}");
        let channel = ground.not_let_in(&listener, &settings).unwrap();
        expect(channel.receive(SOON), ErrorKind::PermissionDenied, &[says, channel.address()]);
        expect(channel.receive(SOON), ErrorKind::PermissionDenied, &[says]);
        expect(channel.send(b"let me in", SOON), ErrorKind::PermissionDenied, &[says]);
        // The same for one that only sends.
        let channel = ground.not_let_in(&listener, &settings).unwrap();
        let refused = (0..100).try_for_each(|_| channel.send(&[0; 1000], SOON));
        expect(refused, ErrorKind::PermissionDenied, &[says]);
        echo(&calm, &good, what.as_bytes());
        assert!(was_told(&listener, told), "{told}: {:?}", HEARD.lock().unwrap());
    }
    ground.pair(&listener, &authority.mutual("client"));
}

/// Who connects finds out with whom before it says anything.
#[test]
fn servers_that_are_not_trusted_are_refused() {
    let ground = Ground::new();
    let (authority, foreign) = (&ground.authority, Authority::new());
    let listen = |names, kind| ground.listen(&authority.settings("listener", names, kind));
    let trust = authority.trust();
    let at_home = listen(HERE, Kind::Good);
    let unknown = ground.not_let_in(&at_home, &foreign.trust());
    expect(unknown, ErrorKind::PermissionDenied, &["who listens there", "no authority in ca="]);
    let expired = ground.not_let_in(&listen(HERE, Kind::Expired), &trust);
    expect(expired, ErrorKind::PermissionDenied, &["has expired; make a new one"]);
    let early = ground.not_let_in(&listen(HERE, Kind::NotYetValid), &trust);
    expect(early, ErrorKind::PermissionDenied, &["not valid yet", "clocks"]);
    // Names: an address by number is for a certificate with that number, or says which name is meant.
    let named = listen(&["jobs.example"], Kind::Good);
    let other = ground.not_let_in(&named, &trust);
    expect(other, ErrorKind::PermissionDenied, &["not for '127.0.0.1'", "jobs.example", "host="]);
    let other = ground.not_let_in(&named, &format!("{trust}&host=mail.example"));
    expect(other, ErrorKind::PermissionDenied, &["not for 'mail.example'"]);
    let (one, other) = ground.pair(&named, &format!("{trust}&host=jobs.example"));
    echo(&one, &other, b"by name");
    let port = host(&at_home).replace("127.0.0.1", "localhost");
    std::thread::scope(|scope| {
        scope.spawn(|| at_home.accept(SOON).unwrap());
        ground.connect(&port, &trust).unwrap();
    });
}

/// What is missing or wrong is named with its setting, its file, and what to do.
#[test]
fn files_that_are_wrong_are_named() {
    let ground = Ground::new();
    let authority = &ground.authority;
    let good = authority.settings("good", HERE, Kind::Good);
    authority.settings("other", HERE, Kind::Good);
    let file = |name: &str| authority.path().join(name).display().to_string();
    std::fs::write(file("torn"), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(file("false"), "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(file("large"), vec![b'x'; 2 << 20]).unwrap();
    let [cert, key, other] = ["good.pem", "good.key", "other.key"].map(file);
    let ca = authority.trust();
    let listen = |settings: &str| ground.domain.listen(&format!("tcp://127.0.0.1:0?{settings}"), &options());
    let connect = |settings: &str| ground.connect("127.0.0.1:1", settings);
    let wrong = [
        (format!("cert={cert}&{ca}"), "give key= too".into()),
        (format!("key={key}&{ca}"), "give cert= too".into()),
        (format!("cert={}&key={key}&{ca}", file("none")), format!("cert={} cannot be read", file("none"))),
        (format!("cert={cert}&key={}&{ca}", file("none")), format!("key={} cannot be read", file("none"))),
        (format!("{good}&ca={}", file("none")), format!("ca={} cannot be read", file("none"))),
        (format!("cert={key}&key={key}&{ca}"), format!("cert={key} holds no certificate")),
        (format!("cert={cert}&key={cert}&{ca}"), format!("key={cert} holds no key")),
        (format!("cert={cert}&key={other}&{ca}"), format!("key={other} is not the key of the certificate")),
        (format!("{good}&ca={key}"), format!("ca={key} holds no certificate")),
        (format!("{good}&ca={}", file("torn")), format!("ca={} is no PEM file", file("torn"))),
        (format!("{good}&ca={}", file("false")), format!("ca={} holds no certificate", file("false"))),
        (format!("{good}&ca={}", file("large")), "is larger than".into()),
        (format!("{good}&ca="), "ca= cannot be read".into()),
    ];
    for (settings, says) in &wrong {
        println!("{settings}");
        expect(listen(settings), ErrorKind::InvalidArgument, &[says, "tcp://127.0.0.1:0"]);
        expect(connect(settings), ErrorKind::InvalidArgument, &[says, "tcp://127.0.0.1:1"]);
    }
    expect(listen(&ca), ErrorKind::InvalidArgument, &["give cert= and key="]);
    expect(
        listen("host=here"),
        ErrorKind::InvalidArgument,
        &["host= is for who connects", "cert, key and ca"],
    );
    expect(connect(&good), ErrorKind::InvalidArgument, &["give ca="]);
    expect(connect("host=here"), ErrorKind::InvalidArgument, &["give ca="]);
    expect(connect(&format!("{ca}&host=a b")), ErrorKind::InvalidArgument, &["'a b' is no name", "host="]);
    expect(connect(&format!("{ca}&verify=none")), ErrorKind::InvalidArgument, &["unknown setting 'verify'"]);
    // With all of them right, nobody listens there.
    expect(connect(&format!("{good}&{ca}")), ErrorKind::NotFound, &["nobody listens"]);
}

/// Those who speak no TLS, and those who speak it where nobody does.
#[test]
fn strangers_are_told_apart() {
    let ground = Ground::new();
    let secured = ground.listen(&ground.authority.mutual("listener"));
    let mutual = ground.authority.mutual("client");
    let plain = ground.not_let_in(&secured, "").unwrap();
    expect(plain.receive(SOON), ErrorKind::Corrupt, &["speaks TLS, and this one does not", "ca"]);
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 255, 255, 1, 255, 255, 255], &[0; 100_000]] {
        let mut stranger = TcpStream::connect(host(&secured)).unwrap();
        let _ = stranger.write_all(bytes);
        expect(secured.accept(MOMENT), ErrorKind::Timeout, &["nobody connected"]);
        stranger.set_read_timeout(SOON).unwrap();
        let mut got = Vec::new();
        let _ = stranger.read_to_end(&mut got);
        assert!(got.is_empty() || got.starts_with(&[0x15, 3]), "{got:?}");
    }
    drop(TcpStream::connect(host(&secured)).unwrap());
    expect(secured.accept(MOMENT), ErrorKind::Timeout, &["nobody connected"]);
    ground.pair(&secured, &mutual);
    let open = ground.domain.listen("tcp://127.0.0.1:0", &options()).unwrap();
    std::thread::scope(|scope| {
        let connecting = scope.spawn(|| ground.connect(&host(&open), &mutual));
        let channel = open.accept(SOON).unwrap();
        expect(channel.receive(SOON), ErrorKind::Corrupt, &["speaks TLS, and this one does not", "cert"]);
        drop(channel);
        expect(connecting.join().unwrap(), ErrorKind::Disconnected, &["see whether it speaks TLS"]);
    });
    // Who listens is not always what it should be.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = server.local_addr().unwrap().to_string();
    std::thread::scope(|scope| {
        scope.spawn(|| server.accept().unwrap().0.write_all(b"220 mail ready\r\n").unwrap());
        expect(ground.connect(&place, &mutual), ErrorKind::Corrupt, &["does not speak TLS"]);
    });
    let silent = format!("tcp://{place}?{mutual}");
    let started = Instant::now();
    let refused = ground.domain.connect(&silent, &options(), MOMENT);
    expect(refused, ErrorKind::Timeout, &["has not answered the handshake", "TLS"]);
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// Those who do not come to the point hold nobody up, and there are not more of them than there may be.
#[test]
fn slow_handshakes_hold_nobody_up() {
    let ground = Ground::new();
    let listener = ground.listen(&ground.authority.mutual("listener"));
    let mutual = ground.authority.mutual("client");
    let mut slow: Vec<TcpStream> = (0..150)
        .map(|i| {
            let mut stream = TcpStream::connect(host(&listener)).unwrap();
            stream.write_all(&[0x16, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc][..i % 10]).unwrap();
            stream
        })
        .collect();
    let started = Instant::now();
    for _ in 0..5 {
        let (one, other) = ground.pair(&listener, &mutual);
        echo(&one, &other, b"quick");
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let is_closed = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).unwrap();
        !matches!(stream.read(&mut [0]), Err(e) if e.kind() == IoKind::WouldBlock)
    };
    let open = slow.iter_mut().map(|stream| !is_closed(stream)).filter(|open| *open).count();
    assert!((1..=64).contains(&open), "{open} handshakes go on");
}

/// Somebody between two ends, who passes on what is said until told otherwise.
struct Between {
    client: TcpStream,
    server: TcpStream,
}

/// A pair of channels with somebody between them.
fn intercepted(ground: &Ground) -> (Channel, Channel, Between) {
    let listener = ground.listen(&ground.authority.mutual("listener"));
    let between = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = between.local_addr().unwrap().to_string();
    std::thread::scope(|scope| {
        let accepted = scope.spawn(|| listener.accept(SOON).unwrap());
        let connected = scope.spawn(|| ground.connect(&place, &ground.authority.mutual("client")).unwrap());
        let client = between.accept().unwrap().0;
        let server = TcpStream::connect(host(&listener)).unwrap();
        let between = Between { client, server };
        while !(accepted.is_finished() && connected.is_finished()) {
            between.pass(Duration::from_millis(5));
        }
        (connected.join().unwrap(), accepted.join().unwrap(), between)
    })
}

impl Between {
    /// Passes on what comes within this time.
    fn pass(&self, time: Duration) {
        for (from, to) in [(&self.client, &self.server), (&self.server, &self.client)] {
            self.take(from, time).iter().for_each(|bytes| (&mut &*to).write_all(bytes).unwrap());
        }
    }

    /// What comes within this time.
    fn take(&self, mut from: &TcpStream, time: Duration) -> Option<Vec<u8>> {
        from.set_read_timeout(Some(time)).unwrap();
        let mut bytes = vec![0; 100_000];
        match from.read(&mut bytes) {
            Ok(n) => Some(bytes[..n].to_vec()),
            Err(_) => None,
        }
    }
}

/// An end that nobody has said is told from one that was.
#[test]
fn connections_that_are_cut_are_told_from_ends() {
    let ground = Ground::new();
    for cut_at in [0, 3, 60] {
        let (one, other, between) = intercepted(&ground);
        one.send(b"all of it", SOON).unwrap();
        between.pass(Duration::from_millis(100));
        assert_eq!(other.receive(SOON).unwrap().data, b"all of it");
        one.send(&[7; 100], SOON).unwrap();
        let bytes = between.take(&between.client, SOON.unwrap()).unwrap();
        (&between.server).write_all(&bytes[..cut_at]).unwrap();
        between.server.shutdown(Shutdown::Both).unwrap();
        for _ in 0..2 {
            expect(
                other.receive(SOON),
                ErrorKind::Disconnected,
                &["has not said that it would", "connect anew"],
            );
        }
    }
    let (one, other, between) = intercepted(&ground);
    one.send(b"last", SOON).unwrap();
    one.close();
    between.pass(Duration::from_millis(100));
    between.pass(Duration::from_millis(100));
    assert_eq!(other.receive(SOON).unwrap().data, b"last");
    expect(other.receive(SOON), ErrorKind::Disconnected, &["everything it sent was received"]);
}

/// Bytes without frames that are not all sent when their end is closed do not look like all there were.
#[test]
fn a_part_does_not_look_like_the_whole() {
    let ground = Ground::new();
    let listener = ground.listen(&format!("framing=none&{}", ground.authority.mutual("listener")));
    let client = format!("framing=none&{}", ground.authority.mutual("client"));
    let (one, other) = ground.pair(&listener, &client);
    let whole = vec![7; 16 << 20];
    one.try_send(&whole).unwrap();
    one.close();
    let mut got = 0;
    let end = loop {
        match other.receive(SOON) {
            Ok(message) => got += message.data.len(),
            end => break end,
        }
    };
    assert!(got < whole.len());
    expect(end, ErrorKind::Disconnected, &["has not said that it would", "connect anew"]);
}

/// What was changed on its way is not received, and both ends are told.
#[test]
fn what_was_changed_on_its_way_is_refused() {
    let ground = Ground::new();
    let (one, other, between) = intercepted(&ground);
    between.pass(Duration::from_millis(20));
    one.send(b"pay 10", SOON).unwrap();
    let mut bytes = between.take(&between.client, SOON.unwrap()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    (&between.server).write_all(&bytes).unwrap();
    for _ in 0..2 {
        expect(other.receive(SOON), ErrorKind::Corrupt, &["not what was sent", "connect anew"]);
    }
    expect(other.send(b"done", SOON), ErrorKind::Corrupt, &["not what was sent"]);
    between.pass(Duration::from_millis(100));
    expect(one.receive(SOON), ErrorKind::Corrupt, &["BadRecordMac", "see what it says itself"]);
}

/// A sender looks what the other end takes, and may read more than that: who watches for messages is told of it.
#[test]
fn what_a_sender_has_read_is_told() {
    let ground = Ground::new();
    let listener = ground.listen(&ground.authority.mutual("listener"));
    let (one, other) = ground.pair(&listener, &ground.authority.mutual("client"));
    let fd = one.fd().unwrap();
    assert!(one.try_receive().unwrap().is_none() && !readable(fd));
    other.send(b"a message", SOON).unwrap();
    assert!(wait_readable(fd, SOON.unwrap()));
    one.send(b"which finds it", SOON).unwrap();
    assert!(readable(fd), "it was read, and nobody says so");
    assert_eq!(one.try_receive().unwrap().unwrap().data, b"a message");
    assert!(one.try_receive().unwrap().is_none() && !readable(fd));
}

/// And who sleeps is woken.
#[test]
fn what_a_sender_has_read_wakes_who_sleeps() {
    let ground = Ground::new();
    let listener = ground.listen(&ground.authority.mutual("listener"));
    let mutual = ground.authority.mutual("client");
    for _ in 0..40 {
        let (one, other) = ground.pair(&listener, &mutual);
        std::thread::scope(|scope| {
            // What is there when its time is up is received, too, but nobody woke it.
            let started = Instant::now();
            let sleeping = scope.spawn(|| one.receive(SOON));
            std::thread::sleep(Duration::from_millis(2));
            scope.spawn(|| (0..2000).for_each(|_| drop(one.try_send(b"looks"))));
            other.send(b"a message", SOON).unwrap();
            assert_eq!(sleeping.join().unwrap().unwrap().data, b"a message");
            assert!(started.elapsed() < Duration::from_secs(10));
        });
    }
}

/// A service has the same promise over it, whatever is spoken.
#[test]
fn services_listen_with_it() {
    let ground = Ground::new();
    let service = ground.domain.service("search", "1.2.0", &ServiceOptions::default()).unwrap();
    let there = service.listen(&format!("tcp://127.0.0.1:0?{}", ground.authority.mutual("service"))).unwrap();
    let mutual = ground.authority.mutual("client");
    let place = there.split('?').next().unwrap();
    let client = |settings: &str| {
        let options = ClientOptions { address: Some(format!("{place}?{settings}")), ..Default::default() };
        ground.domain.client("search", "*", &options).unwrap()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while let Ok(request) = service.next(None) {
                let data = request.body().data().to_vec();
                request.reply(Payload::json(&data)).unwrap();
            }
        });
        for settings in [mutual.clone(), format!("{mutual}&protocol=json-rpc")] {
            let client = client(&settings);
            for i in 0..100 {
                let text = format!("[{i}]");
                let result = client.call("echo", Payload::json(text.as_bytes()), SOON).unwrap();
                assert_eq!(result.data(), text.as_bytes());
            }
        }
        let nobody = client(&ground.authority.trust());
        let refused = nobody.call("echo", Payload::json(b"[]"), SOON);
        expect(refused, ErrorKind::PermissionDenied, &["wants to know who connects", place]);
        service.close();
    });
}
