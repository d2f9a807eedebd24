//! Who provides a service in a domain.
//!
//! A provider is a listener for shared-memory channels whose file says what it provides: `service@version*id`, which no
//! name that a user gives can be. Whoever comes or goes raises a generation of the domain, so clients look again only then.

use crate::domain::layout::ObjectId;
use crate::domain::{Directory, Domain};
use crate::error::{Error, ErrorKind, Result};
use crate::name::check_name;
use crate::sys::file;
use semver::{Version, VersionReq};

/// What follows the version in the name of a provider's file.
const MARK: char = '*';

/// A provider that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    pub version: Version,
    pub id: ObjectId,
    /// The name of its file.
    pub file: String,
}

/// The file of a new provider.
pub fn file_of(service: &str, version: &Version, id: ObjectId) -> String {
    format!("{service}@{version}{MARK}{id}")
}

/// Checks a service's name and version.
pub fn check(service: &str, version: &str) -> Result<Version> {
    check_name("service", service)?;
    if service.contains('@') {
        let text =
            format!("service name {service:?}: '@' is what its version is written after; leave it out");
        return Err(Error::new(ErrorKind::InvalidName, text));
    }
    version.parse().map_err(|e| {
        let text = format!("service '{service}': version {version:?} is none ({e}); write one such as 1.2.0");
        Error::new(ErrorKind::InvalidArgument, text)
    })
}

/// Checks the range of versions that a client can do with.
pub fn check_range(service: &str, range: &str) -> Result<VersionReq> {
    check(service, "0.0.0")?;
    range.parse().map_err(|e| {
        let text = format!(
            "client of '{service}': range {range:?} is none ({e}); write one such as ^1.2 or >=1, <3"
        );
        Error::new(ErrorKind::InvalidArgument, text)
    })
}

/// Every provider of a service that lives, of whatever version.
pub fn find(domain: &Domain, service: &str) -> Result<Vec<Provider>> {
    let inner = domain.inner();
    let names = file::names(&inner.directory(Directory::Listeners))?;
    let found = names.into_iter().filter_map(|file| read(service, file));
    Ok(found.filter(|provider| inner.is_alive(provider.id.owner())).collect())
}

fn read(service: &str, file: String) -> Option<Provider> {
    let (_, version) = provided_by(&file).filter(|(name, _)| *name == service)?;
    let id = ObjectId::named(file.rsplit(MARK).next()?)?;
    Some(Provider { version, id, file })
}

/// What the file of a provider says that it provides; others' files provide nothing.
pub fn provided_by(file: &str) -> Option<(&str, Version)> {
    let (what, id) = file.split_once(MARK)?;
    let (service, version) = what.split_once('@')?;
    ObjectId::named(id)?;
    Some((service, version.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_say_what_is_provided() {
        let (version, id) = (Version::new(1, 2, 0), ObjectId(77));
        let file = file_of("search.docs", &version, id);
        assert_eq!(read("search.docs", file.clone()), Some(Provider { version, id, file: file.clone() }));
        for other in ["search", "docs", "search.docs@1"] {
            assert_eq!(read(other, file.clone()), None);
        }
        for (service, version) in [("a@b", "1.0.0"), ("", "1.0.0"), ("a", "1"), ("a", "x")] {
            assert!(check(service, version).is_err());
        }
        assert!(check_range("a", "^1.2").unwrap().matches(&Version::new(1, 3, 0)));
        assert!(check_range("a", "nonsense").is_err());
    }
}
