//! JSON as a tree (RFC 8259): what the state files are read through, and what inspect, lists and templates look at.
//!
//! Objects keep the order of their keys, so that scripts find Docker's where they expect them, and numbers their text:
//! nothing here has a fraction, and floating point would be more code than all the rest. Objects are small: their keys
//! are looked for one after the other. Only labels are many, and nobody looks for each of them.

mod parse;

use super::order;
pub use parse::parse;
use std::ops::{Index, IndexMut};

/// A JSON value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Value {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A string, without quotes and escapes.
    String(String),
    /// `[…]`
    Array(Vec<Value>),
    /// `{…}`
    Object(Map),
}

/// The keys and values of an object, each key once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Map(Vec<(String, Value)>);

/// What iterates over an object, in the order of its keys.
pub type Entries<'a> = std::iter::Map<
    std::slice::Iter<'a, (String, Value)>,
    fn(&(String, Value)) -> (&String, &Value),
>;

impl Map {
    /// One without keys.
    pub fn new() -> Self {
        Map::default()
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value)
    }

    /// The value of a key, which is added with null where it is not there.
    pub fn entry(&mut self, key: &str) -> &mut Value {
        let at = self.0.iter().position(|(known, _)| known == key);
        let at = at.unwrap_or_else(|| {
            self.0.push((key.to_owned(), Value::Null));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }

    /// Adds a key without a look for it: it is not there yet, or [`Map::unite`] comes after it.
    pub fn push(&mut self, key: String, value: Value) {
        self.0.push((key, value));
    }

    /// Makes each key one again after any were pushed: it has the place of the first and the value of the last.
    pub fn unite(&mut self) {
        let order = order(self.0.len(), &|one, other| {
            self.0[one].0.cmp(&self.0[other].0)
        });
        let mut stays = vec![true; order.len()];
        let mut first = 0;
        for at in order {
            if first != at && self.0[first].0 == self.0[at].0 {
                self.0[first].1 = std::mem::take(&mut self.0[at].1);
                stays[at] = false;
            } else {
                first = at;
            }
        }
        let mut stays = stays.into_iter();
        self.0.retain(|_| stays.next().unwrap_or(true));
    }

    /// Puts the keys into the order of their bytes.
    pub fn sort_keys(&mut self) {
        self.0
            .sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    }

    /// The keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(key, _)| key)
    }
}

impl<'a> IntoIterator for &'a Map {
    type Item = (&'a String, &'a Value);
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl IntoIterator for Map {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

static NULL: Value = Value::Null;

impl Value {
    /// The value of an object's key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }

    /// The value at the end of `/KEY/KEY…`.
    pub fn pointer(&self, keys: &str) -> Option<&Value> {
        let mut keys = keys.split('/').skip(1);
        keys.try_fold(self, |value, key| value.get(key))
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        matches!(self, Value::Object(_))
    }

    /// A string's text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// What is true or false.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A whole number from 0.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Number(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// An array's elements.
    pub fn as_array(&self) -> Option<&Vec<Value>> {
        match self {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// An object's keys and values.
    pub fn as_object(&self) -> Option<&Map> {
        match self {
            Value::Object(map) => Some(map),
            _ => None,
        }
    }
}

/// An object's value; null where there is none.
impl Index<&str> for Value {
    type Output = Value;

    fn index(&self, key: &str) -> &Value {
        self.get(key).unwrap_or(&NULL)
    }
}

/// An object's value, which is added where there is none; what is no object becomes one.
impl IndexMut<&str> for Value {
    fn index_mut(&mut self, key: &str) -> &mut Value {
        if !self.is_object() {
            *self = Value::Object(Map::new());
        }
        match self {
            Value::Object(map) => map.entry(key),
            other => other,
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl From<$type> for Value {
            fn from(number: $type) -> Self {
                Value::Number(number.to_string())
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64, usize, i32, i64);

impl<V: Into<Value>> FromIterator<V> for Value {
    fn from_iter<I: IntoIterator<Item = V>>(items: I) -> Self {
        Value::Array(items.into_iter().map(Into::into).collect())
    }
}

/// What the tests write down with `json!`.
#[cfg(test)]
impl From<serde_json::Value> for Value {
    fn from(tree: serde_json::Value) -> Self {
        parse(tree.to_string().as_bytes()).expect("JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_there_is_null_and_what_is_set_is_there() {
        let mut tree = Value::from(json!({"b": {"x": [1, "c"], "d": null}, "a": 7}));
        assert_eq!(tree.pointer("/b/x"), Some(&json!([1, "c"]).into()));
        assert_eq!(
            (&tree["a"]["none"], tree["a"].as_u64()),
            (&Value::Null, Some(7))
        );
        tree["a"]["new"] = true.into();
        tree["z"] = (-2).into();
        let Value::Object(map) = &mut tree else {
            panic!("no object");
        };
        map.sort_keys();
        let known = json!({"a": {"new": true}, "b": {"x": [1, "c"], "d": null}, "z": -2});
        assert_eq!(tree, known.into());
    }
}
