//! Reading the names of functions out of C. The tests of the header use it, and the check that the
//! built library exports nothing else (`xtask/src/symbols.rs`).

use std::collections::BTreeSet;

/// The words that begin with `axonic_` and are followed by `(`.
pub fn calls(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("axonic_") {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        let word: String =
            text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        if !(before.is_ascii_alphanumeric() || before == '_') && text[at + word.len()..].starts_with('(') {
            found.insert(word);
        }
    }
    found
}

/// The functions a header declares, without what its comments mention.
pub fn declarations(header: &str) -> BTreeSet<String> {
    let code: String = header
        .split("*/")
        .map(|part| part.split("/*").next().unwrap_or_default())
        .flat_map(str::lines)
        .map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n")
        .collect();
    calls(&code)
}
