//! The fenced code blocks of the pages are programs: each one in a language we speak is compiled,
//! if need be, and run. A block that cannot stand alone says so: ```` ```python ignore ````.
//!
//! A C or C++ block without `main` gets one around everything but its `#include` lines; a Rust
//! block without `fn main` likewise, with `?` allowed. A block ```` ```output ```` after a program
//! is what that program must print.

use super::{Tally, examples};
use crate::artifacts::rust_externs;
use crate::run::Run;
use crate::setup::{self, Tool};
use crate::workspace::{Workspace, files_in, write_if_changed};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// One fenced block.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    line: usize,
    language: String,
    ignored: bool,
    text: String,
    /// What it must print, when the page says so.
    output: Option<String>,
}

pub fn run(ws: &Workspace) -> Result<Tally> {
    if !ws.path("README.md").exists() {
        bail!("README.md is missing");
    }
    let externs = rust_externs(ws)?;
    // The target directory may lie outside of the checkout, where nothing would lead to the package.
    let docs = ws.target.join("docs");
    setup::link(&docs.join("node_modules/axonic"), &ws.path("bindings-node"))?;
    let start: Start = &|source, built| examples::program(ws, source, built, &externs);
    let mut tally = Tally::default();
    for page in pages(ws) {
        let text = std::fs::read_to_string(&page)?;
        for block in blocks(&text) {
            let at = format!("{}:{}", ws.show(&page), block.line);
            if block.ignored {
                tally.skip(format!("{at}: the page says ignore"));
                continue;
            }
            match one(ws, &page, &block, (&docs, &ws.root), start) {
                Ok(()) => tally.pass(),
                Err(error) => tally.fail(format!("{at}: {error:#}")),
            }
        }
    }
    Ok(tally)
}

/// How to start the program of a source; a compiler may put it at the second path.
pub type Start<'a> = &'a dyn Fn(&Path, &Path) -> Result<Run>;

/// Runs a page's blocks in these languages, as somebody would who has nothing but what is installed
/// in `place`; answers how many there were.
pub fn try_page(ws: &Workspace, page: &str, languages: &[&str], place: &Path, start: Start) -> Result<usize> {
    let mut count = 0;
    for block in blocks(&std::fs::read_to_string(ws.path(page))?) {
        if !block.ignored && languages.contains(&block.language.as_str()) {
            let tried = one(ws, &ws.path(page), &block, (&place.join("blocks"), place), start);
            tried.with_context(|| format!("{page}:{}", block.line))?;
            count += 1;
        }
    }
    if count == 0 {
        bail!("{page} has no block in {}", languages.join(" or "));
    }
    Ok(count)
}

/// The pages whose blocks are run.
fn pages(ws: &Workspace) -> Vec<PathBuf> {
    let mut pages = vec![ws.path("README.md")];
    for dir in ["bindings-python", "bindings-node", "ffi-c", "cli", "examples", "docs"] {
        pages.extend(files_in(&ws.path(dir), |name| name.ends_with(".md")));
    }
    pages
}

/// The extension of a program in this language; `None` for what is not run (sh, text, toml, …).
fn extension(language: &str) -> Option<&'static str> {
    match language {
        "rust" => Some("rs"),
        "c" => Some("c"),
        "cpp" | "c++" => Some("cpp"),
        "python" | "py" => Some("py"),
        "js" | "mjs" | "javascript" => Some("mjs"),
        "ts" | "typescript" => Some("mts"),
        _ => None,
    }
}

/// The blocks of a page that are programs.
fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else { continue };
        let indent = line.len() - line.trim_start().len();
        let body: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| !line.trim_start().starts_with("```"))
            .map(|line| line.get(indent..).unwrap_or_default())
            .collect();
        let text = body.join("\n") + "\n";
        let mut words = info.split([' ', ',']).filter(|word| !word.is_empty());
        let language = words.next().unwrap_or_default();
        if language == "output" {
            if let Some(before) = found.last_mut() {
                before.output = Some(text);
            }
        } else if extension(language).is_some() {
            let ignored = words.any(|word| word == "ignore");
            found.push(Block {
                line: number + 1,
                language: language.to_owned(),
                ignored,
                text,
                output: None,
            });
        }
    }
    found
}

/// Writes the program of a block into the first folder, runs it in the second.
fn one(ws: &Workspace, page: &Path, block: &Block, dirs: (&Path, &Path), start: Start) -> Result<()> {
    let extension = extension(&block.language).unwrap_or_default();
    let page = ws.show(page).replace(['/', '.'], "-");
    let name = format!("{page}-{}-{extension}", block.line);
    let (dir, from) = dirs;
    let source = dir.join(&name).with_extension(extension);
    write_if_changed(&source, whole(extension, &block.text).as_bytes())?;
    let source = if extension == "mts" { transpile(ws, &source)? } else { source };
    let run = start(&source, &dir.join(&name))?;
    let printed = examples::start(ws, run, from, &name)?;
    match &block.output {
        Some(expected) if printed.trim_end() != expected.trim_end() => {
            bail!("printed\n{}\nbut the page says\n{}", printed.trim_end(), expected.trim_end())
        }
        _ => Ok(()),
    }
}

/// Strict checking, then JavaScript that the oldest supported Node understands (`using` included).
fn transpile(ws: &Workspace, source: &Path) -> Result<PathBuf> {
    Run::new(Tool::Node.program())
        .arg(ws.path("bindings-node/node_modules/typescript/bin/tsc"))
        .args(["--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck"])
        .args(["--lib", "es2022,esnext.disposable,dom"])
        .args(["--types", "node", "--typeRoots"])
        .arg(ws.path("bindings-node/node_modules/@types"))
        .arg(source)
        .quiet(ws, "transpile")?;
    Ok(source.with_extension("mjs"))
}

/// Puts a `main` around a fragment that has none.
fn whole(extension: &str, text: &str) -> String {
    match extension {
        "c" | "cpp" if !text.contains(" main(") => {
            let (includes, body): (Vec<&str>, Vec<&str>) = text
                .lines()
                .partition(|line| line.starts_with("#include") || line.starts_with("using namespace"));
            format!("{}\nint main() {{\n{}\nreturn 0;\n}}\n", includes.join("\n"), body.join("\n"))
        }
        "rs" if !text.contains("fn main(") => {
            format!("fn main() -> Result<(), Box<dyn std::error::Error>> {{\n{text}\nOk(())\n}}\n")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n```sh\nmake\n```\ntext\n```python\nprint(1)\n```\n\n```output\n1\n```\n- item\n  ```rust,ignore\n  fn f() {}\n    x\n  ```\n";

    #[test]
    fn programs_are_found_with_their_lines_and_output() {
        let found = blocks(PAGE);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].line, found[0].text.as_str()), (6, "print(1)\n"));
        assert_eq!(found[0].output.as_deref(), Some("1\n"));
        assert!(!found[0].ignored && found[1].ignored);
        assert_eq!(found[1].text, "fn f() {}\n  x\n");
    }

    #[test]
    fn fragments_become_programs() {
        let c = whole("c", "#include <axonic.h>\nint x = 0;\n");
        assert!(c.starts_with("#include <axonic.h>\nint main() {\nint x = 0;"), "{c}");
        assert_eq!(whole("cpp", "int main() {}\n"), "int main() {}\n");
        assert!(whole("rs", "let d = axonic::Domain::open(\"x\")?;").contains("Ok(())"));
        assert_eq!(whole("py", "x"), "x");
    }
}
