//! The floors check: a floor of `ipc-core` uses the floors below it and never one above, and only
//! `sys/` and `host/sandbox` touch the crates that speak to the operating system.
//!
//! Works on tokens, not on lines: comments and strings never count, macro bodies do, and a name
//! re-exported by `lib.rs` counts for the floor it comes from.

use crate::workspace::{Workspace, files_below};
use anyhow::{Context, Result, bail};
use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The floors from the ground up, each with the root modules on it.
const FLOORS: &[(&str, &[&str])] = &[
    ("error, log, name, status, value, schema", &["error", "log", "name", "status", "value", "schema"]),
    ("sys", &["sys"]),
    ("domain", &["domain"]),
    ("mechanisms", &["mechanisms", "wait", "inspect", "unlink"]),
    ("patterns", &["patterns"]),
    ("host", &["host"]),
    ("bridges", &["bridges"]),
];

/// Crates through which code talks to the kernel.
const OS_CRATES: &[&str] = &["libc", "nix", "memmap2", "rustix", "landlock", "seccompiler"];

/// The modules that may use [`OS_CRATES`].
const OS_ROOMS: &[&[&str]] = &[&["sys"], &["host", "sandbox"]];

/// One broken rule at one place.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    pub file: PathBuf,
    pub line: usize,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

/// Where the names in the crate's root come from: modules stand for themselves, names that
/// `lib.rs` re-exports for the module that defines them.
#[derive(Default)]
struct Root(HashMap<String, String>);

impl Root {
    fn read(lib: TokenStream) -> Root {
        let mut root = Root::default();
        for (_, modules) in FLOORS {
            root.0.extend(modules.iter().map(|m| ((*m).to_owned(), (*m).to_owned())));
        }
        let tokens: Vec<TokenTree> = lib.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            if is_ident(token, "use") {
                let tail = tokens[at + 1..].iter().take_while(|t| !is_punct(t, ';')).cloned().collect();
                for path in use_tree(tail) {
                    let path: Vec<String> =
                        path.into_iter().filter(|p| p != "crate" && p != "self").collect();
                    if let (Some(module), Some(name)) = (path.first(), path.last()) {
                        root.0.insert(name.clone(), module.clone());
                    }
                }
            }
        }
        root
    }

    fn floor(&self, name: &str) -> Option<usize> {
        let module = self.0.get(name)?;
        FLOORS.iter().position(|(_, modules)| modules.contains(&module.as_str()))
    }
}

/// Checks every source file of `ipc-core`; an error lists each violation.
pub fn run(ws: &Workspace) -> Result<()> {
    let found = check(&ws.path("ipc-core/src"))?;
    if found.is_empty() {
        println!("  floors: every import looks down");
        return Ok(());
    }
    let lines: Vec<String> = found.iter().map(|v| format!("  ipc-core/src/{v}")).collect();
    bail!("{} import(s) break the floors:\n{}", found.len(), lines.join("\n"))
}

/// Every violation below `src`, which holds `lib.rs`.
pub fn check(src: &Path) -> Result<Vec<Violation>> {
    let root = Root::read(tokens(&src.join("lib.rs"))?);
    let mut found = Vec::new();
    let files = files_below(src, "rs");
    for file in &files {
        let inside = file.strip_prefix(src)?;
        if inside != Path::new("lib.rs") {
            found.extend(check_file(&root, inside, tokens(file)?));
        }
    }
    if files.len() < 2 {
        bail!("{} holds no module to check", src.display());
    }
    Ok(found)
}

fn tokens(file: &Path) -> Result<TokenStream> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    TokenStream::from_str(&text).map_err(|e| anyhow::anyhow!("{} is not Rust: {e}", file.display()))
}

/// The module a file stands for: `domain/mod.rs` and `domain.rs` are both `domain`.
fn module_of(file: &Path) -> Vec<String> {
    let mut module: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

fn check_file(root: &Root, file: &Path, tokens: TokenStream) -> Vec<Violation> {
    let module = module_of(file);
    let mut scan = Scan { root, file, home: module.clone(), found: Vec::new() };
    match root.floor(&module[0]) {
        Some(_) => scan.walk(tokens, &module),
        None => {
            scan.report(1, format!("module `{}` has no floor; give it one in xtask/src/floors.rs", module[0]))
        }
    }
    scan.found
}

struct Scan<'a> {
    root: &'a Root,
    file: &'a Path,
    home: Vec<String>,
    found: Vec<Violation>,
}

impl Scan<'_> {
    fn report(&mut self, line: usize, what: String) {
        let violation = Violation { file: self.file.to_path_buf(), line, what };
        if !self.found.contains(&violation) {
            self.found.push(violation);
        }
    }

    /// Looks at every path in the tokens; `module` is the one they stand in.
    fn walk(&mut self, tokens: TokenStream, module: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => {
                    let mut inner = module.to_vec();
                    if let Some(name) = inline_module(&tokens, at) {
                        inner.push(name);
                    }
                    self.walk(group.stream(), &inner);
                }
                TokenTree::Ident(ident) => self.look(ident, &tokens, at, module),
                _ => {}
            }
        }
    }

    fn look(&mut self, ident: &Ident, tokens: &[TokenTree], at: usize, module: &[String]) {
        let name = ident.to_string();
        if OS_CRATES.contains(&name.as_str()) && (joined(tokens, at + 1) || imported(tokens, at)) {
            self.os_crate(&name, ident.span().start().line);
        }
        if !matches!(name.as_str(), "crate" | "super" | "self") || after_colons(tokens, at) {
            return;
        }
        let tail = tokens[at..].to_vec();
        for path in use_tree(path_only(tail)) {
            if let Some(target) = resolve(&path, module) {
                self.reference(&target, ident.span().start().line);
            }
        }
    }

    fn os_crate(&mut self, name: &str, line: usize) {
        let allowed = OS_ROOMS
            .iter()
            .any(|room| self.home.len() >= room.len() && room.iter().zip(&self.home).all(|(a, b)| a == b));
        if !allowed {
            self.report(line, format!("`{name}` may be used only in sys and host/sandbox"));
        }
    }

    /// `target` is a name in the crate's root that this file refers to.
    fn reference(&mut self, target: &str, line: usize) {
        let from = self.root.floor(&self.home[0]);
        match (from, self.root.floor(target)) {
            (Some(from), Some(to)) if to > from => {
                let (from, to) = (FLOORS[from].0, FLOORS[to].0);
                self.report(line, format!("`{from}` climbs to `{to}` through `{target}`"));
            }
            (_, None) => {
                self.report(
                    line,
                    format!("`crate::{target}` has no floor; give it one in xtask/src/floors.rs"),
                );
            }
            _ => {}
        }
    }
}

/// The name in the crate's root a path leads to; `None` when it stays inside the root's own module
/// of the file (or names nothing, as in `pub(crate)`).
fn resolve(path: &[String], module: &[String]) -> Option<String> {
    let path: Vec<&String> = path.iter().filter(|part| *part != "self").collect();
    let supers = path.iter().take_while(|part| **part == "super").count();
    if supers == 0 {
        return path.get(1).map(|name| (*name).clone());
    }
    if supers >= module.len() {
        return path.get(supers).map(|name| (*name).clone());
    }
    None
}

/// The leading path of these tokens: identifiers joined by `::`, with a final `{…}` if there is one.
fn path_only(tokens: Vec<TokenTree>) -> TokenStream {
    let mut end = 1;
    while joined(&tokens, end) {
        match tokens.get(end + 2) {
            Some(TokenTree::Ident(_)) => end += 3,
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                end += 3;
                break;
            }
            _ => break,
        }
    }
    tokens.into_iter().take(end).collect()
}

/// Flattens `a::{b, c::{d as e}, f::*}` into its paths; a renamed one ends in its new name too.
fn use_tree(tokens: TokenStream) -> Vec<Vec<String>> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut paths = Vec::new();
    for part in tokens.split(|t| is_punct(t, ',')) {
        let mut path = Vec::new();
        let mut grouped = false;
        for token in part {
            match token {
                TokenTree::Ident(ident) if *ident != "as" => path.push(ident.to_string()),
                TokenTree::Group(group) => {
                    grouped = true;
                    for tail in use_tree(group.stream()) {
                        paths.push(path.iter().cloned().chain(tail).collect());
                    }
                }
                _ => {}
            }
        }
        if !grouped && !path.is_empty() {
            paths.push(path);
        }
    }
    paths
}

/// Whether `::` stands at `at`.
fn joined(tokens: &[TokenTree], at: usize) -> bool {
    tokens.get(at).is_some_and(|t| is_punct(t, ':')) && tokens.get(at + 1).is_some_and(|t| is_punct(t, ':'))
}

/// Whether the identifier at `at` continues a path that began earlier.
fn after_colons(tokens: &[TokenTree], at: usize) -> bool {
    at >= 2 && joined(tokens, at - 2)
}

/// `use libc;`, `use nix as n;`, `extern crate libc;`
fn imported(tokens: &[TokenTree], at: usize) -> bool {
    at >= 1 && (is_ident(&tokens[at - 1], "use") || is_ident(&tokens[at - 1], "crate"))
}

/// The name of the module whose body is the group at `at`.
fn inline_module(tokens: &[TokenTree], at: usize) -> Option<String> {
    match (at.checked_sub(2).map(|i| &tokens[i]), at.checked_sub(1).map(|i| &tokens[i])) {
        (Some(keyword), Some(TokenTree::Ident(name))) if is_ident(keyword, "mod") => Some(name.to_string()),
        _ => None,
    }
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn is_punct(token: &TokenTree, c: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == c)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "
        pub mod sys; mod domain; mod mechanisms;
        pub use domain::{Domain, ParticipantId as Participant};
        pub use crate::error::{Error, Result};
        pub use mechanisms::topic::Publisher;";

    fn found(file: &str, text: &str) -> Vec<String> {
        let root = Root::read(TokenStream::from_str(LIB).unwrap());
        let tokens = TokenStream::from_str(text).unwrap();
        check_file(&root, Path::new(file), tokens).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn looking_down_and_sideways_is_fine() {
        assert_eq!(
            found("domain/mod.rs", "use crate::{Error, sys::{map::Mapping, fd}}; use super::error;"),
            [""; 0]
        );
        assert_eq!(
            found("mechanisms/topic/ring.rs", "use super::super::region::Region; use crate::Domain;"),
            [""; 0]
        );
        assert_eq!(
            found("sys/mod.rs", "pub(crate) fn f() -> crate::Result<()> { libc::getpid(); Ok(()) }"),
            [""; 0]
        );
        assert_eq!(found("host/sandbox/seal.rs", "use landlock::Ruleset;"), [""; 0]);
    }

    #[test]
    fn a_climbing_import_is_caught_in_every_spelling() {
        let expected = "sys/map.rs:1: `sys` climbs to `domain` through `domain`";
        for text in [
            "use crate::domain::Domain;",
            "use crate::{error::Error, domain::{self, Domain}};",
            "fn f() { crate::domain::open(); }",
            "use super::super::domain::Domain;",
            "use self::super::super::domain::Domain;",
            "mod tests { use super::super::super::domain; }",
            "macro_rules! m { () => { $crate::domain::open() } }",
            "pub(in crate::domain) fn f() {}",
        ] {
            assert_eq!(found("sys/map.rs", text), [expected], "{text}");
        }
    }

    #[test]
    fn a_re_export_counts_for_the_floor_it_comes_from() {
        let domain = "sys/fd.rs:1: `sys` climbs to `domain` through `Domain`";
        assert_eq!(found("sys/fd.rs", "use crate::Domain;"), [domain]);
        let renamed = "sys/fd.rs:1: `sys` climbs to `domain` through `Participant`";
        assert_eq!(found("sys/fd.rs", "use crate::Participant;"), [renamed]);
        let topic = "domain/mod.rs:2: `domain` climbs to `mechanisms` through `Publisher`";
        assert_eq!(found("domain/mod.rs", "\nuse crate::{Error, Publisher};"), [topic]);
    }

    #[test]
    fn os_crates_stay_in_their_rooms() {
        let expected = "domain/mod.rs:1: `libc` may be used only in sys and host/sandbox";
        for text in [
            "use libc;",
            "use libc::c_int;",
            "fn f() { unsafe { ::libc::getpid() }; }",
            "use crate::sys::libc::c_int;",
        ] {
            assert_eq!(found("domain/mod.rs", text), [expected], "{text}");
        }
        assert_eq!(found("host/plugin.rs", "use nix::sched::clone;").len(), 1);
    }

    #[test]
    fn comments_strings_and_fields_do_not_count() {
        let text = "/// Not crate::domain::Domain, nor libc::mmap.\nfn f(x: X) { let s = \"crate::host::Plugin\"; x.libc; }";
        assert_eq!(found("sys/map.rs", text), [""; 0]);
    }

    #[test]
    fn what_has_no_floor_must_be_given_one() {
        assert_eq!(
            found("misc.rs", "")[0],
            "misc.rs:1: module `misc` has no floor; give it one in xtask/src/floors.rs"
        );
        assert!(found("sys/map.rs", "use crate::Unheard;")[0].contains("`crate::Unheard` has no floor"));
    }
}
