//! Labels of a container.

use super::json::{Json, Object, Wrong};
use super::order;
use super::tree::Value;

/// Texts by their keys, in the keys' order: a sorted list takes less code than a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// These, in any order; of those with one key the last holds. They are sorted once: files have them by the thousand.
    pub fn new(mut given: Vec<(String, String)>) -> Self {
        let order = order(given.len(), &|one, other| given[one].0.cmp(&given[other].0));
        let mut labels: Vec<(String, String)> = Vec::with_capacity(given.len());
        for at in order {
            let label = std::mem::take(&mut given[at]);
            match labels.last_mut() {
                Some(last) if last.0 == label.0 => *last = label,
                _ => labels.push(label),
            }
        }
        Labels(labels)
    }

    /// All of them, by key.
    pub fn iter(&self) -> std::slice::Iter<'_, (String, String)> {
        self.0.iter()
    }
}

impl Json for Labels {
    fn write(&self, out: &mut String) {
        let mut object = Object::new(out);
        for (key, value) in self.iter() {
            object.field(key, value);
        }
        object.end();
    }

    fn blank() -> Self {
        Labels::default()
    }

    fn fill(&mut self, value: &Value) -> Result<(), Wrong> {
        let mut labels = Vec::new();
        for (key, value) in value.as_object().ok_or(Wrong(""))? {
            let text = value.as_str().ok_or(Wrong(""))?;
            labels.push((key.clone(), text.to_owned()));
        }
        *self = Labels::new(labels);
        Ok(())
    }

    fn may_be_absent(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_the_later_one_holds() {
        let given = [("b", "1"), ("a", ""), ("c", "2"), ("b", "3"), ("b", "0")];
        let given = given.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let labels = Labels::new(given.to_vec());
        let all: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(all, ["a=", "b=0", "c=2"]);
    }

    /// Insertion into a sorted list would move 10^12 bytes here.
    #[test]
    fn a_great_many_labels_are_sorted_at_once() {
        let count = 200_000;
        let given = (0..count).rev().map(|n| (format!("{n:06}"), n.to_string()));
        let labels = Labels::new(given.collect());
        assert!(
            (0..count)
                .map(|n| n.to_string())
                .eq(labels.iter().map(|(_, value)| value.clone()))
        );
    }
}
