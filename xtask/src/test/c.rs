//! C and C++: the programs of `ffi-c/tests` against the staged library, then a real installation
//! used the three ways its users have: pkg-config, CMake, and the static library.

use super::{Tally, blocks};
use crate::artifacts::{c_flags, c_link};
use crate::install;
use crate::run::Run;
use crate::setup::Tool;
use crate::symbols;
use crate::workspace::{Workspace, files_in, write_if_changed};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SMOKE: &str = include_str!("../../templates/smoke.c");
const CMAKE_PROJECT: &str = include_str!("../../templates/CMakeLists.txt");

/// What a test program answers when this machine cannot run it.
const SKIP: i32 = 77;

pub fn programs(ws: &Workspace) -> Result<Tally> {
    let sources = files_in(&ws.path("ffi-c/tests"), |name| name.ends_with(".c") || name.ends_with(".cpp"));
    if sources.is_empty() {
        bail!("ffi-c/tests holds no .c or .cpp program");
    }
    let mut tally = Tally::default();
    for source in sources {
        let name = ws.show(&source);
        match program(ws, &source) {
            Ok(None) => tally.pass(),
            Ok(Some(why)) => tally.skip(format!("{name}: {why}")),
            Err(error) => tally.fail(format!("{name}: {error:#}")),
        }
    }
    Ok(tally)
}

/// Compiles and runs one test; answers why it was skipped, if it was.
fn program(ws: &Workspace, source: &Path) -> Result<Option<String>> {
    let stem =
        source.file_name().and_then(|n| n.to_str()).context("a source without a name")?.replace('.', "-");
    let built = ws.c_prefix().join("tests").join(&stem);
    compile(ws, source, &built)?;
    let outcome = Run::new(&built)
        .dir(&ws.root)
        .limit(Duration::from_secs(120))
        .logged(ws, &format!("test-c-{stem}"))?;
    match outcome.status.and_then(|status| status.code()) {
        Some(0) => Ok(None),
        Some(SKIP) => Ok(Some(outcome.tail(1))),
        _ => bail!("{}\n{}", outcome.ending(), outcome.tail(40)),
    }
}

/// The compiler of a source, and the standards it keeps to.
fn standard(source: &Path) -> (Tool, &'static [&'static str]) {
    match source.extension().and_then(|e| e.to_str()) {
        Some("c") => (Tool::Cc, &["c11"]),
        _ => (Tool::Cxx, &["c++17", "c++20"]),
    }
}

/// Compiles a C or C++ program against the staged library.
pub fn compile(ws: &Workspace, source: &Path, built: &Path) -> Result<()> {
    std::fs::create_dir_all(built.parent().context("no folder")?)?;
    let (tool, standards) = standard(source);
    // Later dialects must accept it too; one program is enough.
    for std in &standards[1..] {
        Run::new(tool.program())
            .args(c_flags(ws, std))
            .arg("-fsyntax-only")
            .arg(source)
            .quiet(ws, "compile")?;
    }
    Run::new(tool.program())
        .args(c_flags(ws, standards[0]))
        .arg(source)
        .args(c_link(ws))
        .arg("-o")
        .arg(built)
        .quiet(ws, "compile")
        .map(drop)
}

/// Installs into a scratch prefix and uses that, and nothing of the build tree.
pub fn installed(ws: &Workspace) -> Result<Tally> {
    let work = ws.scratch("install-check");
    let _ = std::fs::remove_dir_all(&work);
    let prefix = work.join("prefix");
    install::tree(ws, &ws.release(), &prefix, &prefix)?;
    try_installation(ws, &work, &prefix)
}

/// Uses what is installed under `prefix` in every way its users have; `work` is for what that leaves.
pub fn try_installation(ws: &Workspace, work: &Path, prefix: &Path) -> Result<Tally> {
    let source = work.join("smoke.c");
    write_if_changed(&source, SMOKE.as_bytes())?;
    write_if_changed(&work.join("CMakeLists.txt"), install::fill(CMAKE_PROJECT, prefix).as_bytes())?;
    let mut tally = Tally::default();
    let mut check = |what: &str, result: Result<()>| match result {
        Ok(()) => tally.pass(),
        Err(error) => tally.fail(format!("{what}: {error:#}")),
    };
    check(
        "the installed command line",
        Run::new(prefix.join("bin/axonic")).arg("--version").text().map(drop),
    );
    for (what, kind) in [("pkg-config", false), ("pkg-config --static", true)] {
        check(what, with_pkg_config(ws, work, prefix, kind));
    }
    check("CMake", with_cmake(ws, work, prefix));
    check("README.md", readme(ws, work, prefix));
    let library = prefix.join("lib/libaxonic.so");
    check("the exported symbols", symbols::check_exports(ws, &library).map(drop));
    Ok(tally)
}

/// A tool of the machine's, else the one that the Python environment brings along.
fn helper(ws: &Workspace, name: &str, fallback: &str) -> Result<PathBuf> {
    if Run::new(name).arg("--version").text().is_ok() {
        return Ok(PathBuf::from(name));
    }
    crate::setup::python(ws)?;
    Ok(ws.venv().join("bin").join(fallback))
}

/// What pkg-config says of the installation, with the path that the program will need when it runs.
fn flags(ws: &Workspace, prefix: &Path, statically: bool) -> Result<Vec<String>> {
    let mut ask = Run::new(helper(ws, "pkg-config", "pkgconf")?)
        .args(["--cflags", "--libs", "axonic"])
        .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    if statically {
        ask = ask.arg("--static");
    }
    let answer = ask.text()?;
    let mut flags: Vec<String> = answer.split_whitespace().map(str::to_owned).collect();
    if statically {
        let archive = prefix.join("lib/libaxonic.a").display().to_string();
        flags.iter_mut().filter(|flag| *flag == "-laxonic").for_each(|flag| flag.clone_from(&archive));
    } else {
        flags.push(format!("-Wl,-rpath,{}", prefix.join("lib").display()));
    }
    Ok(flags)
}

fn with_pkg_config(ws: &Workspace, work: &Path, prefix: &Path, statically: bool) -> Result<()> {
    let built = work.join(if statically { "with-static" } else { "with-shared" });
    Run::new(Tool::Cc.program())
        .args(["-Wall", "-Werror"])
        .arg(work.join("smoke.c"))
        .args(flags(ws, prefix, statically)?)
        .arg("-o")
        .arg(&built)
        .quiet(ws, "install-compile")?;
    Run::new(&built).quiet(ws, "install-run").map(drop)
}

/// The page's own programs, with nothing but what pkg-config says.
fn readme(ws: &Workspace, work: &Path, prefix: &Path) -> Result<()> {
    let flags = flags(ws, prefix, false)?;
    let start: blocks::Start = &|source, built| {
        let (tool, std) = standard(source);
        Run::new(tool.program())
            .arg(format!("-std={}", std[0]))
            .arg(source)
            .args(&flags)
            .arg("-o")
            .arg(built)
            .quiet(ws, "install-readme")?;
        Ok(Run::new(built))
    };
    blocks::try_page(ws, "README.md", &["c", "cpp"], work, start).map(drop)
}

fn with_cmake(ws: &Workspace, work: &Path, prefix: &Path) -> Result<()> {
    let cmake = helper(ws, "cmake", "cmake")?;
    let build = work.join("build");
    Run::new(&cmake)
        .arg("-S")
        .arg(work)
        .arg("-B")
        .arg(&build)
        .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()))
        .quiet(ws, "install-cmake")?;
    Run::new(&cmake).arg("--build").arg(&build).quiet(ws, "install-cmake-build")?;
    for program in ["with_axonic", "with_axonic_static"] {
        Run::new(build.join(program)).quiet(ws, "install-cmake-run")?;
    }
    Ok(())
}
