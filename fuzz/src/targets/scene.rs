//! A private domain and its files, to be damaged and put right again.

use super::fair;
use super::input::Input;
use axonic::{Domain, DomainOptions, doctor, snapshot};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Where the domains of the targets are made; a tmpfs.
const PLACE: &str = "AXONIC_FUZZ_DIR";

/// A domain in a directory of its own. Whoever made it is alive for as long as it lasts.
pub struct Scene {
    pub domain: Domain,
    directory: TempDir,
}

/// A file of it as it was.
pub struct File {
    pub path: PathBuf,
    pub content: Vec<u8>,
}

impl Scene {
    pub fn new() -> Scene {
        let place = std::env::var_os(PLACE).unwrap_or_else(|| "/dev/shm".into());
        let directory = tempfile::Builder::new().prefix("axonic-fuzz-").tempdir_in(place).unwrap();
        Scene { domain: Domain::open_with(options(directory.path())).unwrap(), directory }
    }

    pub fn options(&self) -> DomainOptions {
        options(self.directory.path())
    }

    /// Another participant.
    pub fn visitor(&self) -> Domain {
        Domain::open_with(self.options()).unwrap()
    }

    /// A file or directory of the domain.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join("test").join(relative)
    }

    /// The files of one kind, oldest first, as they are now.
    pub fn files(&self, kind: &str) -> Vec<File> {
        let entries = fs::read_dir(self.path(kind)).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> =
            entries.filter(|e| e.file_type().unwrap().is_file()).map(|e| e.path()).collect();
        paths.sort();
        paths.into_iter().map(|path| File { content: fs::read(&path).unwrap(), path }).collect()
    }

    /// Gives a file another content; who has the old one mapped keeps that.
    pub fn put(&self, path: &Path, content: &[u8]) {
        let new = self.directory.path().join("new");
        fs::write(&new, content).unwrap();
        fs::rename(&new, path).unwrap();
    }

    /// Gives a file what the fuzzer's next bytes make of its content, which it returns.
    pub fn damage(&self, file: &File, input: &mut Input<'_>) -> Vec<u8> {
        let mut content = file.content.clone();
        input.damage(&mut content);
        self.put(&file.path, &content);
        content
    }

    /// The domain as seen from outside.
    pub fn look(&self) {
        fair(snapshot(&self.options()));
        fair(doctor(&self.options(), false));
    }

    /// The same, and what is damaged is removed.
    pub fn clean(&self) {
        fair(doctor(&self.options(), true));
    }
}

impl File {
    /// Overwrites a word of the file that is there now, in place.
    pub fn poke(&self, at: u64, word: u64) {
        let file = fs::File::options().write(true).open(&self.path).unwrap();
        file.write_all_at(&word.to_le_bytes(), at).unwrap();
    }
}

fn options(directory: &Path) -> DomainOptions {
    DomainOptions {
        name: Some("test".into()),
        runtime_dir: Some(directory.into()),
        max_participants: Some(16),
        ..Default::default()
    }
}
