//! The folders in which a run keeps all it makes, and which it takes away at its end: one under `/dev/shm`, and one on a
//! disk for what is to survive a reboot.

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SHM: &str = "/dev/shm";
/// Folders are `axonic-bench-<pid>`; iceoryx2 and cloudtoid-interprocess make files beside it, whose names hold the same.
const PREFIX: &str = "axonic-bench-";

/// This run's folder. Domains are in it, and the sockets and queues of the peers.
pub fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("AXONIC_RUNTIME_DIR").expect("set by Scratch::new"))
}

/// This run's folder on a disk, for the journals of queues and the files of databases.
pub fn disk() -> PathBuf {
    PathBuf::from(std::env::var_os("AXONIC_DATA_DIR").expect("set by Scratch::new"))
}

/// Whether the folder on a disk is none: what is measured of disks says nothing then.
pub fn disk_is_memory() -> bool {
    statfs(&disk()).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC)
}

/// Removes the folders when it goes.
pub struct Scratch {
    owner: u32,
    places: [PathBuf; 2],
}

impl Scratch {
    /// Makes the folders, the second one below `out`, and names them to this process and all it starts; removes those of
    /// runs that were killed.
    pub fn new(out: &Path) -> std::io::Result<Scratch> {
        std::fs::create_dir_all(out)?;
        let places = [PathBuf::from(SHM), out.canonicalize()?];
        let owner = std::process::id();
        for (place, variable) in places.iter().zip(["AXONIC_RUNTIME_DIR", "AXONIC_DATA_DIR"]) {
            sweep(place, |pid| !PathBuf::from(format!("/proc/{pid}")).exists());
            let folder = place.join(format!("{PREFIX}{owner}"));
            std::fs::create_dir(&folder)?;
            std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700))?;
            // SAFETY: no other thread exists.
            unsafe { std::env::set_var(variable, &folder) };
        }
        Ok(Scratch { owner, places })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let owner = std::process::id();
        if owner == self.owner {
            self.places.iter().for_each(|place| sweep(place, |pid| pid == owner));
        }
    }
}

/// Removes what belongs to runs of these processes.
fn sweep(place: &Path, doomed: impl Fn(u32) -> bool) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some((_, rest)) = name.to_str().and_then(|name| name.split_once(PREFIX)) else { continue };
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        if digits.parse().is_ok_and(&doomed) {
            let path = entry.path();
            let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        }
    }
}
