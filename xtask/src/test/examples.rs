//! `examples/<noun>/<noun>.{rs,c,cpp,py,mjs}`: the same small program in every language, each of
//! which must print exactly `examples/<noun>/expected.txt`. And the demonstration, which checks itself, on odd files.

use super::{Tally, c::compile};
use crate::artifacts::rust_externs;
use crate::run::Run;
use crate::setup::Tool;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LANGUAGES: &[&str] = &["rs", "c", "cpp", "py", "mjs"];

pub fn run(ws: &Workspace) -> Result<Tally> {
    let nouns = nouns(&ws.path("examples"));
    if nouns.is_empty() {
        bail!("examples/ holds no folder with an expected.txt");
    }
    let externs = rust_externs(ws)?;
    let mut tally = Tally::default();
    for noun in nouns {
        let name = noun.file_name().and_then(|n| n.to_str()).context("a folder without a name")?;
        let expected = std::fs::read_to_string(noun.join("expected.txt"));
        let expected = expected.with_context(|| format!("reading {}/expected.txt", ws.show(&noun)))?;
        for language in LANGUAGES {
            let source = noun.join(format!("{name}.{language}"));
            match one(ws, &source, &expected, &externs) {
                Ok(()) => tally.pass(),
                Err(error) => tally.fail(format!("{}: {error:#}", ws.show(&source))),
            }
        }
    }
    match demonstration(ws) {
        Ok(()) => tally.pass(),
        Err(error) => tally.fail(format!("examples/demo: {error:#}")),
    }
    Ok(tally)
}

/// The demonstration on a folder in which there are all kinds of things.
fn demonstration(ws: &Workspace) -> Result<()> {
    let docs = ws.scratch("demo-docs");
    let _ = std::fs::remove_dir_all(&docs);
    std::fs::create_dir_all(docs.join("a folder"))?;
    let long = "wörd ".repeat(200_000);
    for (name, text) in [
        (OsStr::new("empty.txt"), &b""[..]),
        (OsStr::new("one"), b"word"),
        (OsStr::new("binary"), b"no text, for it has a NUL\0"),
        (OsStr::new("new\nline \u{1b}[31m.md"), b"\r\n\r\nA title\r\nand a line \x1b[31m\r\n"),
        (OsStr::new("a folder/title \u{1f600}.md"), "# Ein Titel \u{202e}\u{1f600}\n\u{feff}text".as_bytes()),
        (OsStr::new("latin1.txt"), b"caf\xe9 cr\xe8me\nna\xefve"),
        (OsStr::from_bytes(b"\xff\xfe.txt"), b"A name that is no UTF-8\n"),
        (OsStr::new("long.txt"), long.as_bytes()),
    ] {
        std::fs::write(docs.join(name), text).with_context(|| format!("writing {}", name.display()))?;
    }
    std::os::unix::fs::symlink("nowhere", docs.join("dangling"))?;
    std::os::unix::fs::symlink("..", docs.join("a folder/round"))?;
    for query in [None, Some("wörd \u{1b}[31m \"quoted\"\n"), Some("")] {
        let asked = query.map(|query| ["--query", query]);
        let run = crate::demo::agent(ws)?.arg("--docs").arg(&docs).args(asked.into_iter().flatten());
        let printed = start(ws, run, &ws.root, "demo")?;
        for expected in ["DEADLINE_EXCEEDED", "UNAVAILABLE", "200 of 200          200 of 200", "missed = 0"] {
            if !printed.contains(expected) {
                bail!("with {query:?} it does not say {expected:?}:\n{printed}");
            }
        }
        if printed.contains('\u{1b}') {
            bail!("with {query:?} it passes escapes on to the terminal:\n{printed:?}");
        }
    }
    Ok(())
}

/// The folders of the small examples; the demonstration is a verb of its own.
fn nouns(examples: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(examples).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut nouns: Vec<PathBuf> = entries.filter(|path| path.is_dir() && !path.ends_with("demo")).collect();
    nouns.sort();
    nouns
}

fn one(ws: &Workspace, source: &Path, expected: &str, externs: &[String]) -> Result<()> {
    if !source.exists() {
        bail!("missing: every noun has an example in each language");
    }
    let name = source.file_name().and_then(|n| n.to_str()).context("no name")?.replace('.', "-");
    let run = program(ws, source, &ws.target.join("examples").join(&name), externs)?;
    let printed = start(ws, run, &ws.root, &name)?;
    if printed.trim_end() != expected.trim_end() {
        bail!("printed\n{}\nbut expected.txt says\n{}", printed.trim_end(), expected.trim_end());
    }
    Ok(())
}

/// Compiles `source` into `built` where its language needs that, and says how to start it.
pub fn program(ws: &Workspace, source: &Path, built: &Path, externs: &[String]) -> Result<Run> {
    std::fs::create_dir_all(built.parent().context("no folder")?)?;
    match source.extension().and_then(|e| e.to_str()) {
        Some("rs") => {
            Run::new("rustc")
                .args(["--edition=2024", "-Dwarnings", "--crate-name=example"])
                .args(externs)
                .arg(source)
                .arg("-o")
                .arg(built)
                .quiet(ws, "compile")?;
            Ok(Run::new(built))
        }
        Some("c" | "cpp") => compile(ws, source, built).map(|()| Run::new(built)),
        Some("py") => Ok(Run::new(ws.python()).arg(source)),
        Some("mjs") => Ok(Run::new(Tool::Node.program()).arg(source)),
        _ => bail!("no way to run {}", source.display()),
    }
}

/// Runs it from `dir` in a domain of its own and answers what it printed.
pub fn start(ws: &Workspace, run: Run, dir: &Path, name: &str) -> Result<String> {
    let outcome = run
        .env("AXONIC_DOMAIN", format!("example-{name}"))
        .env("PYTHONUNBUFFERED", "1")
        .dir(dir)
        .limit(Duration::from_secs(60))
        .logged(ws, &format!("example-{name}"))?;
    if !outcome.success() {
        bail!("{}\n{}", outcome.ending(), outcome.tail(40));
    }
    Ok(outcome.output)
}
