//! `cargo xtask install`: headers, libraries, pkg-config file, CMake package and the command line
//! under a prefix. The same code stages the C library under `target/c`, so that what the tests
//! link with is what a user gets.

use crate::artifacts::{self, SONAME, Skin};
use crate::setup::{self, Tool, link};
use crate::workspace::{VERSION, Workspace, copy_if_changed, write_if_changed};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// What a program linked with the static library needs besides it. Compilers add their unwinder themselves: gcc_s, or
/// what stands for it in a program that is wholly static.
const STATIC_LIBS: &[&str] = &["util", "rt", "pthread", "m", "dl", "c"];

pub const PC: &str = include_str!("../templates/axonic.pc.in");
const CMAKE: &str = include_str!("../templates/AxonicConfig.cmake.in");
pub const CMAKE_VERSION: &str = include_str!("../templates/AxonicConfigVersion.cmake.in");

/// Installs under `prefix`; `destdir` goes before it, as packagers expect.
pub fn run(ws: &Workspace, prefix: &Path, destdir: Option<&Path>) -> Result<()> {
    if !prefix.is_absolute() {
        bail!("PREFIX must be an absolute path, not {}", prefix.display());
    }
    setup::require(&[Tool::Cc])?;
    artifacts::build(ws, &[Skin::C, Skin::Cli])?;
    let into = match destdir {
        Some(dir) => ws.root.join(dir).join(prefix.strip_prefix("/")?),
        None => prefix.to_path_buf(),
    };
    tree(ws, &ws.release(), &into, prefix).with_context(|| format!("installing under {}", into.display()))?;
    println!("installed under {}: include, lib, lib/pkgconfig, lib/cmake/Axonic, bin/axonic", into.display());
    Ok(())
}

/// Writes a whole installation of what is built in `release` into `into`.
pub fn tree(ws: &Workspace, release: &Path, into: &Path, prefix: &Path) -> Result<()> {
    c_tree(ws, release, into, prefix)?;
    copy_program(&artifacts::released(release, "axonic")?, &into.join("bin/axonic"))
}

/// Writes the C side of an installation into `into`; `prefix` is where it will be found later.
pub fn c_tree(ws: &Workspace, release: &Path, into: &Path, prefix: &Path) -> Result<()> {
    let headers = artifacts::headers(ws);
    if headers.is_empty() {
        bail!("include/ holds no header; `cargo xtask codegen` writes include/axonic.h");
    }
    for header in headers {
        copy_if_changed(&header, &into.join(header.strip_prefix(&ws.root)?))?;
    }
    let lib = into.join("lib");
    let full = format!("libaxonic.so.{VERSION}");
    copy_program(&artifacts::released(release, "libaxonic_c.so")?, &lib.join(&full))?;
    copy_if_changed(&artifacts::released(release, "libaxonic_c.a")?, &lib.join("libaxonic.a"))?;
    link(&lib.join(SONAME), Path::new(&full))?;
    link(&lib.join("libaxonic.so"), Path::new(SONAME))?;
    write_if_changed(&lib.join("pkgconfig/axonic.pc"), fill(PC, prefix).as_bytes())?;
    let cmake = lib.join("cmake/Axonic");
    write_if_changed(&cmake.join("AxonicConfig.cmake"), fill(CMAKE, prefix).as_bytes())?;
    write_if_changed(&cmake.join("AxonicConfigVersion.cmake"), fill(CMAKE_VERSION, prefix).as_bytes())?;
    Ok(())
}

/// Replaces the `@NAMES@` of a template.
pub fn fill(template: &str, prefix: &Path) -> String {
    let flags: Vec<String> = STATIC_LIBS.iter().map(|lib| format!("-l{lib}")).collect();
    template
        .replace("@PREFIX@", &prefix.display().to_string())
        .replace("@VERSION@", VERSION)
        .replace("@SONAME@", SONAME)
        .replace("@STATIC_LIBS@", &flags.join(" "))
        .replace("@CMAKE_STATIC_LIBS@", &STATIC_LIBS.join(";"))
}

fn copy_program(from: &Path, to: &PathBuf) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    copy_if_changed(from, to)?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755))
        .with_context(|| format!("making {} executable", to.display()))
}
