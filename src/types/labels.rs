//! Labels of a container.

/// Texts by their keys, in the keys' order. There are few: a sorted list takes less code than a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// Sets a label; of two with one key the later one holds.
    pub fn insert(&mut self, key: &str, value: &str) {
        match self
            .0
            .binary_search_by(|(known, _)| known.as_str().cmp(key))
        {
            Ok(at) => value.clone_into(&mut self.0[at].1),
            Err(at) => self.0.insert(at, (key.to_owned(), value.to_owned())),
        }
    }

    /// All of them, by key.
    pub fn iter(&self) -> std::slice::Iter<'_, (String, String)> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_the_later_one_holds() {
        let mut labels = Labels::default();
        for (key, value) in [("b", "1"), ("a", ""), ("c", "2"), ("b", "3")] {
            labels.insert(key, value);
        }
        let all: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(all, ["a=", "b=3", "c=2"]);
    }
}
