//! The committed header against the sources and against the built library: every exported function
//! is declared, every declared one exists, and none is forgotten by the programs beside this folder.

mod declared;

use declared::{calls, declarations};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The texts of the files below a folder that end in one of these ways.
fn texts(folder: &Path, endings: &[&str]) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let wanted =
        |path: &Path| path.extension().is_some_and(|e| endings.contains(&e.to_str().unwrap_or_default()));
    let of = |path: PathBuf| match path.is_dir() {
        true => texts(&path, endings),
        false if wanted(&path) => vec![fs::read_to_string(path).unwrap()],
        false => Vec::new(),
    };
    entries.flat_map(of).collect()
}

/// What the sources export: the name after each `extern "C" fn` that is not mangled.
fn exported() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in texts(&here().join("src"), &["rs"]) {
        for (at, _) in text.match_indices("#[unsafe(no_mangle)]") {
            let signature = text[at..].split_once("extern \"C\" fn ").expect("an exported function").1;
            found.insert(signature.split('(').next().unwrap_or_default().to_owned());
        }
    }
    found
}

/// What the header declares.
fn declared() -> BTreeSet<String> {
    declarations(&fs::read_to_string(here().join("../include/axonic.h")).unwrap())
}

#[test]
fn the_header_declares_what_is_exported_and_nothing_else() {
    let (exported, declared) = (exported(), declared());
    assert!(exported.len() > 50, "found only {exported:?}");
    assert_eq!(exported, declared);
    assert!(exported.len() < 200, "{} functions cannot be read in one sitting", exported.len());
}

#[test]
fn every_function_and_macro_is_used_by_a_test_program() {
    let programs = texts(&here().join("tests"), &["c", "h"]).concat();
    let used = calls(&programs);
    let unused: Vec<_> = declared().into_iter().filter(|name| !used.contains(name)).collect();
    assert!(unused.is_empty(), "no program in ffi-c/tests calls {unused:?}");

    let header = fs::read_to_string(here().join("../include/axonic.h")).unwrap();
    let macros = header.lines().filter_map(|line| line.strip_prefix("#define "));
    let names = macros.filter_map(|line| line.split(|c: char| !(c.is_alphanumeric() || c == '_')).next());
    let untested: Vec<_> = names.filter(|name| *name != "AXONIC_H" && !programs.contains(name)).collect();
    assert!(untested.is_empty(), "no program in ffi-c/tests uses {untested:?}");
}

#[test]
fn cpp_covers_every_function_and_every_kind_of_error() {
    let faces = texts(&here().join("../include/axonic"), &["hpp"]).concat()
        + &fs::read_to_string(here().join("../include/axonic.hpp")).unwrap();
    // Passed as pointers as often as called, so plain words are looked for.
    let missing: Vec<_> = declared().into_iter().filter(|name| !faces.contains(name)).collect();
    assert!(missing.is_empty(), "axonic.hpp does not reach {missing:?}");
    for kind in axonic::ErrorKind::ALL {
        let line = format!("using {0}Error = ErrorOf<ErrorKind::{0}>;", kind.name());
        assert!(faces.contains(&line), "axonic.hpp has no `{line}`");
    }
}
