//! Where things are: the tree, the target folder and every path that more than one verb names.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The version every package of this workspace carries.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The paths of this checkout.
#[derive(Clone)]
pub struct Workspace {
    pub root: PathBuf,
    pub target: PathBuf,
}

impl Workspace {
    /// Finds the checkout this xtask was built from; `CARGO_TARGET_DIR` is honoured.
    pub fn find() -> Result<Workspace> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.parent().context("xtask lies at the root of the file system")?.to_path_buf();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) if !dir.is_empty() => root.join(dir),
            _ => root.join("target"),
        };
        std::fs::create_dir_all(target.join("xtask/logs")).context("creating target/xtask")?;
        Ok(Workspace { root, target })
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Logs, stamps and scratch files of xtask itself.
    pub fn scratch(&self, relative: &str) -> PathBuf {
        self.target.join("xtask").join(relative)
    }

    pub fn venv(&self) -> PathBuf {
        self.target.join("venv")
    }

    /// The interpreter of the virtual environment that [`crate::setup::python`] keeps.
    pub fn python(&self) -> PathBuf {
        self.venv().join("bin/python")
    }

    /// The staged C installation: `include`, `lib`, `lib/pkgconfig`, `lib/cmake`.
    pub fn c_prefix(&self) -> PathBuf {
        self.target.join("c")
    }

    /// Where cargo puts what is built for this machine.
    pub fn release(&self) -> PathBuf {
        self.target.join("release")
    }

    pub fn cli(&self) -> PathBuf {
        self.release().join("axonic")
    }

    /// `path` as a reader of the terminal wants it: relative to the checkout.
    pub fn show(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// The files directly inside `dir` that `keep` accepts, sorted; nothing when there is no such folder.
pub fn files_in(dir: &Path, keep: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && path.file_name().and_then(|n| n.to_str()).is_some_and(&keep))
        .collect();
    found.sort();
    found
}

/// Every file below `dir` with this extension, sorted; generated folders are left out.
pub fn files_below(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_path_buf()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if !matches!(name.to_str(), Some("target" | "node_modules" | "__pycache__" | ".git")) {
                    pending.push(path);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Writes `content` unless the file already holds exactly that.
pub fn write_if_changed(path: &Path, content: &[u8]) -> Result<bool> {
    if std::fs::read(path).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    replace(path, |temporary| std::fs::write(temporary, content))?;
    Ok(true)
}

/// Copies `from` over `to` when they differ, by rename: a process that has the old library mapped
/// keeps it whole. Contents are compared, not times: cargo may bring an older build back.
pub fn copy_if_changed(from: &Path, to: &Path) -> Result<bool> {
    let content = std::fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    write_if_changed(to, &content)
}

fn replace(path: &Path, fill: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
    let said = || format!("writing {}", path.display());
    let dir = path.parent().with_context(said)?;
    std::fs::create_dir_all(dir).with_context(said)?;
    let name = path.file_name().and_then(|n| n.to_str()).with_context(said)?;
    let temporary = dir.join(format!(".{name}.{}", std::process::id()));
    let filled = fill(&temporary).and_then(|()| std::fs::rename(&temporary, path));
    if filled.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    filled.with_context(said)
}
