//! Names of objects and patterns over them.
//!
//! A name is tokens joined by `.`, such as `orders.created`. In a pattern `*` stands for exactly
//! one token and a final `>` for one or more remaining tokens, as in NATS subjects.

use crate::error::{Error, ErrorKind, Result};

/// Longest name or pattern, in bytes of UTF-8. It fits the name field of every shared header.
pub const MAX_NAME: usize = 200;

/// Checks the name of a `noun` ("topic", "region", ...).
pub fn check_name(noun: &str, name: &str) -> Result<()> {
    check_tokens(noun, name)?;
    if name.split('.').any(|token| token == "*" || token == ">") {
        return Err(invalid(noun, name, "'*' and '>' are wildcards, allowed in a subscriber's pattern only"));
    }
    Ok(())
}

/// A checked pattern: a name in which `*` matches one token and a final `>` the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Checks and keeps `pattern`.
    pub fn new(pattern: &str) -> Result<Pattern> {
        check_tokens("pattern", pattern)?;
        let mut tokens = pattern.split('.').peekable();
        while let Some(token) = tokens.next() {
            if token == ">" && tokens.peek().is_some() {
                return Err(invalid(
                    "pattern",
                    pattern,
                    "'>' stands for the rest and must be the last token",
                ));
            }
        }
        Ok(Pattern(pattern.into()))
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name` is one this pattern stands for.
    pub fn matches(&self, name: &str) -> bool {
        let mut tokens = name.split('.');
        for wanted in self.0.split('.') {
            match (wanted, tokens.next()) {
                (_, None) => return false,
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(token)) if wanted == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }
}

fn check_tokens(noun: &str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(invalid(noun, name, "it is empty"));
    }
    if name.len() > MAX_NAME {
        let why = format!("it has {} bytes, the limit is {MAX_NAME}", name.len());
        return Err(invalid(noun, name, &why));
    }
    for token in name.split('.') {
        if token.is_empty() {
            return Err(invalid(noun, name, "a token between dots is empty"));
        }
        if token != "*" && token != ">" && token.contains(['*', '>']) {
            return Err(invalid(noun, name, "'*' and '>' must stand alone as a token"));
        }
    }
    match name.chars().find(|c| *c == '/' || c.is_control() || c.is_whitespace()) {
        Some('/') => Err(invalid(noun, name, "it contains '/'; join tokens with '.'")),
        Some(c) => Err(invalid(noun, name, &format!("it contains {c:?}"))),
        None => Ok(()),
    }
}

fn invalid(noun: &str, name: &str, why: &str) -> Error {
    let shown: String = name.chars().take(60).collect();
    let dots = if shown.len() < name.len() { "..." } else { "" };
    Error::new(
        ErrorKind::InvalidName,
        format!(
            "{noun} name {shown:?}{dots} is not valid: {why}; use 1 to {MAX_NAME} bytes of tokens joined by '.'"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "orders.created", "übung.ö", "a-b_c.1", &"x".repeat(MAX_NAME)] {
            check_name("topic", good).unwrap();
        }
        let long = "x".repeat(100_000);
        for bad in
            ["", ".", "..", "a..b", "a.", "/", "a/b", "../x", "a\0b", "a b", "a\n", "*", "a.>", "a*", &long]
        {
            let error = check_name("topic", bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidName, "{bad:?}");
            assert!(error.message().len() < 400, "{bad:?}");
        }
    }

    #[test]
    fn patterns() {
        let yes = [
            ("a", "a"),
            ("*", "a"),
            (">", "a"),
            (">", "a.b"),
            ("a.*", "a.b"),
            ("a.>", "a.b.c"),
            ("*.b", "a.b"),
        ];
        for (pattern, name) in yes {
            assert!(Pattern::new(pattern).unwrap().matches(name), "{pattern} {name}");
        }
        let no = [
            ("a", "b"),
            ("a", "a.b"),
            ("*", "a.b"),
            ("a.>", "a"),
            ("a.*", "a"),
            ("a.*", "a.b.c"),
            ("a.b", "a"),
        ];
        for (pattern, name) in no {
            assert!(!Pattern::new(pattern).unwrap().matches(name), "{pattern} {name}");
        }
        for bad in [">.a", "a*", "a.>b", "", "a..b"] {
            assert_eq!(Pattern::new(bad).unwrap_err().kind(), ErrorKind::InvalidName, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_string_is_refused_or_matches_itself(text in ".{0,300}") {
            if check_name("topic", &text).is_ok() {
                assert!(Pattern::new(&text).unwrap().matches(&text));
                assert!(Pattern::new(">").unwrap().matches(&text));
            }
        }
    }
}
