//! C and C++: what `make install` writes, with the licences and the command line, as one archive.

use super::platform::Platform;
use super::report::Made;
use super::shop::Shop;
use crate::install;
use crate::run::Run;
use crate::symbols;
use crate::test::c::try_installation;
use crate::workspace::VERSION;
use anyhow::{Result, bail};
use std::path::Path;

pub fn archive(shop: &Shop, platform: &Platform, release: &Path) -> Result<Made> {
    let ws = shop.ws;
    let name = format!("axonic-{VERSION}-{}", platform.name);
    let stage = shop.fresh("c-stage")?;
    let tree = stage.join(&name);
    // The prefix of the pkg-config file is relative to that file, so the archive works where it is unpacked.
    install::tree(ws, release, &tree, Path::new("${pcfiledir}/../.."))?;
    if platform.is_native() {
        // The archive carries the standard library's line tables, which cargo does not take out.
        let library = tree.join("lib/libaxonic.a");
        Run::new("strip").arg("--strip-debug").arg(library).quiet(ws, "dist-strip")?;
    }
    shop.licences(&tree)?;
    let file = shop.out.join(format!("{name}.tar.gz"));
    Run::new("tar").arg("-czf").arg(&file).arg("-C").arg(&stage).arg(&name).quiet(ws, "dist-tar")?;
    let said = [seen(shop, platform, &tree)?, tried(shop, platform, &file)?].join("; ");
    Ok(Made { file, said })
}

/// What the shared library exports and needs, and what the command needs.
fn seen(shop: &Shop, platform: &Platform, tree: &Path) -> Result<String> {
    let library = tree.join("lib/libaxonic.so");
    let count = symbols::check_exports(shop.ws, &library)?;
    super::floor(platform, &tree.join("bin/axonic"), &[])?;
    Ok(format!("{}, exports the header's {count} functions", super::floor(platform, &library, &[])?))
}

fn tried(shop: &Shop, platform: &Platform, archive: &Path) -> Result<String> {
    if let Some(why) = platform.untried() {
        return Ok(why);
    }
    let prefix = shop.unpack(archive, "c")?;
    let tally = try_installation(shop.ws, &shop.fresh("c-work")?, &prefix)?;
    if tally.failed > 0 {
        bail!("{}", tally.said.join("\n"));
    }
    Ok("unpacked: pkg-config, static, CMake, `axonic` and the README programs work".to_owned())
}
