//! Which domain a verb is about.

use std::path::{PathBuf, absolute};

use axonic::{Domain, DomainOptions};
use clap::Args;

use crate::stop::Stop;

/// The options every verb has.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Where")]
pub(crate) struct Place {
    /// The domain [default: $AXONIC_DOMAIN, else "default"; for ls, doctor and stat --openmetrics: all]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) domain: Option<String>,
    /// Where domains live [default: $AXONIC_RUNTIME_DIR, else a private directory on /dev/shm]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
}

impl Place {
    /// The core's options for this place; `verb` is how `axonic ls` shows us to others.
    pub(crate) fn options(&self, verb: &str) -> DomainOptions {
        DomainOptions {
            name: self.domain.clone(),
            runtime_dir: self.chosen_directory(),
            label: Some(format!("axonic {verb}")),
            ..DomainOptions::default()
        }
    }

    /// The same place with another domain.
    pub(crate) fn with_domain(&self, name: &str) -> Place {
        Place { domain: Some(name.to_owned()), runtime_dir: self.runtime_dir.clone() }
    }

    /// Takes part in the domain, which is created when it does not exist.
    pub(crate) fn open(&self, verb: &str) -> Result<Domain, Stop> {
        Ok(Domain::open_with(self.options(verb))?)
    }

    /// A shell's paths are relative to where it stands; the core insists on absolute ones.
    fn chosen_directory(&self) -> Option<PathBuf> {
        self.runtime_dir.as_ref().map(|path| absolute(path).unwrap_or_else(|_| path.clone()))
    }

    /// Where domains live.
    pub(crate) fn directory(&self) -> Result<PathBuf, Stop> {
        match self.chosen_directory() {
            Some(directory) => Ok(directory),
            None => Ok(axonic::runtime_dir()?),
        }
    }

    /// The names of all domains there.
    pub(crate) fn domains(&self) -> Result<Vec<String>, Stop> {
        Ok(axonic::domains_in(&self.directory()?))
    }

    /// These, and those of which a reboot has left queues on the disk.
    pub(crate) fn domains_and_left(&self) -> Result<Vec<String>, Stop> {
        let mut names = self.domains()?;
        names.extend(axonic::domains_on_disk(&self.options("ls")));
        names.sort();
        names.dedup();
        Ok(names)
    }
}
