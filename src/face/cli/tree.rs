//! Trees of JSON: made key by key, and written as text.
//!
//! An object here is a row of calls, and there is one writer: a serializer for each type and each form would be many times that.

use crate::types::json::quote;
use crate::types::tree::{Map, Value};
use std::fmt::Display;

/// An object that is being made, with its keys in the order in which they are put in.
#[derive(Default)]
pub struct Object(Map);

impl Object {
    /// A line of a list for templates: under no name its labels, which `.Label` looks in, beside its fields.
    pub fn line(labels: &Value) -> Self {
        let mut line = Object::default();
        line.set("", labels.clone());
        line
    }

    /// Puts in what a value prints.
    pub fn text(&mut self, key: &str, value: &dyn Display) -> &mut Self {
        self.set(key, Value::String(value.to_string()))
    }

    /// The same, or an empty text for none.
    pub fn maybe(&mut self, key: &str, value: Option<&dyn Display>) -> &mut Self {
        self.text(key, value.unwrap_or(&""))
    }

    /// Puts in a value; of two with one key the later one holds.
    pub fn set(&mut self, key: &str, value: Value) -> &mut Self {
        *self.0.entry(key) = value;
        self
    }

    /// Puts in a value whose key is known not to be there yet: of many, none is looked for.
    pub fn push(&mut self, key: &str, value: Value) {
        self.0.push(key.to_owned(), value);
    }

    /// Whether it has no key yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The object.
    pub fn end(&mut self) -> Value {
        Value::Object(std::mem::take(&mut self.0))
    }
}

/// A list of texts.
pub fn texts(texts: &[String]) -> Value {
    texts.iter().map(String::as_str).collect()
}

/// A text's tree; null if it is no JSON.
pub fn parse(text: &str) -> Value {
    crate::types::tree::parse(text.as_bytes()).unwrap_or_default()
}

/// As JSON, with Docker's indent of four.
pub fn text(value: &Value) -> String {
    let mut writer = Writer {
        depth: Some(0),
        out: String::new(),
    };
    writer.value(value);
    writer.out
}

/// As JSON in one line.
pub fn line(value: &Value) -> String {
    let mut writer = Writer::default();
    writer.value(value);
    writer.out
}

/// These items as a list in one line.
pub fn items(items: &[Value]) -> String {
    let mut writer = Writer::default();
    writer.items("[]", &mut items.iter().map(|item| (None, item)));
    writer.out
}

/// These entries as an object in one line.
pub fn entries(entries: &mut dyn Iterator<Item = (&String, &Value)>) -> String {
    let mut writer = Writer::default();
    writer.items("{}", &mut entries.map(|(key, value)| (Some(key), value)));
    writer.out
}

#[derive(Default)]
struct Writer {
    /// How deep it is in objects and lists, each on a line of its own; none where all is one line.
    depth: Option<usize>,
    out: String,
}

impl Writer {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push_str("null"),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Number(digits) => self.out.push_str(digits),
            Value::String(text) => quote(text, &mut self.out),
            Value::Array(items) => self.items("[]", &mut items.iter().map(|item| (None, item))),
            Value::Object(fields) => {
                let mut fields = fields.into_iter().map(|(key, value)| (Some(key), value));
                self.items("{}", &mut fields);
            }
        }
    }

    /// What stands between two brackets, with its keys if it is an object's.
    fn items(
        &mut self,
        brackets: &str,
        items: &mut dyn Iterator<Item = (Option<&String>, &Value)>,
    ) {
        let (open, close) = brackets.split_at(1);
        self.out.push_str(open);
        self.depth = self.depth.map(|depth| depth + 1);
        let mut before = "";
        for (key, value) in items {
            self.out.push_str(before);
            before = ",";
            self.end_line();
            if let Some(key) = key {
                quote(key, &mut self.out);
                self.out
                    .push_str(if self.depth.is_some() { ": " } else { ":" });
            }
            self.value(value);
        }
        self.depth = self.depth.map(|depth| depth - 1);
        if !before.is_empty() {
            self.end_line();
        }
        self.out.push_str(close);
    }

    fn end_line(&mut self) {
        if let Some(depth) = self.depth {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("    ", depth));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_written_as_serde_json_writes_them() {
        let known = serde_json::json!({
            "a": [], "b": {}, "c": [1, -2, 1.5, u64::MAX, null, true, false, [[]], {"x": {"y": "z"}}],
            "q\"\\/\u{8}\u{c}\n\r\t\0\u{1f}\u{7f}": "é\u{2028}😀", "": "",
        });
        let tree = parse(&known.to_string());
        let indented_by_two = serde_json::to_string_pretty(&known).expect("a tree");
        assert_eq!(text(&tree), indented_by_two.replace("  ", "    "));
        assert_eq!(line(&tree), known.to_string());
        assert_eq!(
            entries(&mut tree.as_object().into_iter().flatten()),
            known.to_string()
        );
    }

    #[test]
    fn an_object_has_its_keys_in_order() {
        let mut object = Object::default();
        object
            .text("b", &1)
            .set("a", true.into())
            .text("b", &2)
            .set("c", Value::Null);
        assert_eq!(line(&object.end()), r#"{"b":"2","a":true,"c":null}"#);
    }
}
