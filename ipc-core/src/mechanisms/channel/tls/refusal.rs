//! Why there is no agreement, for a person.

use crate::error::{Error, ErrorKind};
use rustls::{AlertDescription, CertificateError, Connection};

/// What has failed, as it looks from this end.
pub fn explain(tls: &Connection, error: &rustls::Error) -> Error {
    use rustls::Error::*;
    match error {
        InvalidCertificate(e) => distrusted(tls, e),
        NoCertificatesPresented => denied(
            "who connected has no certificate, and ca= demands one; give its address cert= and key=".into(),
        ),
        AlertReceived(alert) => refused(*alert),
        PeerIncompatible(e) => {
            corrupt(format!("the other end does not speak TLS 1.3 ({e:?}); use something newer there"))
        }
        _ if tls.is_handshaking() => corrupt(format!(
            "the other end does not speak TLS ({error}); check the address, and that both ends of it have TLS or neither"
        )),
        _ => corrupt(format!("what came is not what was sent ({error}); connect anew")),
    }
}

/// A certificate of the other end that is not good enough.
fn distrusted(tls: &Connection, error: &CertificateError) -> Error {
    use CertificateError::*;
    let whose = match tls {
        Connection::Client(_) => "who listens there",
        Connection::Server(_) => "who connected",
    };
    let why = match error {
        Expired | ExpiredContext { .. } => "it has expired; make a new one".into(),
        NotValidYet | NotValidYetContext { .. } => {
            "it is not valid yet; check the clocks of both ends".into()
        }
        UnknownIssuer | BadSignature => {
            "no authority in ca= has signed it; give the file of the one that has, or have it signed".into()
        }
        NotValidForNameContext { expected, presented } => format!(
            "it is not for '{}' but for {}; connect by such a name, or say with host= which one is meant",
            expected.to_str(),
            presented.join(", ")
        ),
        e => format!("{e:?}; make another one, for an end and not for an authority"),
    };
    denied(format!("the certificate of {whose} is not trusted: {why}"))
}

/// The other end does not want this one.
fn refused(alert: AlertDescription) -> Error {
    use AlertDescription::*;
    match alert {
        CertificateRequired => denied(
            "who listens there wants to know who connects; give cert= and key=, signed by an authority it trusts".into(),
        ),
        BadCertificate | UnsupportedCertificate | CertificateRevoked | CertificateExpired
        | CertificateUnknown | UnknownCA | AccessDenied | DecryptError => denied(format!(
            "the other end does not trust the certificate of this one ({alert:?}); see cert= here, and ca= there"
        )),
        _ => corrupt(format!("the other end refuses to go on ({alert:?}); see what it says itself")),
    }
}

/// The other end has left in the middle of the handshake.
pub fn left(tls: &Connection) -> Error {
    let text = match tls {
        Connection::Client(_) => {
            "who listens there ended in the middle of the handshake; see whether it speaks TLS, and what it says itself"
        }
        Connection::Server(_) => {
            "who connected ended in the middle of the handshake; it may not trust this end"
        }
    };
    Error::new(ErrorKind::Disconnected, text)
}

/// The connection has ended, and nobody has said that it would.
pub fn cut_off() -> Error {
    let text = "the connection has ended, and the other end has not said that it would: it died, or something between has cut \
                it off, and what was on its way is lost; connect anew";
    Error::new(ErrorKind::Disconnected, text)
}

/// Nothing can be sealed any more.
pub fn exhausted() -> Error {
    Error::new(ErrorKind::Disconnected, "nothing more can be sent over this connection; connect anew")
}

/// A handshake is gone on with that is over.
pub fn is_over() -> Error {
    Error::new(ErrorKind::Closed, "its handshake is over")
}

/// A handshake cannot begin.
pub fn failed(error: &rustls::Error) -> Error {
    Error::new(ErrorKind::Io, format!("beginning a TLS handshake: {error}; try again"))
}

fn denied(text: String) -> Error {
    Error::new(ErrorKind::PermissionDenied, text)
}

fn corrupt(text: String) -> Error {
    Error::new(ErrorKind::Corrupt, text)
}
