//! Addresses of channels: `scheme://place?setting=value`.
//!
//! What only one transport has (a socket's type, keepalive) is set in the address, so that a command
//! line, a configuration and a call in any language say it in one way.

use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `inproc://name`: within one process.
    Inproc,
    /// `shm://domain/name`: two rings in shared memory.
    Shm,
    /// `pipe:3,4`: descriptors this process has inherited or opened, to read from and to write to.
    Pipe,
    /// `fifo:///path`: named pipes.
    Fifo,
    /// `unix:///path`, or `unix:@name` without a file: Unix sockets.
    Unix,
    /// `tcp://host:port`.
    Tcp,
    /// `udp://host:port`.
    Udp,
    /// `ws://host:port/path`: WebSocket.
    Ws,
}

/// Every scheme with its name and the settings its addresses may have.
const SCHEMES: &[(Scheme, &str, &[&str])] = &[
    (Scheme::Inproc, "inproc", &[]),
    (Scheme::Shm, "shm", &[]),
    (Scheme::Pipe, "pipe", &["framing", "checksum", "protocol"]),
    (Scheme::Fifo, "fifo", &["framing", "checksum"]),
    (Scheme::Unix, "unix", &["type", "backlog", "framing", "checksum", "protocol"]),
    (Scheme::Tcp, "tcp", TCP),
    (Scheme::Udp, "udp", &[]),
    (Scheme::Ws, "ws", &["nodelay", "keepalive", "backlog", "origin"]),
];

const TCP: &[&str] =
    &["nodelay", "keepalive", "backlog", "framing", "checksum", "protocol", "cert", "key", "ca", "host"];

impl Scheme {
    /// Its name in addresses.
    pub fn name(self) -> &'static str {
        SCHEMES.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    fn settings(self) -> &'static [&'static str] {
        SCHEMES.iter().find(|row| row.0 == self).map_or(&[], |row| row.2)
    }
}

/// An address that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    scheme: Scheme,
    place: String,
    settings: Vec<(String, String)>,
}

impl Address {
    /// How bytes travel.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// What follows the scheme, without settings: a path, `host:port`, a name.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The same address of another place: with the port that the system chose, say.
    pub fn with_place(&self, place: impl Into<String>) -> Address {
        Address { place: place.into(), ..self.clone() }
    }

    /// The value of a setting.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A setting that is one of several words; the first is the default.
    pub fn word<'a>(&'a self, name: &str, words: &[&'a str]) -> Result<&'a str> {
        match self.setting(name) {
            None => Ok(words[0]),
            Some(value) if words.contains(&value) => Ok(value),
            Some(value) => Err(self.refuse(format!("{name}={value}; it is one of {}", words.join(", ")))),
        }
    }

    /// A setting that is a number.
    pub fn number(&self, name: &str, default: u64) -> Result<u64> {
        match self.setting(name).map(|value| (value, value.parse())) {
            None => Ok(default),
            Some((_, Ok(number))) => Ok(number),
            Some((value, Err(_))) => Err(self.refuse(format!("{name}={value}; it is a whole number"))),
        }
    }

    /// A setting that is a time in seconds.
    pub fn seconds(&self, name: &str) -> Result<Option<Duration>> {
        let Some(value) = self.setting(name) else { return Ok(None) };
        match value.parse::<f64>().ok().and_then(|s| Duration::try_from_secs_f64(s).ok()) {
            Some(time) if !time.is_zero() => Ok(Some(time)),
            _ => Err(self.refuse(format!("{name}={value}; it is a time in seconds, more than 0"))),
        }
    }

    /// The error of something in an address that cannot be.
    pub fn refuse(&self, why: impl fmt::Display) -> Error {
        refuse(&self.to_string(), why)
    }
}

fn refuse(text: &str, why: impl fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("address '{text}': {why}"))
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Address> {
        let schemes = || SCHEMES.iter().map(|row| format!("{}:", row.1)).collect::<Vec<_>>().join(" ");
        let (name, rest) = text
            .split_once(':')
            .ok_or_else(|| refuse(text, format!("it begins with no scheme; there are {}", schemes())))?;
        let scheme = SCHEMES
            .iter()
            .find(|row| row.1 == name)
            .map(|row| row.0)
            .ok_or_else(|| refuse(text, format!("unknown scheme '{name}'; there are {}", schemes())))?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let place = place.strip_prefix("//").unwrap_or(place);
        if place.is_empty() || place.contains('\0') {
            return Err(refuse(text, "it names no place after the scheme"));
        }
        let mut address = Address { scheme, place: place.into(), settings: Vec::new() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !scheme.settings().contains(&key) {
                let known = match scheme.settings() {
                    [] => "none".into(),
                    known => known.join(", "),
                };
                return Err(refuse(text, format!("unknown setting '{key}'; {name}: has {known}")));
            }
            if address.setting(key).is_some() {
                return Err(refuse(text, format!("'{key}' is set twice")));
            }
            address.settings.push((
                key.into(),
                decode(value).ok_or_else(|| {
                    refuse(text, format!("{key}={value}: '%' is followed by two hexadecimal digits of UTF-8"))
                })?,
            ));
        }
        Ok(address)
    }
}

/// Settings may hold any character, those with a meaning in an address as `%` and two digits.
fn decode(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        bytes.push(if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            rest = &tail[2..];
            u8::from_str_radix(digits, 16).ok()?
        } else {
            *first
        });
    }
    String::from_utf8(bytes).ok()
}

fn encode(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_graphic() && !b"%&=?#+".contains(&b);
    value.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slashes = if self.scheme == Scheme::Pipe { "" } else { "//" };
        write!(f, "{}:{slashes}{}", self.scheme.name(), self.place)?;
        for (i, (key, value)) in self.settings.iter().enumerate() {
            write!(f, "{}{key}={}", if i == 0 { '?' } else { '&' }, encode(value))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        for text in [
            "inproc://a",
            "shm://demo/jobs",
            "pipe:3,4?framing=none",
            "fifo:///tmp/f",
            "unix:///tmp/s?type=seqpacket&backlog=5",
            "unix://@name",
            "tcp://[::1]:0?nodelay=false&framing=/a%20b%26",
            "udp://localhost:9",
            "ws://localhost:80/path",
            "ws://localhost:80?origin=https://a.example:81,null",
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        }
        let address: Address = "tcp://h:1?keepalive=1.5&backlog=7&framing=/a%20b%26".parse().unwrap();
        assert_eq!(address.seconds("keepalive").unwrap(), Some(Duration::from_millis(1500)));
        assert_eq!((address.number("backlog", 1).unwrap(), address.setting("framing")), (7, Some("/a b&")));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (text, says) in [
            ("", "no scheme"),
            ("tcp", "no scheme"),
            ("http://x", "unknown scheme 'http'"),
            ("tcp://", "no place"),
            ("udp://h:1?nodelay=true", "unknown setting 'nodelay'"),
            ("tcp://h:1?nodelay=true&nodelay=true", "set twice"),
            ("tcp://h:1?framing=%zz", "two hexadecimal digits"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.kind() == ErrorKind::InvalidArgument && error.message().contains(says), "{error}");
        }
        let address: Address = "tcp://h:1?nodelay=maybe&keepalive=-1&backlog=x".parse().unwrap();
        assert!(
            address.word("nodelay", &["true", "false"]).unwrap_err().message().contains("one of true, false")
        );
        assert!(address.seconds("keepalive").is_err() && address.number("backlog", 1).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_an_error_or_an_address(text in ".{0,60}") {
            if let Ok(address) = text.parse::<Address>() {
                proptest::prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
            }
        }
    }
}
