//! Who is let in to a WebSocket listener: whoever asks for its path, and of the pages in browsers those that are meant.
//!
//! A browser lets any page connect to any address, that of its own machine too, and says which page it is (`Origin`); other
//! programs say nothing. Unless the address says which pages are meant, those are the pages of the listener's own host. That
//! is the host it listens at, not the one that was asked for: a page may have its own name stand for another machine.

use crate::error::Result;
use crate::mechanisms::channel::address::Address;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use tungstenite::handshake::server::{Callback, ErrorResponse, Request, Response};
use tungstenite::http::{HeaderMap, StatusCode, Uri};

/// In a handshake: the largest message this end takes. Of ends that are ours.
pub const MAX_MESSAGE: &str = "axonic-max-message";

/// What an end says of that, if it does.
pub fn limit_in(headers: &HeaderMap) -> Option<usize> {
    headers.get(MAX_MESSAGE)?.to_str().ok()?.parse().ok().filter(|limit| *limit > 0)
}

/// What a listener lets in.
pub struct Door {
    path: String,
    host: String,
    /// The pages that are meant; none: those of its own host.
    origins: Option<Vec<String>>,
    max_message: usize,
}

impl Door {
    pub fn of(address: &Address, host: &str, path: &str, max_message: usize) -> Result<Door> {
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host).to_string();
        let origins = address.setting("origin").map(|list| list.split(',').map(String::from).collect());
        for origin in origins.iter().flatten() {
            let origin: &String = origin;
            if !["*", "null"].contains(&origin.as_str()) && host_of(origin).is_none() {
                return Err(address.refuse(format!(
                    "origin={origin}; it is scheme://host or scheme://host:port as browsers say it, several with commas, or *"
                )));
            }
        }
        Ok(Door { path: path.into(), host, origins, max_message })
    }

    fn lets_in(&self, origin: &str, reached: Option<IpAddr>) -> bool {
        match &self.origins {
            Some(origins) => origins.iter().any(|meant| meant == "*" || meant.eq_ignore_ascii_case(origin)),
            None => host_of(origin).is_some_and(|host| self.is_own(&host, reached)),
        }
    }

    /// Whether a host is the one that is listened at, or was reached.
    fn is_own(&self, host: &str, reached: Option<IpAddr>) -> bool {
        let number = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let is_loopback =
            number.map_or(host.eq_ignore_ascii_case("localhost"), |number| number.is_loopback());
        host.eq_ignore_ascii_case(&self.host)
            || number.is_some() && number == reached
            || is_loopback && reached.is_some_and(|reached| reached.is_loopback())
    }
}

/// The host of a page, where it is that of one: scheme, host and nothing but a port.
fn host_of(origin: &str) -> Option<String> {
    let uri: Uri = origin.parse().ok()?;
    uri.scheme()?;
    let bare = origin.ends_with(uri.authority()?.as_str());
    uri.host().filter(|host| bare && !host.is_empty()).map(String::from)
}

/// The door as one meets it who asks.
#[derive(Clone)]
pub struct Guard {
    pub door: Arc<Door>,
    /// The address of this machine that was connected to.
    pub reached: Option<IpAddr>,
    /// The largest message whoever asks takes.
    pub heard: Arc<OnceLock<usize>>,
}

impl Callback for Guard {
    fn on_request(
        self,
        request: &Request,
        mut response: Response,
    ) -> std::result::Result<Response, ErrorResponse> {
        if request.uri().path() != self.door.path {
            return Err(refusal(StatusCode::NOT_FOUND, "Nobody listens at this path.\n".into()));
        }
        let mut origins = request.headers().get_all("origin").iter();
        let strange =
            origins.find(|said| !said.to_str().is_ok_and(|said| self.door.lets_in(said, self.reached)));
        if let Some(strange) = strange {
            let text = format!(
                "Pages of {strange:?} may not connect: the listener takes those of its own host, or those that origin= in its \
                 address names.\n"
            );
            return Err(refusal(StatusCode::FORBIDDEN, text));
        }
        if let Some(limit) = limit_in(request.headers()) {
            let _ = self.heard.set(limit);
            response.headers_mut().insert(MAX_MESSAGE, self.door.max_message.into());
        }
        Ok(response)
    }
}

fn refusal(status: StatusCode, text: String) -> ErrorResponse {
    let mut refusal = ErrorResponse::new(Some(text));
    *refusal.status_mut() = status;
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(address: &str, host: &str) -> Door {
        Door::of(&address.parse().unwrap(), host, "/", 1).unwrap()
    }

    #[test]
    fn pages_of_the_own_host_are_let_in_and_no_others() {
        let reached = |number: &str| Some(number.parse().unwrap());
        let local = door("ws://localhost:1", "localhost:1");
        for (origin, own) in [
            ("http://localhost:3000", true),
            ("https://LOCALHOST", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080", true),
            ("https://localhost.evil.example", false),
            ("http://127.0.0.1.evil.example", false),
            ("https://evil.example", false),
            ("http://localhost@evil.example", false),
            ("http://10.0.0.1", false),
            ("null", false),
            ("localhost", false),
            ("", false),
        ] {
            assert_eq!(local.lets_in(origin, reached("127.0.0.1")), own, "{origin}");
        }
        let wide = door("ws://0.0.0.0:1", "0.0.0.0:1");
        assert!(wide.lets_in("http://10.0.0.1:80", reached("10.0.0.1")));
        // Who listens for everybody was not reached by a page of this machine.
        assert!(!wide.lets_in("http://localhost", reached("10.0.0.1")));
        assert!(!wide.lets_in("http://10.0.0.2", reached("10.0.0.1")));
        assert!(!wide.lets_in("http://10.0.0.1", None));
    }

    #[test]
    fn what_an_address_names_is_let_in_and_nothing_else() {
        let named = door("ws://h:1?origin=https://a.example,http://b.example:81", "h:1");
        assert!(named.lets_in("https://a.example", None) && named.lets_in("HTTP://b.example:81", None));
        for other in ["http://a.example", "https://a.example:81", "http://h", "null"] {
            assert!(!named.lets_in(other, None), "{other}");
        }
        assert!(door("ws://h:1?origin=*", "h:1").lets_in("https://any.example", None));
        assert!(door("ws://h:1?origin=null", "h:1").lets_in("null", None));
        for wrong in ["a.example", "https://a.example/path", "", "https://a,b"] {
            let address: Address = format!("ws://h:1?origin={wrong}").parse().unwrap();
            assert!(Door::of(&address, "h:1", "/", 1).is_err(), "{wrong}");
        }
    }
}
