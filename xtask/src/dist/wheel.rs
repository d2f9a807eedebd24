//! Python: one wheel per platform that serves every version (abi3), the sources, and wheels for
//! free-threaded interpreters, which have no stable ABI yet.

use super::platform::Platform;
use super::report::{Made, Report};
use super::shop::Shop;
use super::tools::Tools;
use crate::run::Run;
use crate::setup::Tool;
use crate::test::blocks;
use crate::workspace::files_below;
use anyhow::{Context, Result, bail};
use std::path::Path;

/// Interpreters without the global lock that a machine may have; the first that PyO3 serves is 3.14's.
const FREE_THREADED: [&str; 2] = ["python3.14t", "python3.15t"];

const DEVELOPMENT: &str = "bindings-python/requirements-dev.txt";

/// Built by maturin with zig as linker; for one `interpreter`, or for all.
pub fn wheel(shop: &Shop, tools: &Tools, platform: &Platform, interpreter: Option<&str>) -> Result<Made> {
    let dir = shop.fresh("wheel")?;
    sources(shop)?;
    tools
        .maturin("maturin")
        .args(["build", "--release", "--zig", "--target", platform.target])
        .args(["--compatibility", platform.wheel, "--out"])
        .arg(&dir)
        .args(interpreter.iter().flat_map(|name| ["--interpreter", name]))
        .dir(&shop.ws.path("bindings-python"))
        .quiet(shop.ws, &format!("dist-wheel-{}", platform.name))?;
    let file = shop.finish(&dir, ".whl")?;
    let mut said = vec![loads(shop, tools, platform, &file)?];
    said.push(match platform.untried() {
        Some(why) => why,
        None => try_wheel(shop, &file, interpreter)?,
    });
    Ok(Made { file, said: said.join("; ") })
}

/// maturin packs what it finds, what this machine's interpreter left there included.
fn sources(shop: &Shop) -> Result<()> {
    let cache = shop.ws.path("bindings-python/python/axonic/__pycache__");
    if cache.exists() {
        std::fs::remove_dir_all(&cache).with_context(|| format!("removing {}", cache.display()))?;
    }
    Ok(())
}

/// Where the wheel loads: as auditwheel sees it, and as the symbols of its library say.
fn loads(shop: &Shop, tools: &Tools, platform: &Platform, wheel: &Path) -> Result<String> {
    let shown = tools.run("auditwheel").arg("show").arg(wheel).quiet(shop.ws, "dist-auditwheel")?;
    let tag = tag(&shown.output).context("auditwheel names no platform tag")?;
    let promised = match platform.glibc {
        Some((major, minor)) => format!("manylinux_{major}_{minor}_"),
        None => format!("{}_", platform.wheel),
    };
    if !tag.starts_with(&promised) {
        bail!("auditwheel says {tag}, not {promised}*:\n{}", shown.output);
    }
    let unpacked = shop.fresh("wheel-files")?;
    tools
        .run("python")
        .args(["-m", "zipfile", "-e"])
        .arg(wheel)
        .arg(&unpacked)
        .quiet(shop.ws, "dist-unzip")?;
    let library = files_below(&unpacked, "so").pop().context("the wheel holds no library")?;
    Ok(format!("{tag}, {}", super::floor(platform, &library, &["Py", "_Py"])?))
}

/// The tag in `... is consistent with the following platform tag: "manylinux_2_17_x86_64".`, which may be
/// broken over lines anywhere.
fn tag(shown: &str) -> Option<String> {
    let (_, rest) = shown.split_once("tag:")?;
    rest.split('"').nth(1).map(str::to_owned)
}

/// Installs the wheel into an environment of its own and runs the lines of its page.
fn try_wheel(shop: &Shop, wheel: &Path, interpreter: Option<&str>) -> Result<String> {
    let ws = shop.ws;
    let place = shop.fresh("python")?;
    let bin = place.join("venv/bin");
    let base = interpreter.map_or_else(|| Tool::Python.program(), str::to_owned);
    Run::new(base).args(["-m", "venv"]).arg(place.join("venv")).quiet(ws, "dist-venv")?;
    let pip = || {
        Run::new(bin.join("python")).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
    };
    pip().args(["--no-index", "--no-deps"]).arg(wheel).quiet(ws, "dist-pip")?;
    Run::new(bin.join("python")).args(["-c", "import axonic"]).dir(&place).quiet(ws, "dist-import")?;
    Run::new(bin.join("axonic")).arg("--version").dir(&place).quiet(ws, "dist-wheel-cli")?;
    // The page's arrays are numpy's, which the package itself does without.
    pip().arg("--constraint").arg(ws.path(DEVELOPMENT)).arg("numpy").quiet(ws, "dist-numpy")?;
    let start: blocks::Start = &|source, _| Ok(Run::new(bin.join("python")).arg(source));
    let count = blocks::try_page(ws, "bindings-python/README.md", &["python"], &place, start)?
        + blocks::try_page(ws, "README.md", &["python"], &place, start)?;
    Ok(format!("installed: imports, brings `axonic`, runs {count} README programs"))
}

/// The sources that `pip` builds a wheel from where there is none; tried by doing that.
///
/// That build takes the linker and the folder of the wheel's, which has compiled every dependency.
pub fn sdist(shop: &Shop, tools: &Tools) -> Result<Made> {
    let ws = shop.ws;
    let here = Platform::here().context("an unknown machine")?;
    let dir = shop.fresh("sdist")?;
    sources(shop)?;
    tools
        .maturin("maturin")
        .args(["sdist", "--out"])
        .arg(&dir)
        .dir(&ws.path("bindings-python"))
        .quiet(ws, "dist-sdist")?;
    let file = shop.finish(&dir, ".tar.gz")?;
    tools
        .maturin("python")
        .args(["-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "--no-index"])
        .arg("--wheel-dir")
        .arg(&dir)
        .arg(&file)
        .env("MATURIN_PEP517_ARGS", format!("--zig --target {} --compatibility {}", here.target, here.wheel))
        .dir(&dir)
        .quiet(ws, "dist-sdist-build")?;
    let wheels = crate::workspace::files_in(&dir, |name| name.ends_with(".whl"));
    let said = try_wheel(shop, wheels.first().context("pip made no wheel of the sources")?, None)?;
    Ok(Made { file, said: format!("pip builds it; {said}") })
}

/// A wheel for each free-threaded interpreter of this machine.
pub fn free_threaded(shop: &Shop, tools: &Tools, report: &mut Report) {
    let here = Platform::here();
    for name in FREE_THREADED {
        let what = format!("wheel {name}");
        match here {
            Some(platform) if Run::new(name).arg("--version").text().is_ok() => {
                report.make(&what, || wheel(shop, tools, platform, Some(name)));
            }
            _ => report.skipped(&what, "this machine has no such interpreter"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tag;

    #[test]
    fn the_tag_is_read_out_of_what_auditwheel_says() {
        let said =
            "x.whl is\nconsistent with the following platform tag:\n\"manylinux_2_17_x86_64\".\n\nmore";
        assert_eq!(tag(said).as_deref(), Some("manylinux_2_17_x86_64"));
        assert_eq!(tag("nothing"), None);
    }
}
