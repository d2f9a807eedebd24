//! Certificates that a test makes for itself, as the files that addresses name.

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};

/// The names of this machine.
pub const HERE: &[&str] = &["localhost", "127.0.0.1", "::1"];

/// An authority, and those whom it has made somebody.
pub struct Authority {
    files: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate is to be, beyond the names it is for.
#[derive(Clone, Copy)]
pub enum Kind {
    Good,
    Expired,
    NotYetValid,
    /// Of use to those who listen, not to those who connect.
    ServersOnly,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "An authority of tests");
        let files = tempfile::Builder::new().prefix("axonic-certificates-").tempdir_in("/dev/shm").unwrap();
        let key = KeyPair::generate().unwrap();
        std::fs::write(files.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { files, issuer: Issuer::new(params, key) }
    }

    pub fn path(&self) -> &Path {
        self.files.path()
    }

    /// The file that says whom to trust.
    pub fn ca(&self) -> PathBuf {
        self.path().join("ca.pem")
    }

    /// Makes `who` somebody with a certificate for these names; `cert=…&key=…`.
    pub fn settings(&self, who: &str, names: &[&str], kind: Kind) -> String {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        match kind {
            Kind::Good => {}
            Kind::Expired => params.not_after = rcgen::date_time_ymd(2020, 1, 1),
            Kind::NotYetValid => params.not_before = rcgen::date_time_ymd(4000, 1, 1),
            Kind::ServersOnly => params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth),
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let (cert_file, key_file) =
            (self.path().join(format!("{who}.pem")), self.path().join(format!("{who}.key")));
        std::fs::write(&cert_file, certificate).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        format!("cert={}&key={}", cert_file.display(), key_file.display())
    }

    /// What an end says that is somebody and wants to know who the other is.
    pub fn mutual(&self, who: &str) -> String {
        format!("{}&{}", self.settings(who, HERE, Kind::Good), self.trust())
    }

    /// What an end says that is nobody.
    pub fn trust(&self) -> String {
        format!("ca={}", self.ca().display())
    }
}
