//! The folder under `/dev/shm` in which a run keeps all it makes there, and which it takes away at its end.

use std::path::PathBuf;

const SHM: &str = "/dev/shm";
/// Folders are `axonic-bench-<pid>`; iceoryx2 and cloudtoid-interprocess make files beside it, whose names hold the same.
const PREFIX: &str = "axonic-bench-";

/// This run's folder. Domains are in it, and the sockets and queues of the peers.
pub fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("AXONIC_RUNTIME_DIR").expect("set by Scratch::new"))
}

/// Removes the folder when it goes.
pub struct Scratch {
    owner: u32,
}

impl Scratch {
    /// Makes the folder and names it to this process and all it starts; removes those of runs that were killed.
    pub fn new() -> std::io::Result<Scratch> {
        sweep(|pid| !PathBuf::from(format!("/proc/{pid}")).exists());
        let owner = std::process::id();
        let folder = PathBuf::from(format!("{SHM}/{PREFIX}{owner}"));
        std::fs::create_dir(&folder)?;
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&folder, private)?;
        // SAFETY: no other thread exists.
        unsafe { std::env::set_var("AXONIC_RUNTIME_DIR", &folder) };
        Ok(Scratch { owner })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let owner = std::process::id();
        if owner == self.owner {
            sweep(|pid| pid == owner);
        }
    }
}

/// Removes what belongs to runs of these processes.
fn sweep(doomed: impl Fn(u32) -> bool) {
    for entry in std::fs::read_dir(SHM).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some((_, rest)) = name.to_str().and_then(|name| name.split_once(PREFIX)) else { continue };
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        if digits.parse().is_ok_and(&doomed) {
            let path = entry.path();
            let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
        }
    }
}
