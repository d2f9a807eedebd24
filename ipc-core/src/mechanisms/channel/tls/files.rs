//! The files that an address names: who this end is, and whom it trusts.

use crate::error::{Error, Result};
use crate::mechanisms::channel::address::Address;
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

/// No file of certificates or keys is larger.
const MOST: u64 = 1 << 20;

/// The cryptography, which a C compiler is enough to build.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A certificate with those it was signed by, and its key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What an address says of files.
pub struct Files<'a>(pub &'a Address);

impl Files<'_> {
    /// Who this end is, by `cert` and `key`.
    pub fn identity(&self) -> Result<Option<Identity>> {
        match (self.0.setting("cert"), self.0.setting("key")) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Ok(Some((self.certificates("cert")?, self.key()?))),
            (Some(_), None) => Err(self.0.refuse("cert= is of no use without its key; give key= too")),
            (None, Some(_)) => {
                Err(self.0.refuse("key= is of no use without its certificate; give cert= too"))
            }
        }
    }

    /// Whom it trusts, by `ca`.
    pub fn trusted(&self) -> Result<Option<RootCertStore>> {
        if self.0.setting("ca").is_none() {
            return Ok(None);
        }
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates("ca")? {
            roots.add(certificate).map_err(|e| self.wrong("ca", format!("holds no certificate ({e})")))?;
        }
        Ok(Some(roots))
    }

    /// A certificate and a key that this end cannot be somebody with.
    pub fn do_not_belong(&self, error: &rustls::Error) -> Error {
        let (cert, key) = (self.path("cert"), self.path("key"));
        self.0.refuse(match error {
            rustls::Error::InconsistentKeys(_) => format!(
                "key={key} is not the key of the certificate in cert={cert}; give the one it was made with"
            ),
            e => format!("cert={cert} and key={key} cannot be used ({e}); make new ones"),
        })
    }

    fn certificates(&self, setting: &str) -> Result<Vec<CertificateDer<'static>>> {
        let text = self.read(setting)?;
        let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        match found {
            Ok(certificates) if certificates.is_empty() => {
                Err(self.wrong(setting, "holds no certificate; it is a PEM file with BEGIN CERTIFICATE"))
            }
            Ok(certificates) => Ok(certificates),
            Err(e) => Err(self.wrong(setting, format!("is no PEM file ({e}); write it anew"))),
        }
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_slice(&self.read("key")?).map_err(|e| {
            let text = format!(
                "holds no key ({e}); it is a PEM file with BEGIN PRIVATE KEY, which no password protects"
            );
            self.wrong("key", text)
        })
    }

    fn read(&self, setting: &str) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        let read = File::open(self.path(setting)).and_then(|file| file.take(MOST + 1).read_to_end(&mut text));
        match read {
            Err(e) => Err(self.wrong(setting, format!("cannot be read ({e}); check path, owner and mode"))),
            Ok(_) if text.len() as u64 > MOST => {
                Err(self.wrong(setting, format!("is larger than {MOST} bytes; it is a PEM file")))
            }
            Ok(_) => Ok(text),
        }
    }

    fn path(&self, setting: &str) -> &str {
        self.0.setting(setting).unwrap_or_default()
    }

    fn wrong(&self, setting: &str, what: impl Display) -> Error {
        self.0.refuse(format!("{setting}={} {what}", self.path(setting)))
    }
}
