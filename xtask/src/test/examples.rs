//! `examples/<noun>/<noun>.{rs,c,cpp,py,mjs}`: the same small program in every language, each of
//! which must print exactly `examples/<noun>/expected.txt`.

use super::{Tally, c::compile};
use crate::artifacts::rust_externs;
use crate::run::Run;
use crate::setup::Tool;
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
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
    Ok(tally)
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
