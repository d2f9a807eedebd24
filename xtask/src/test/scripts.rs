//! The suites of the interpreted languages: pytest and node's own runner.

use super::{Tally, count_before, judge, sections, sum_lines, with_environment};
use crate::run::Run;
use crate::setup::Tool;
use crate::workspace::{Workspace, files_below};
use anyhow::{Result, bail};

pub fn python(ws: &Workspace) -> Result<Tally> {
    let tests = ws.path("bindings-python/tests");
    if files_below(&tests, "py").is_empty() {
        bail!("bindings-python/tests holds no test");
    }
    let run = Run::new(ws.python())
        .args(["-m", "pytest", "-q", "--timeout=120", "-o"])
        .arg(format!("cache_dir={}", ws.target.join("pytest").display()))
        .arg(&tests)
        .env("HYPOTHESIS_STORAGE_DIRECTORY", ws.target.join("hypothesis"))
        .dir(&ws.path("bindings-python"));
    let outcome = with_environment(ws, run).logged(ws, "test-python")?;
    let sum = sum_lines(&outcome.output, |line| {
        let summary = line.contains(" in ")
            && (line.contains(" passed") || line.contains(" failed") || line.contains(" error"));
        summary.then(|| pytest_counts(line))
    });
    let begins =
        |line: &str| line.starts_with("=") && (line.contains(" FAILURES ") || line.contains(" ERRORS "));
    Ok(judge(ws, &outcome, sum, &sections(&outcome.output, begins, |_| false)))
}

fn pytest_counts(line: &str) -> Tally {
    Tally {
        passed: count_before(line, "passed") + count_before(line, "xfailed"),
        failed: count_before(line, "failed") + count_before(line, "errors") + count_before(line, "error"),
        skipped: count_before(line, "skipped"),
        said: Vec::new(),
    }
}

pub fn node(ws: &Workspace) -> Result<Tally> {
    let dir = ws.path("bindings-node/test");
    let is_test =
        |name: &str| name.contains(".test.") || name.contains("-test.") || name.starts_with("test-");
    let tests: Vec<_> = ["mjs", "cjs", "js"]
        .iter()
        .flat_map(|extension| files_below(&dir, extension))
        .filter(|path| path.file_name().and_then(|n| n.to_str()).is_some_and(is_test))
        .collect();
    if tests.is_empty() {
        bail!("bindings-node/test holds no *.test.mjs, *.test.cjs or *.test.js");
    }
    let run = Run::new(Tool::Node.program())
        .args(["--expose-gc", "--test", "--test-reporter=tap"])
        .args(tests)
        .dir(&ws.path("bindings-node"));
    let outcome = with_environment(ws, run).logged(ws, "test-node")?;
    let sum = sum_lines(&outcome.output, tap_counts);
    let begins = |line: &str| line.trim_start().starts_with("not ok ");
    let mut failures = sections(&outcome.output, begins, |line| line.trim() == "...");
    // What a file wrote before it could not even be loaded comes as comments, ahead of its "not ok".
    failures.splice(0..0, outcome.output.lines().filter(|line| is_remark(line)));
    Ok(judge(ws, &outcome, sum, &failures))
}

/// The npm packages around the addon that is built already, installed into an empty project.
pub fn npm(ws: &Workspace) -> Result<Tally> {
    crate::dist::npm::try_built(ws)?;
    let mut tally = Tally::default();
    tally.pass();
    Ok(tally)
}

/// A comment in TAP output that is neither a title nor a total.
fn is_remark(line: &str) -> bool {
    line.starts_with("# ")
        && !line.starts_with("# Subtest: ")
        && tap_counts(line).is_none()
        && !is_total(line)
}

fn is_total(line: &str) -> bool {
    ["# tests ", "# suites ", "# duration_ms "].iter().any(|total| line.starts_with(total))
}

/// Node ends its TAP output with `# pass 12`, `# fail 0`, `# cancelled 0`, `# skipped 1`, `# todo 0`.
fn tap_counts(line: &str) -> Option<Tally> {
    let (label, number) = line.strip_prefix("# ")?.split_once(' ')?;
    let number: usize = number.parse().ok()?;
    let mut tally = Tally::default();
    match label {
        "pass" => tally.passed = number,
        "fail" | "cancelled" => tally.failed = number,
        "skipped" | "todo" => tally.skipped = number,
        _ => return None,
    }
    Some(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_pytest_and_node_are_read() {
        let tally = pytest_counts("==== 2 failed, 30 passed, 1 skipped, 1 error in 3.21s ====");
        assert_eq!((tally.passed, tally.failed, tally.skipped), (30, 3, 1));
        let text =
            "ok 1 - a\n# tests 5\n# pass 3\n# fail 1\n# cancelled 1\n# skipped 2\n# duration_ms 12.5\n";
        assert!(is_remark("# Error: no such module") && !text.lines().any(is_remark));
        let tally = sum_lines(text, tap_counts).unwrap();
        assert_eq!((tally.passed, tally.failed, tally.skipped), (3, 2, 2));
    }
}
