//! TLS over `tcp://`, for addresses that say with which files: `cert` and `key` are who this end is, `ca` is whom it trusts.
//!
//! Who listens is always somebody, and demands to know who connects where it has a `ca`. Who connects always verifies who
//! listens, by the authorities in `ca` and nothing else: those of the system are for the web, and have no say in who is let in
//! here. There is one version, 1.3, no resumption, and nothing that switches verification off.

mod files;
mod refusal;
mod session;
mod wire;

use super::address::Address;
use super::handshakes::{Handshake, Step, complete};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::mechanisms::channel::Link;
use crate::sys::clock::Deadline;
use crate::sys::descriptor::Signal;
use crate::sys::fork::Own;
use crate::sys::socket;
use files::{Files, provider};
use rustls::client::{ClientConnection, Resumption};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnection, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, ConfigBuilder, ConfigSide, ServerConfig, WantsVerifier, WantsVersions};
use session::Session;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
pub use wire::TlsWire;

/// The settings that ask for it.
const SETTINGS: [&str; 4] = ["cert", "key", "ca", "host"];

fn is_asked_for(address: &Address) -> bool {
    SETTINGS.iter().any(|name| address.setting(name).is_some())
}

/// The one version there is.
fn newest<S: ConfigSide>(
    address: &Address,
    begun: ConfigBuilder<S, WantsVersions>,
) -> Result<ConfigBuilder<S, WantsVerifier>> {
    begun.with_protocol_versions(&[&TLS13]).map_err(|e| address.refuse(e))
}

/// Of who listens.
#[derive(Clone)]
pub struct Listens(Arc<ServerConfig>);

impl Listens {
    /// What an address says; `None`: it does not ask for TLS.
    pub fn of(address: &Address) -> Result<Option<Listens>> {
        if !is_asked_for(address) {
            return Ok(None);
        }
        if address.setting("host").is_some() {
            let text = "host= is for who connects; who listens with TLS has cert, key and ca";
            return Err(address.refuse(text));
        }
        let files = Files(address);
        let Some(identity) = files.identity()? else {
            let text = "who listens with TLS must be somebody: give cert= and key=, files of a certificate and its key";
            return Err(address.refuse(text));
        };
        let builder = newest(address, ServerConfig::builder_with_provider(provider()))?;
        let builder = match files.trusted()? {
            None => builder.with_no_client_auth(),
            Some(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
                builder.with_client_cert_verifier(verifier.build().map_err(|e| address.refuse(e))?)
            }
        };
        let (chain, key) = identity;
        let mut config = builder.with_single_cert(chain, key).map_err(|e| files.do_not_belong(&e))?;
        config.send_tls13_tickets = 0;
        Ok(Some(Listens(config.into())))
    }

    /// Begins with somebody who has connected, who becomes a channel by `link`.
    pub fn begin<L: FnMut(TlsWire) -> Result<Link> + Send>(
        &self,
        fd: OwnedFd,
        link: L,
    ) -> Result<Accepting<L>> {
        let begun = ServerConnection::new(self.0.clone()).map_err(|e| refusal::failed(&e))?;
        Ok(Accepting { fd: Own::new(fd)?.into(), session: Some(Session::new(begun.into())), link })
    }
}

/// A handshake with somebody who has connected.
pub struct Accepting<L> {
    fd: Arc<Own<OwnedFd>>,
    /// Until it is over.
    session: Option<Session>,
    link: L,
}

impl<L: FnMut(TlsWire) -> Result<Link> + Send> Accepting<L> {
    fn link(&mut self, signal: Signal) -> Result<Link> {
        let session = self.session.take().ok_or_else(refusal::is_over)?;
        (self.link)(TlsWire::new(self.fd.clone(), session, signal))
    }

    /// Who was told why is not to lose that because of what it has said meanwhile.
    fn refuse(&self, why: Error) -> Step {
        let who = socket::peer_address(self.fd()).unwrap_or_default();
        socket::finish(self.fd());
        socket::discard(self.fd());
        Step::Refused(format!("{who}: {}", why.message()))
    }
}

impl<L: FnMut(TlsWire) -> Result<Link> + Send> Handshake for Accepting<L> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn go_on(&mut self, signal: Signal) -> Step {
        let fd = self.fd.as_fd();
        match self.session.as_mut().map_or_else(|| Err(refusal::is_over()), |session| session.shake(fd)) {
            Ok(true) => Step::Done(self.link(signal)),
            Ok(false) => Step::Later(signal),
            Err(e) => self.refuse(e),
        }
    }

    fn is_blocked(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_blocked)
    }
}

/// Of who connects.
pub struct Connects {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Connects {
    /// What an address says; `None`: it does not ask for TLS.
    pub fn of(address: &Address) -> Result<Option<Connects>> {
        if !is_asked_for(address) {
            return Ok(None);
        }
        let files = Files(address);
        let identity = files.identity()?;
        let Some(roots) = files.trusted()? else {
            let text = "who connects with TLS must know whom to trust: give ca=, a file of the certificates of authorities";
            return Err(address.refuse(text));
        };
        let builder = newest(address, ClientConfig::builder_with_provider(provider()))?;
        let builder = builder.with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(|e| files.do_not_belong(&e))?
            }
        };
        config.resumption = Resumption::disabled();
        Ok(Some(Connects { config: config.into(), name: name(address)? }))
    }

    /// Shakes hands over a connection.
    pub fn shake(&self, domain: &Domain, fd: OwnedFd, deadline: &Deadline) -> Result<TlsWire> {
        let begun = ClientConnection::new(self.config.clone(), self.name.clone());
        let mut session = Session::new(begun.map_err(|e| refusal::failed(&e))?.into());
        let fd = Own::new(fd)?;
        complete(domain, fd.as_fd(), deadline, "TLS", || Ok(session.shake(fd.as_fd())?.then_some(())))?;
        Ok(TlsWire::new(fd.into(), session, Signal::new()?))
    }
}

/// The name that the certificate of who listens must be for: what `host` says, or where it is.
fn name(address: &Address) -> Result<ServerName<'static>> {
    let host = address.place().rsplit_once(':').map_or("", |(host, _)| host);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = address.setting("host").unwrap_or(host);
    ServerName::try_from(name.to_string()).map_err(|_| {
        address.refuse(format!("'{name}' is no name that a certificate can be for; give one with host="))
    })
}
