//! What a built library gives and what it needs, as its dynamic symbols say.

#[path = "../../ffi-c/tests/header/declared.rs"]
mod declared;

use crate::run::Run;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::path::Path;

/// A version of glibc; symbols tell in which one they came.
pub type Glibc = (u32, u32);

/// One dynamic symbol: what `readelf` prints as `name@VERSION`.
#[derive(Debug, PartialEq, Eq)]
struct Symbol {
    name: String,
    /// The oldest glibc that has what is needed; `None` for what has no version of glibc.
    glibc: Option<Glibc>,
    defined: bool,
    /// Needed by a name alone: the file does not load where nobody has it. The linker leaves a function
    /// like that when the glibc it links against does not know it.
    bare: bool,
}

/// Fails unless the shared library exports exactly the functions that `axonic.h` declares.
pub fn check_exports(ws: &Workspace, library: &Path) -> Result<usize> {
    let header = std::fs::read_to_string(ws.path("include/axonic.h")).context("reading axonic.h")?;
    let symbols = dynamic(library)?;
    let exported: BTreeSet<String> = symbols.into_iter().filter(|s| s.defined).map(|s| s.name).collect();
    differ(&declared::declarations(&header), &exported)?;
    Ok(exported.len())
}

fn differ(declared: &BTreeSet<String>, exported: &BTreeSet<String>) -> Result<()> {
    let only = |these: &BTreeSet<String>, those| these.difference(those).cloned().collect::<Vec<_>>();
    let (leaked, missing) = (only(exported, declared), only(declared, exported));
    if !leaked.is_empty() || !missing.is_empty() {
        bail!("the library exports {leaked:?}, which axonic.h does not declare, and lacks {missing:?}");
    }
    Ok(())
}

/// Fails when `file` needs a symbol of a glibc newer than `floor` (`None`: of any glibc), or one that neither
/// that glibc has nor the program that loads the file, whose symbols begin like `loader`; answers the newest
/// glibc it needs.
pub fn check_glibc(file: &Path, floor: Option<Glibc>, loader: &[&str]) -> Result<Option<Glibc>> {
    let needed: Vec<Symbol> = dynamic(file)?.into_iter().filter(|s| !s.defined).collect();
    let above: Vec<String> = needed.iter().filter_map(|symbol| too_new(symbol, floor, loader)).collect();
    if !above.is_empty() {
        bail!("{} needs what is newer than its floor: {}", file.display(), above.join(", "));
    }
    Ok(needed.iter().filter_map(|symbol| symbol.glibc).max())
}

fn too_new(symbol: &Symbol, floor: Option<Glibc>, loader: &[&str]) -> Option<String> {
    let name = &symbol.name;
    match (symbol.glibc, floor) {
        (Some((major, minor)), floor) if floor.is_none_or(|floor| (major, minor) > floor) => {
            Some(format!("{name} of glibc {major}.{minor}"))
        }
        // musl gives its symbols no versions.
        (None, Some((major, minor)))
            if symbol.bare && !loader.iter().any(|start| name.starts_with(start)) =>
        {
            Some(format!("{name}, which glibc {major}.{minor} does not have"))
        }
        _ => None,
    }
}

fn dynamic(file: &Path) -> Result<Vec<Symbol>> {
    let text = Run::new("readelf").args(["--dyn-syms", "--wide"]).arg(file).text()?;
    let symbols: Vec<Symbol> = text.lines().filter_map(symbol).collect();
    if symbols.is_empty() {
        bail!("readelf sees no dynamic symbol in {}", file.display());
    }
    Ok(symbols)
}

/// `12: 0000000000000000 0 FUNC GLOBAL DEFAULT UND malloc@GLIBC_2.2.5 (2)`; aarch64 may put a note in
/// brackets before the section.
fn symbol(line: &str) -> Option<Symbol> {
    let mut words = line.split_whitespace();
    words.next()?.strip_suffix(':')?.parse::<u32>().ok()?;
    let mut words = words.skip(3);
    let binding = words.next()?;
    let mut words = words.skip(1).skip_while(|word| word.starts_with('['));
    let section = words.next()?;
    let whole = words.next()?;
    let (name, version) = whole.split_once('@').unwrap_or((whole, ""));
    let glibc = version.trim_start_matches('@').strip_prefix("GLIBC_").and_then(|version| {
        let mut numbers = version.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    let defined = section != "UND";
    let bare = !defined && version.is_empty() && binding != "WEAK";
    Some(Symbol { name: name.to_owned(), glibc, defined, bare })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_read_from_what_readelf_prints() {
        let read = |line| symbol(line).map(|s| (s.name, s.glibc, s.defined));
        let known = |name: &str, glibc, defined| Some((name.to_owned(), glibc, defined));
        assert_eq!(
            read("     4: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND statx@GLIBC_2.28 (4)"),
            known("statx", Some((2, 28)), false)
        );
        assert_eq!(
            read("   9: 000000000004a 17 FUNC GLOBAL DEFAULT [VARIANT_PCS] 14 axonic_publish"),
            known("axonic_publish", None, true)
        );
        assert_eq!(
            read("   2: 0000000000000000     0 NOTYPE  WEAK   DEFAULT  UND _ITM_register"),
            known("_ITM_register", None, false)
        );
        assert_eq!(read("   Num:    Value          Size Type    Bind   Vis      Ndx Name"), None);
        assert_eq!(read("     0: 0000000000000000     0 NOTYPE  LOCAL  DEFAULT  UND "), None);
    }

    #[test]
    fn what_leaks_and_what_is_missing_is_named() {
        let set = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<BTreeSet<_>>();
        assert!(differ(&set(&["a", "b"]), &set(&["b", "a"])).is_ok());
        let said = differ(&set(&["a", "b"]), &set(&["b", "c"])).unwrap_err().to_string();
        assert!(said.contains("exports [\"c\"]") && said.contains("lacks [\"a\"]"), "{said}");
    }

    #[test]
    fn what_an_old_glibc_lacks_is_too_new() {
        let judged = |line: &str, floor| too_new(&symbol(line).unwrap(), floor, &["Py"]);
        let (floor, start) = (Some((2, 17)), "1: 0 0 FUNC ");
        let needs = |rest: &str, floor| judged(&format!("{start}{rest}"), floor);
        assert_eq!(needs("GLOBAL DEFAULT UND malloc@GLIBC_2.2.5 (2)", floor), None);
        assert_eq!(needs("WEAK DEFAULT UND getrandom", floor), None);
        assert_eq!(needs("GLOBAL DEFAULT UND PyList_New", floor), None);
        assert_eq!(needs("GLOBAL DEFAULT UND memfd_create", None), None, "musl's");
        let said = needs("GLOBAL DEFAULT UND memfd_create", floor);
        assert_eq!(said.as_deref(), Some("memfd_create, which glibc 2.17 does not have"));
        let said = needs("WEAK DEFAULT UND statx@GLIBC_2.28 (3)", floor);
        assert_eq!(said.as_deref(), Some("statx of glibc 2.28"));
        assert!(needs("GLOBAL DEFAULT UND malloc@GLIBC_2.2.5 (2)", None).is_some(), "musl's needs no glibc");
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn a_program_of_this_machine_needs_some_glibc_and_not_the_first() {
        let program = std::env::current_exe().unwrap();
        let newest = check_glibc(&program, Some((9, 0)), &[]).unwrap();
        assert!(newest.is_some_and(|version| version >= (2, 2)), "{newest:?}");
        let said = check_glibc(&program, Some((2, 1)), &[]).unwrap_err().to_string();
        assert!(said.contains("newer than its floor") && said.contains("of glibc 2."), "{said}");
    }
}
