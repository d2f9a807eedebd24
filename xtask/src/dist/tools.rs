//! What packaging needs from the package index: maturin, zig, cargo-zigbuild and auditwheel, in an
//! environment of their own under `target/venv-dist`.

use crate::run::Run;
use crate::setup;
use crate::workspace::Workspace;
use anyhow::Result;
use std::path::PathBuf;

const LIST: &str = "xtask/requirements-dist.txt";

pub struct Tools {
    bin: PathBuf,
    target: PathBuf,
}

impl Tools {
    /// Installs them, unless they are there.
    pub fn ready(ws: &Workspace) -> Result<Tools> {
        let bin = ws.target.join("venv-dist");
        setup::environment(ws, &bin, &[LIST])?;
        Ok(Tools { bin: bin.join("bin"), target: ws.target.clone() })
    }

    /// maturin, or pip when it calls maturin. Both it and cargo-zigbuild put themselves before the linker,
    /// and to cargo another linker is another build: in one folder each would undo the other's.
    pub fn maturin(&self, program: &str) -> Run {
        self.run(program).env("CARGO_TARGET_DIR", self.target.join("dist-maturin"))
    }

    /// One of them, about to be run: it finds the others, and builds without line tables, which are most
    /// of the size and serve only those who have the sources.
    pub fn run(&self, program: &str) -> Run {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = [self.bin.clone()].into_iter().chain(std::env::split_paths(&path));
        Run::new(self.bin.join(program))
            .env("PATH", std::env::join_paths(all).unwrap_or(path))
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
            // A shared library of musl's must not carry a libc of its own.
            .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS", "-Ctarget-feature=-crt-static")
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUSTFLAGS", "-Ctarget-feature=-crt-static")
    }
}
