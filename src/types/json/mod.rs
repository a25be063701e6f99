//! JSON of the state files and of what a process hands to its child: written straight into text, read from its tree.
//!
//! serde's derived readers, which were here once, made the released file 55 KiB larger: there was one for each type,
//! grown together with all that it holds. Here a type is its list of fields ([`json_object`]), its text ([`json_text`]) or
//! its words ([`json_words`]).

mod values;

use super::tree::{Value, parse};
use std::fmt::{Display, Write};
use std::str::FromStr;

/// The field, or the type, that a text has not got as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrong(pub &'static str);

impl Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is missing or wrong", self.0)
    }
}

/// What can stand in a JSON text. It is read in place, into a blank one: so a struct's reader is a call for each field.
pub trait Json {
    /// Appends it.
    fn write(&self, out: &mut String);

    /// One to be read into; what of it no text gives a value is never seen.
    fn blank() -> Self
    where
        Self: Sized;

    /// Reads into a blank one.
    ///
    /// # Errors
    /// Names the field that is not as it should be.
    fn fill(&mut self, value: &Value) -> Result<(), Wrong>;

    /// Whether a field that is not there means what the blank one is.
    fn may_be_absent(&self) -> bool {
        false
    }
}

/// A value as JSON.
pub fn to_text(value: &dyn Json) -> String {
    let mut text = String::with_capacity(1024);
    value.write(&mut text);
    text
}

/// A value from JSON, or in words why there is none.
pub fn from_slice<T: Json>(text: &[u8]) -> Result<T, String> {
    let mut value = T::blank();
    fill_from(&mut value, text)?;
    Ok(value)
}

fn fill_from(value: &mut dyn Json, text: &[u8]) -> Result<(), String> {
    value.fill(&parse(text)?).map_err(|wrong| wrong.to_string())
}

/// A field of an object.
///
/// # Errors
/// Names the field, or the one within it.
pub fn field<T: Json>(object: &Value, name: &'static str) -> Result<T, Wrong> {
    let mut value = T::blank();
    Fields::of(object).field(name, &mut value).end()?;
    Ok(value)
}

/// An object that is being read: after a field that is wrong no other is looked at.
pub struct Fields<'a> {
    of: &'a Value,
    wrong: Option<Wrong>,
}

impl<'a> Fields<'a> {
    /// Begins.
    pub fn of(of: &'a Value) -> Self {
        Fields { of, wrong: None }
    }

    /// Reads a field.
    pub fn field(&mut self, name: &'static str, into: &mut dyn Json) -> &mut Self {
        if self.wrong.is_none() {
            self.wrong = match self.of.get(name) {
                Some(value) => into.fill(value).err(),
                None if self.of.is_object() && into.may_be_absent() => None,
                None => Some(Wrong(name)),
            };
            if self.wrong == Some(Wrong("")) {
                self.wrong = Some(Wrong(name));
            }
        }
        self
    }

    /// Ends.
    ///
    /// # Errors
    /// Names the field that was wrong, or the one within it.
    pub fn end(&self) -> Result<(), Wrong> {
        self.wrong.map_or(Ok(()), Err)
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
    pub fn field(&mut self, name: &str, value: &dyn Json) -> &mut Self {
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

/// Appends a string in its quotes (RFC 8259, 7), with the short escapes.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        let short = match c {
            '"' | '\\' => c,
            '\x08' => 'b',
            '\x0c' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\0'..='\x1f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
                continue;
            }
            c => {
                out.push(c);
                continue;
            }
        };
        out.extend(['\\', short]);
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
            fn blank() -> Self {
                Self {
                    $($field: $crate::types::json::Json::blank(),)*
                    $($($left_out: Default::default(),)*)?
                }
            }
            fn fill(&mut self, value: &$crate::types::tree::Value) -> Result<(), $crate::types::json::Wrong> {
                $crate::types::json::Fields::of(value)$(.field(stringify!($field), &mut self.$field))*.end()
            }
        }
    };
}

/// Types that JSON has as the text that they print and parse, each with its blank one.
#[macro_export]
macro_rules! json_text {
    ($($type:ty = $blank:expr),*) => {$(
        impl $crate::types::json::Json for $type {
            fn write(&self, out: &mut std::string::String) {
                $crate::types::json::write_text(self, out);
            }
            fn blank() -> Self {
                $blank
            }
            fn fill(&mut self, value: &$crate::types::tree::Value) -> Result<(), $crate::types::json::Wrong> {
                *self = $crate::types::json::read_text(value)?;
                Ok(())
            }
        }
    )*};
}

/// An enum whose variants JSON has as these words.
#[macro_export]
macro_rules! json_words {
    ($type:ident { $first:ident = $first_word:literal $(, $variant:ident = $word:literal)* }) => {
        impl $crate::types::json::Json for $type {
            fn write(&self, out: &mut String) {
                let word = match self { $type::$first => $first_word, $($type::$variant => $word,)* };
                $crate::types::json::write_text(&word, out);
            }
            fn blank() -> Self {
                $type::$first
            }
            fn fill(&mut self, value: &$crate::types::tree::Value) -> Result<(), $crate::types::json::Wrong> {
                *self = match value.as_str() {
                    Some($first_word) => $type::$first,
                    $(Some($word) => $type::$variant,)*
                    _ => return Err($crate::types::json::Wrong("")),
                };
                Ok(())
            }
        }
    };
}

pub use {json_object, json_text, json_words};

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use std::path::PathBuf;

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
        let tree: serde_json::Value = serde_json::from_str(&text).expect("JSON");
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
