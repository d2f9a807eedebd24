//! What came out: a line as each package is made, and a table at the end.

use crate::workspace::Workspace;
use anyhow::{Result, bail};
use std::path::PathBuf;

/// A finished package and what was seen of it.
pub struct Made {
    pub file: PathBuf,
    pub said: String,
}

enum Outcome {
    Made(Made),
    Skipped(String),
    Failed(String),
}

#[derive(Default)]
pub struct Report {
    rows: Vec<(String, Outcome)>,
}

impl Report {
    /// Makes a package; whether it worked is told now and at the end.
    pub fn make(&mut self, what: &str, make: impl FnOnce() -> Result<Made>) -> Option<PathBuf> {
        println!("dist: {what}: …");
        match make() {
            Ok(made) => {
                let file = made.file.clone();
                println!("dist: {what}: {}", made.said);
                self.rows.push((what.to_owned(), Outcome::Made(made)));
                Some(file)
            }
            Err(error) => {
                self.failed(what, &error);
                None
            }
        }
    }

    pub fn failed(&mut self, what: &str, error: &anyhow::Error) {
        println!("dist: {what}: FAILED: {error:#}");
        let first = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
        self.rows.push((what.to_owned(), Outcome::Failed(first)));
    }

    pub fn skipped(&mut self, what: &str, why: impl Into<String>) {
        self.rows.push((what.to_owned(), Outcome::Skipped(why.into())));
    }

    /// Prints the table; what failed is an error, what was skipped is not.
    pub fn close(self, ws: &Workspace) -> Result<()> {
        println!("dist: in {}; nothing was published", ws.show(&ws.target.join("dist")));
        for (what, outcome) in &self.rows {
            match outcome {
                Outcome::Made(made) => {
                    println!("  {what}: {} ({})\n      {}", name(made), size(made), made.said)
                }
                Outcome::Skipped(why) => println!("  {what}: skipped: {why}"),
                Outcome::Failed(why) => println!("  {what}: FAILED: {why}"),
            }
        }
        let is_failed = |row: &&(String, Outcome)| matches!(row.1, Outcome::Failed(_));
        let failed: Vec<&str> = self.rows.iter().filter(is_failed).map(|(what, _)| what.as_str()).collect();
        if !failed.is_empty() {
            bail!("could not make: {}", failed.join(", "));
        }
        Ok(())
    }
}

fn name(made: &Made) -> String {
    made.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn size(made: &Made) -> String {
    let bytes = std::fs::metadata(&made.file).map_or(0, |data| data.len());
    if bytes < 1_000_000 {
        return format!("{} kB", bytes.div_ceil(1000));
    }
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}
