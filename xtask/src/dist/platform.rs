//! The platforms there are packages for, and what this machine can do for each.

use super::tools::Tools;
use crate::run::Run;
use crate::symbols::Glibc;
use crate::workspace::Workspace;
use anyhow::Result;
use std::path::PathBuf;

#[derive(Debug)]
pub struct Platform {
    /// Rust's name for it.
    pub target: &'static str,
    /// In the name of its npm package and of its C archive.
    pub name: &'static str,
    arch: &'static str,
    /// As npm calls processors.
    pub cpu: &'static str,
    /// The oldest glibc its files load with; `None`: they need musl.
    pub glibc: Option<Glibc>,
    /// What wheels for it promise.
    pub wheel: &'static str,
}

const GLIBC: Option<Glibc> = Some((2, 17));

pub const PLATFORMS: &[Platform] = &[
    Platform {
        target: "x86_64-unknown-linux-gnu",
        name: "linux-x64-gnu",
        arch: "x86_64",
        cpu: "x64",
        glibc: GLIBC,
        wheel: "manylinux2014",
    },
    Platform {
        target: "aarch64-unknown-linux-gnu",
        name: "linux-arm64-gnu",
        arch: "aarch64",
        cpu: "arm64",
        glibc: GLIBC,
        wheel: "manylinux2014",
    },
    Platform {
        target: "x86_64-unknown-linux-musl",
        name: "linux-x64-musl",
        arch: "x86_64",
        cpu: "x64",
        glibc: None,
        wheel: "musllinux_1_2",
    },
    Platform {
        target: "aarch64-unknown-linux-musl",
        name: "linux-arm64-musl",
        arch: "aarch64",
        cpu: "arm64",
        glibc: None,
        wheel: "musllinux_1_2",
    },
];

impl Platform {
    /// That of this machine.
    pub fn here() -> Option<&'static Platform> {
        PLATFORMS.iter().find(|platform| platform.is_here())
    }

    /// The C library as npm calls it.
    pub fn libc(&self) -> &'static str {
        if self.glibc.is_some() { "glibc" } else { "musl" }
    }

    /// Whether what is built for it can be tried on this machine.
    pub fn is_here(&self) -> bool {
        self.arch == std::env::consts::ARCH && self.glibc.is_some() == cfg!(target_env = "gnu")
    }

    /// Whether this machine's own tools read its files.
    pub fn is_native(&self) -> bool {
        self.arch == std::env::consts::ARCH
    }

    /// Why it cannot be tried here, if it cannot.
    pub fn untried(&self) -> Option<String> {
        (!self.is_here()).then(|| format!("not tried, for want of {} with {}", self.arch, self.libc()))
    }

    /// Whether the compiler has a standard library for it.
    pub fn has_std(&self, ws: &Workspace) -> Result<bool> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let sysroot = Run::new(rustc).args(["--print", "sysroot"]).dir(&ws.root).text()?;
        Ok(PathBuf::from(sysroot.trim()).join("lib/rustlib").join(self.target).join("lib").is_dir())
    }

    /// Builds the C library, the addon and the command line; answers where they are.
    pub fn build(&self, ws: &Workspace, tools: &Tools) -> Result<PathBuf> {
        self.cargo(tools)
            .args(["axonic-c", "axonic-node", "axonic-cli"].iter().flat_map(|name| ["--package", name]))
            .dir(&ws.root)
            .quiet(ws, &format!("dist-build-{}", self.name))?;
        Ok(self.release(ws))
    }

    /// `cargo build` for it, with zig as linker.
    pub fn cargo(&self, tools: &Tools) -> Run {
        let floor = self.glibc.map(|(major, minor)| format!(".{major}.{minor}")).unwrap_or_default();
        let target = format!("{}{floor}", self.target);
        tools.run("cargo-zigbuild").args(["zigbuild", "--release", "--target"]).arg(target)
    }

    /// Where that puts what it builds.
    pub fn release(&self, ws: &Workspace) -> PathBuf {
        ws.target.join(self.target).join("release")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platforms_agree_with_their_own_names() {
        for platform in PLATFORMS {
            let libc = if platform.glibc.is_some() { "gnu" } else { "musl" };
            assert_eq!(platform.target, format!("{}-unknown-linux-{libc}", platform.arch));
            assert_eq!(platform.name, format!("linux-{}-{libc}", platform.cpu));
        }
        assert!(PLATFORMS.iter().filter(|platform| platform.is_here()).count() == 1);
    }
}
