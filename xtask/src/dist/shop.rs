//! Where packages are made, and where they are tried: a folder that knows nothing of this checkout.

use crate::run::Run;
use crate::workspace::{Workspace, files_in};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

pub const LICENCES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

pub struct Shop<'a> {
    pub ws: &'a Workspace,
    /// Where finished packages go.
    pub out: PathBuf,
    place: PathBuf,
}

impl<'a> Shop<'a> {
    /// A shop that empties `out`.
    pub fn open(ws: &'a Workspace, out: PathBuf) -> Result<Shop<'a>> {
        let _ = std::fs::remove_dir_all(&out);
        std::fs::create_dir_all(&out)?;
        let place = std::env::temp_dir().join(format!("axonic-dist-{}", std::process::id()));
        std::fs::create_dir_all(&place).with_context(|| format!("creating {}", place.display()))?;
        Ok(Shop { ws, out, place })
    }

    /// An empty folder, gone when the shop closes.
    pub fn fresh(&self, name: &str) -> Result<PathBuf> {
        let dir = self.place.join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// Moves the one file of `dir` with this ending to the finished packages.
    pub fn finish(&self, dir: &Path, ending: &str) -> Result<PathBuf> {
        let made = files_in(dir, |name| name.ends_with(ending)).pop();
        let made = made.with_context(|| format!("no {ending} came out"))?;
        let to = self.out.join(made.file_name().context("a file without a name")?);
        // The two may lie on different file systems.
        std::fs::copy(&made, &to)?;
        std::fs::remove_file(made)?;
        Ok(to)
    }

    pub fn licences(&self, into: &Path) -> Result<()> {
        for licence in LICENCES {
            std::fs::copy(self.ws.path(licence), into.join(licence))?;
        }
        Ok(())
    }

    /// Unpacks an archive into a fresh folder, and answers the folder it consists of.
    pub fn unpack(&self, archive: &Path, name: &str) -> Result<PathBuf> {
        let dir = self.fresh(name)?;
        Run::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&dir).quiet(self.ws, "dist-unpack")?;
        let folder = std::fs::read_dir(&dir)?.flatten().next();
        Ok(folder.with_context(|| format!("{} is empty", archive.display()))?.path())
    }
}

impl Drop for Shop<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.place);
    }
}
