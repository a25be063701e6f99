//! Values as a template sees them: Docker's objects are Go structs with types, of which JSON keeps only the names.
//!
//! Docker evaluates a template on the struct, and when that fails again on the JSON it makes of it, in which every
//! object is a map (cli/command/inspect): so both are here, and [`Sight`] says which. What a struct's field would be in
//! Go is told by its name: a map whose keys are the user's, an absent list, an absent object.

use crate::face::cli::tree;
use crate::types::tree::{Map, Value};
use std::borrow::Cow;

/// How an object is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// As Docker's struct.
    Typed,
    /// As maps and lists of anything.
    Raw,
    /// As a line of a list, whose Go type has this name.
    Row(&'static str),
    /// As the headings of a list's fields, which Docker's functions leave as they are.
    Heading,
}

/// What the values of a map are in Go, which is what a missing one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    Any,
    Text,
    List,
    Object,
    Pointer,
}

/// A value.
#[derive(Debug, Clone)]
pub enum Val<'v> {
    /// None at all: Go's invalid value.
    Missing,
    /// `null` where Go has a value of this type.
    Null(Element),
    Bool(bool),
    Int(i64),
    Text(Cow<'v, str>),
    List(&'v [Value]),
    /// What `split` makes.
    Texts(Vec<String>),
    Struct(&'v Map),
    Map(&'v Map, Element),
    /// A map that is not there.
    NoMap(Element),
}

/// Maps by their field's name.
fn map_of(name: &str) -> Option<Element> {
    Some(match name {
        "Networks" => Element::Pointer,
        "Ports" | "PortBindings" => Element::List,
        "ExposedPorts" | "Volumes" | "Containers" => Element::Object,
        "" | "Labels" | "Options" | "DriverOpts" | "Sysctls" | "Tmpfs" | "StorageOpt" => {
            Element::Text
        }
        _ => return None,
    })
}

/// Objects that may be absent.
const POINTERS: [&str; 4] = ["IPAMConfig", "Health", "Healthcheck", "PidsLimit"];

impl<'v> Val<'v> {
    /// Text of this program's own.
    pub fn text(text: &str) -> Self {
        Val::Text(Cow::Owned(text.to_owned()))
    }

    /// The whole object.
    pub fn object(value: &'v Value, sight: Sight) -> Self {
        Val::of(value, sight, None, Element::Object)
    }

    /// A value found under `name` in a struct, or in a map or list with such elements.
    fn of(value: &'v Value, sight: Sight, name: Option<&str>, element: Element) -> Self {
        let map = name.and_then(map_of);
        match value {
            Value::Bool(value) => Val::Bool(*value),
            Value::String(text) => Val::Text(Cow::Borrowed(text)),
            Value::Number(number) => match number.parse() {
                Ok(number) => Val::Int(number),
                Err(_) => Val::Text(Cow::Borrowed(number)),
            },
            Value::Array(items) => Val::List(items),
            Value::Object(fields) if sight == Sight::Raw => Val::Map(fields, Element::Any),
            Value::Object(fields) => map.map_or(Val::Struct(fields), |of| Val::Map(fields, of)),
            Value::Null if sight == Sight::Raw => Val::Null(Element::Any),
            Value::Null => match (map, name) {
                (Some(element), _) => Val::NoMap(element),
                (None, Some(name)) if POINTERS.contains(&name) => Val::Null(Element::Pointer),
                (None, Some(_)) => Val::Null(Element::List),
                (None, None) => Val::Null(element),
            },
        }
    }

    /// The zero value of a map's elements.
    pub fn zero(element: Element) -> Self {
        match element {
            Element::Text => Val::text(""),
            other => Val::Null(other),
        }
    }

    /// A struct's field, or a map's entry; none where there is no such thing.
    pub fn get(&self, name: &str, sight: Sight) -> Option<Val<'v>> {
        match self {
            Val::Struct(fields) => {
                let value = fields.get(name).or_else(|| fields.get(alias(name)?))?;
                // LogConfig's Config is a map of the driver's, a container's is a struct.
                if name == "Config" && fields.get("Type").is_some() {
                    return Some(Val::Map(value.as_object()?, Element::Text));
                }
                Some(Val::of(value, sight, Some(name), Element::Object))
            }
            Val::Map(fields, element) => Some(Val::of(fields.get(name)?, sight, None, *element)),
            _ => None,
        }
    }

    /// An element of a list.
    pub fn at(&self, index: usize, sight: Sight) -> Option<Val<'v>> {
        match self {
            Val::List(items) => {
                let element = if sight == Sight::Raw {
                    Element::Any
                } else {
                    Element::Object
                };
                Some(Val::of(items.get(index)?, sight, None, element))
            }
            Val::Texts(texts) => Some(Val::text(texts.get(index)?)),
            _ => None,
        }
    }

    /// A map's keys, sorted as Go ranges over them.
    pub fn keys(&self) -> Vec<&'v str> {
        let (Val::Map(fields, _) | Val::Struct(fields)) = self else {
            return Vec::new();
        };
        let mut keys: Vec<_> = fields.keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    /// How many elements, or bytes of text; none of what has no length.
    pub fn len(&self) -> Option<usize> {
        Some(match self {
            Val::List(items) => items.len(),
            Val::Texts(texts) => texts.len(),
            Val::Map(fields, _) => fields.len(),
            Val::Text(text) => text.len(),
            Val::NoMap(_) | Val::Null(Element::List) => 0,
            _ => return None,
        })
    }

    /// Whether `if` takes it for true.
    pub fn is_true(&self) -> bool {
        match self {
            Val::Bool(value) => *value,
            Val::Int(value) => *value != 0,
            Val::Struct(_) => true,
            other => other.len().is_some_and(|len| len > 0),
        }
    }

    /// Whether Go would call it nil.
    pub fn is_nil(&self) -> bool {
        matches!(self, Val::Missing | Val::Null(_) | Val::NoMap(_))
    }

    /// The name of its Go type.
    pub fn type_name(&self, sight: Sight) -> &'static str {
        match self {
            Val::Missing => "<nil>",
            Val::Null(Element::List) | Val::Texts(_) => "[]string",
            Val::Null(_) if sight == Sight::Raw => "interface {}",
            Val::Null(_) => "struct",
            Val::Bool(_) => "bool",
            Val::Int(_) => "int",
            Val::Text(_) => "string",
            Val::List(_) if sight == Sight::Raw => "[]interface {}",
            Val::List(_) => "[]string",
            Val::Struct(_) => match sight {
                Sight::Row(name) => name,
                _ => "struct",
            },
            Val::Map(..) | Val::NoMap(_) if sight == Sight::Raw => "map[string]interface {}",
            Val::Map(..) | Val::NoMap(_) => "map[string]string",
        }
    }

    /// As JSON.
    pub fn json(&self) -> String {
        tree::line(&match self {
            Val::Missing | Val::Null(_) | Val::NoMap(_) => Value::Null,
            Val::Bool(value) => Value::Bool(*value),
            Val::Int(value) => Value::from(*value),
            Val::Text(text) => Value::from(text.as_ref()),
            Val::Texts(texts) => tree::texts(texts),
            Val::List(items) => return tree::items(items),
            // A line of a list has what no field is under no name.
            Val::Struct(fields) => {
                return tree::entries(&mut fields.into_iter().filter(|(name, _)| !name.is_empty()));
            }
            Val::Map(fields, _) => {
                let mut sorted = (*fields).clone();
                sorted.sort_keys();
                Value::Object(sorted)
            }
        })
    }
}

/// Go's spelling of a field whose JSON key is another.
fn alias(name: &str) -> Option<&'static str> {
    Some(match name {
        "ID" => "Id",
        "DNS" => "Dns",
        "DNSOptions" => "DnsOptions",
        "DNSSearch" => "DnsSearch",
        "HostIP" => "HostIp",
        _ => return None,
    })
}
