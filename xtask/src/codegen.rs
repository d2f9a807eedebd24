//! `cargo xtask codegen`: `include/axonic.h` is generated from `ffi-c` and committed, so that C
//! users need no Rust; `--check` fails when the two have drifted apart.

use crate::workspace::{Workspace, write_if_changed};
use anyhow::{Context, Result, bail};

const HEADER: &str = "include/axonic.h";

pub fn run(ws: &Workspace, check: bool) -> Result<()> {
    let wanted = header(ws)?;
    let path = ws.path(HEADER);
    if !check {
        let changed = write_if_changed(&path, wanted.as_bytes())?;
        println!("  {HEADER}: {}", if changed { "written" } else { "already current" });
        return Ok(());
    }
    let has = std::fs::read_to_string(&path).with_context(|| format!("reading {HEADER}"))?;
    match drift(&has, &wanted) {
        Some(what) => bail!("{HEADER} differs from what ffi-c says ({what}); run `cargo xtask codegen`"),
        None => Ok(()),
    }
}

fn header(ws: &Workspace) -> Result<String> {
    let dir = ws.path("ffi-c");
    let config = cbindgen::Config::from_file(dir.join("cbindgen.toml"))
        .map_err(|e| anyhow::anyhow!("ffi-c/cbindgen.toml: {e}"))?;
    let bindings =
        cbindgen::generate_with_config(&dir, config).context("generating the header from ffi-c")?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).context("the generated header is not UTF-8")
}

/// Where two texts first differ.
fn drift(has: &str, wanted: &str) -> Option<String> {
    if has == wanted {
        return None;
    }
    let line = has.lines().zip(wanted.lines()).take_while(|(a, b)| a == b).count();
    let at = |text: &str| text.lines().nth(line).unwrap_or("its end").trim().to_owned();
    Some(format!("line {}: has `{}`, wants `{}`", line + 1, at(has), at(wanted)))
}

#[cfg(test)]
mod tests {
    use super::drift;

    #[test]
    fn drift_names_the_first_line_that_differs() {
        assert_eq!(drift("a\nb\n", "a\nb\n"), None);
        assert_eq!(drift("a\nb\n", "a\nc\n").unwrap(), "line 2: has `b`, wants `c`");
        assert_eq!(drift("a\n", "a\nc\n").unwrap(), "line 2: has `its end`, wants `c`");
        assert!(drift("a", "a\n").is_some());
    }
}
