//! JSON of the state files and of what a process hands to its child: written straight into text, read from the tree that
//! serde_json parses.
//!
//! serde's derived readers made the released file 55 KiB larger: there is one for each type, grown together with all that
//! it holds. Here a type is its list of fields ([`json_object`]), its text ([`json_text`]) or its words ([`json_words`]).

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

/// The field, or the type, that a text has not got as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrong(pub &'static str);

impl Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is missing or wrong", self.0)
    }
}

/// What can stand in a JSON text.
pub trait Json: Sized {
    /// Appends it.
    fn write(&self, out: &mut String);

    /// Reads it.
    ///
    /// # Errors
    /// Names the field that is not as it should be.
    fn read(value: &Value) -> Result<Self, Wrong>;

    /// What a field means that is not there, where that means something.
    fn absent() -> Option<Self> {
        None
    }
}

/// A value as JSON.
pub fn to_text(value: &impl Json) -> String {
    let mut text = String::with_capacity(1024);
    value.write(&mut text);
    text
}

/// A value from JSON, or in words why there is none.
pub fn from_slice<T: Json>(text: &[u8]) -> Result<T, String> {
    let tree = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    T::read(&tree).map_err(|wrong| wrong.to_string())
}

/// A field of an object.
///
/// # Errors
/// Names the field, or the one within it.
pub fn field<T: Json>(object: &Value, name: &'static str) -> Result<T, Wrong> {
    match object.get(name) {
        Some(value) => T::read(value).map_err(|wrong| match wrong.0 {
            "" => Wrong(name),
            _ => wrong,
        }),
        None => T::absent()
            .filter(|_| object.is_object())
            .ok_or(Wrong(name)),
    }
}

/// An object that is being written.
pub struct Object<'a> {
    out: &'a mut String,
    next: char,
}

impl<'a> Object<'a> {
    /// Begins it.
    pub fn new(out: &'a mut String) -> Self {
        Object { out, next: '{' }
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, value: &impl Json) -> &mut Self {
        self.out.push(self.next);
        self.next = ',';
        quote(name, self.out);
        self.out.push(':');
        value.write(self.out);
        self
    }

    /// Ends it.
    pub fn end(&mut self) {
        if self.next == '{' {
            self.out.push('{');
        }
        self.out.push('}');
    }
}

/// A string in its quotes (RFC 8259, 7).
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\0'..='\x1f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A struct as an object of these fields, in this order; what stands behind the semicolon is not in it.
#[macro_export]
macro_rules! json_object {
    ($type:ty { $($field:ident),* $(; $($left_out:ident),*)? }) => {
        impl $crate::types::json::Json for $type {
            fn write(&self, out: &mut String) {
                $crate::types::json::Object::new(out)$(.field(stringify!($field), &self.$field))*.end();
            }
            fn read(value: &serde_json::Value) -> Result<Self, $crate::types::json::Wrong> {
                Ok(Self {
                    $($field: $crate::types::json::field(value, stringify!($field))?,)*
                    $($($left_out: Default::default(),)*)?
                })
            }
        }
    };
}

/// Types that JSON has as the text that they print and parse.
#[macro_export]
macro_rules! json_text {
    ($($type:ty),*) => {$(
        impl $crate::types::json::Json for $type {
            fn write(&self, out: &mut std::string::String) {
                $crate::types::json::write_text(self, out);
            }
            fn read(value: &serde_json::Value) -> Result<Self, $crate::types::json::Wrong> {
                $crate::types::json::read_text(value)
            }
        }
    )*};
}

/// The same, also for the trees that `json!` makes.
#[macro_export]
macro_rules! json_value {
    ($($type:ty),*) => {$(
        $crate::types::json::json_text!($type);
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    )*};
}

/// An enum whose variants JSON has as these words.
#[macro_export]
macro_rules! json_words {
    ($type:ident { $($variant:ident = $word:literal),* }) => {
        impl $crate::types::json::Json for $type {
            fn write(&self, out: &mut String) {
                let word = match self { $($type::$variant => $word,)* };
                $crate::types::json::write_text(&word, out);
            }
            fn read(value: &serde_json::Value) -> Result<Self, $crate::types::json::Wrong> {
                match value.as_str() {
                    $(Some($word) => Ok($type::$variant),)*
                    _ => Err($crate::types::json::Wrong("")),
                }
            }
        }
    };
}

pub use {json_object, json_text, json_value, json_words};

/// Appends what a value prints, which needs no escapes.
pub fn write_text(value: &dyn Display, out: &mut String) {
    let _ = write!(out, "\"{value}\"");
}

/// Parses a value's text.
///
/// # Errors
/// Nameless: the field it stands in names it.
pub fn read_text<T: FromStr>(value: &Value) -> Result<T, Wrong> {
    let text = value.as_str().ok_or(Wrong(""))?;
    text.parse().map_err(|_| Wrong(""))
}

json_text!(IpAddr, Ipv4Addr, Ipv6Addr);

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Json for $type {
            fn write(&self, out: &mut String) {
                let _ = write!(out, "{self}");
            }
            fn read(value: &Value) -> Result<Self, Wrong> {
                value.as_u64().and_then(|n| n.try_into().ok()).ok_or(Wrong(""))
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64);

impl Json for bool {
    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }

    fn read(value: &Value) -> Result<Self, Wrong> {
        value.as_bool().ok_or(Wrong(""))
    }

    fn absent() -> Option<Self> {
        Some(false)
    }
}

impl Json for String {
    fn write(&self, out: &mut String) {
        quote(self, out);
    }

    fn read(value: &Value) -> Result<Self, Wrong> {
        value.as_str().map(str::to_owned).ok_or(Wrong(""))
    }
}

/// A path that is not UTF-8 is an array of its bytes.
impl Json for PathBuf {
    fn write(&self, out: &mut String) {
        use std::os::unix::ffi::OsStrExt;
        match self.to_str() {
            Some(text) => quote(text, out),
            None => self.as_os_str().as_bytes().to_vec().write(out),
        }
    }

    fn read(value: &Value) -> Result<Self, Wrong> {
        use std::os::unix::ffi::OsStringExt;
        match value.as_str() {
            Some(text) => Ok(text.into()),
            None => Vec::read(value).map(|bytes| std::ffi::OsString::from_vec(bytes).into()),
        }
    }
}

impl<T: Json> Json for Option<T> {
    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }

    fn read(value: &Value) -> Result<Self, Wrong> {
        match value {
            Value::Null => Ok(None),
            value => T::read(value).map(Some),
        }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Json> Json for Vec<T> {
    fn write(&self, out: &mut String) {
        out.push('[');
        for (at, value) in self.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            value.write(out);
        }
        out.push(']');
    }

    fn read(value: &Value) -> Result<Self, Wrong> {
        value
            .as_array()
            .ok_or(Wrong(""))?
            .iter()
            .map(T::read)
            .collect()
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

impl Json for BTreeMap<String, String> {
    fn write(&self, out: &mut String) {
        let mut object = Object::new(out);
        for (key, value) in self {
            object.field(key, value);
        }
        object.end();
    }

    fn read(value: &Value) -> Result<Self, Wrong> {
        let object = value.as_object().ok_or(Wrong(""))?;
        let entry = |(key, value): (&String, &Value)| Ok((key.clone(), String::read(value)?));
        object.iter().map(entry).collect()
    }

    fn absent() -> Option<Self> {
        Some(BTreeMap::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Record {
        name: String,
        size: u16,
        at: Option<IpAddr>,
        tags: Vec<String>,
        place: PathBuf,
    }
    json_object!(Record {
        name,
        size,
        at,
        tags,
        place
    });

    fn record() -> Record {
        use std::os::unix::ffi::OsStringExt;
        Record {
            name: "a \"quoted\\\n\u{1} ünicode\u{7f} name".into(),
            size: 65_535,
            at: Some(IpAddr::from([10, 0, 0, 1])),
            tags: vec![String::new(), "b".into()],
            place: std::ffi::OsString::from_vec(b"/not\xffutf8".to_vec()).into(),
        }
    }

    #[test]
    fn what_is_written_is_json_and_reads_back() {
        let text = to_text(&record());
        let tree: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(tree["name"], record().name.as_str());
        assert_eq!(from_slice(text.as_bytes()), Ok(record()));
    }

    #[test]
    fn a_text_that_is_cut_off_foreign_or_out_of_range_is_refused_and_its_field_named() {
        let text = to_text(&record());
        for cut in 0..text.len() {
            assert!(
                from_slice::<Record>(&text.as_bytes()[..cut]).is_err(),
                "{cut}"
            );
        }
        let wrong = text.replace("65535", "65536");
        let refusal = from_slice::<Record>(wrong.as_bytes());
        assert_eq!(refusal, Err("`size` is missing or wrong".to_owned()));
        for foreign in ["null", "[]", "7", "{}", "\"x\""] {
            assert!(
                from_slice::<Record>(foreign.as_bytes()).is_err(),
                "{foreign}"
            );
        }
    }

    #[test]
    fn what_an_older_text_lacks_is_nothing() {
        let read: Record =
            from_slice(br#"{"name":"x","size":1,"place":"/","later":true}"#).expect("a record");
        assert_eq!((read.at, read.tags.len()), (None, 0));
    }
}
