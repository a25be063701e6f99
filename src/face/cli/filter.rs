//! `--filter KEY=VALUE` of the lists: values of one key are alternatives, keys are conditions.

use crate::error::{Error, Result};
use crate::types::tree::Value;

/// The filters of a command line.
pub struct Filters(Vec<(String, String)>);

impl Filters {
    /// Reads them.
    ///
    /// # Errors
    /// No `=`, a key that is not `known`, a pattern with more than anchors.
    pub fn parse(words: &[&str], known: &[&str]) -> Result<Self> {
        let mut filters = Vec::new();
        for word in words {
            let (key, value) = word.split_once('=').ok_or_else(|| {
                Error::new(format_args!(
                    "invalid argument \"{word}\" for filter: bad format of filter (expected name=value)"
                ))
            })?;
            let key = key.trim().to_ascii_lowercase();
            if !known.contains(&&*key) {
                let known = known.join(", ");
                return Err(Error::new(format_args!(
                    "invalid filter '{key}': {known} are known"
                )));
            }
            let value = value.trim().to_owned();
            if matches!(&*key, "name" | "id")
                && value.contains(['*', '[', '(', '|', '?', '+', '\\'])
            {
                return Err(Error::new(format_args!(
                    "invalid filter '{key}={value}': of regular expressions only ^ and $ are known"
                )));
            }
            filters.push((key, value));
        }
        Ok(Filters(filters))
    }

    /// The values of a key.
    pub fn values(&self, key: &str) -> Vec<&str> {
        let of_key = self.0.iter().filter(|(known, _)| known == key);
        of_key.map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a key has no values, or one of them holds.
    pub fn hold(&self, key: &str, holds: &dyn Fn(&str) -> bool) -> bool {
        let values = self.values(key);
        values.is_empty() || values.into_iter().any(holds)
    }

    /// Whether all labels that are wanted, `KEY` or `KEY=VALUE`, are among these.
    pub fn labels(&self, labels: &Value) -> bool {
        self.values("label").into_iter().all(|wanted| {
            let (key, value) = match wanted.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (wanted, None),
            };
            let has = labels.get(key).and_then(Value::as_str);
            has.is_some_and(|has| value.is_none_or(|value| value == has))
        })
    }
}

/// Whether a text has a part that is so; `^` and `$` are its ends.
pub fn matches(text: &str, pattern: &str) -> bool {
    let (pattern, first) = match pattern.strip_prefix('^') {
        // Docker's names begin with a slash.
        Some(rest) => (rest.strip_prefix('/').unwrap_or(rest), true),
        None => (pattern, false),
    };
    let (pattern, last) = match pattern.strip_suffix('$') {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    match (first, last) {
        (true, true) => text == pattern,
        (true, false) => text.starts_with(pattern),
        (false, true) => text.ends_with(pattern),
        (false, false) => text.contains(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_alternatives_and_labels_are_not() {
        let filters = |words: &[&str]| Filters::parse(words, &["name", "label"]);
        let both = filters(&["name=a", " Name = b", "label=x", "label=y=1"]).expect("filters");
        assert!(both.hold("name", &|name| name == "b") && !both.hold("name", &|name| name == "c"));
        assert!(both.hold("id", &|_| false));
        assert!(both.labels(&json!({"x": "", "y": "1"}).into()));
        assert!(!both.labels(&json!({"x": "", "y": "2"}).into()));
        for bad in ["name", "nosuch=1", "name=a.*"] {
            assert!(filters(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_have_anchors() {
        for (text, pattern, so) in [
            ("web", "e", true),
            ("web", "^w", true),
            ("web", "^e", false),
            ("web", "b$", true),
            ("web", "^web$", true),
            ("web2", "^web$", false),
            ("web", "", true),
        ] {
            assert_eq!(matches(text, pattern), so, "{text} {pattern}");
        }
    }
}
