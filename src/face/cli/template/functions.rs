//! The functions of a template: Go's own, and those that Docker adds.

use super::print;
use super::value::{Element, Sight, Val};
use std::cmp::Ordering;

/// A function by name.
#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    /// A letter an argument: any value, Text, Int, List of texts; the last may be repeated (`*`).
    arguments: &'static str,
}

/// What a function wants an argument to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    Any,
    Text,
    Int,
    Texts,
}

static FUNCTIONS: [Function; 27] = [
    function("and", "aa*"),
    function("call", "aa*"),
    function("eq", "aa*"),
    function("ge", "aa"),
    function("gt", "aa"),
    function("html", "a*"),
    function("index", "aa*"),
    function("join", "lt"),
    function("js", "a*"),
    function("json", "a"),
    function("le", "aa"),
    function("len", "a"),
    function("lower", "t"),
    function("lt", "aa"),
    function("ne", "aa"),
    function("not", "a"),
    function("or", "aa*"),
    function("pad", "tii"),
    function("print", "a*"),
    function("printf", "ta*"),
    function("println", "a*"),
    function("slice", "aa*"),
    function("split", "tt"),
    function("title", "t"),
    function("truncate", "ti"),
    function("upper", "t"),
    function("urlquery", "a*"),
];

const fn function(name: &'static str, arguments: &'static str) -> Function {
    Function { name, arguments }
}

/// The function of this name.
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// A sentence without its beginning.
type Said<T> = Result<T, String>;

/// The most blanks that `pad` puts on one side.
const WIDEST: i64 = 4096;

impl Function {
    /// Whether so many arguments are right; `words` of them are written out, which is what Go counts.
    pub fn check(&self, words: usize, count: usize) -> Said<()> {
        let (name, more) = (self.name, self.arguments.strip_suffix("a*"));
        let fixed = more.unwrap_or(self.arguments).len();
        let wanted = match more {
            Some(_) if count < fixed => format!("at least {fixed} got {words}"),
            None if count != fixed => format!("{fixed} got {count}"),
            _ => return Ok(()),
        };
        Err(format!("wrong number of args for {name}: want {wanted}"))
    }

    /// What the argument at this place has to be.
    pub fn argument(&self, at: usize) -> Argument {
        match self.arguments.as_bytes().get(at) {
            Some(b't') => Argument::Text,
            Some(b'i') => Argument::Int,
            Some(b'l') => Argument::Texts,
            _ => Argument::Any,
        }
    }

    /// Whether an argument of this value ends the evaluation of `and` or `or`.
    pub fn decides(&self, value: &Val<'_>) -> bool {
        match self.name {
            "and" => !value.is_true(),
            "or" => value.is_true(),
            _ => false,
        }
    }
}

/// Calls a function with as many arguments as it wants, of the kinds it wants.
pub fn call<'v>(function: &Function, mut values: Vec<Val<'v>>, sight: Sight) -> Said<Val<'v>> {
    let dockers = [
        "json", "join", "split", "title", "lower", "upper", "pad", "truncate",
    ];
    if sight == Sight::Heading && dockers.contains(&function.name) {
        return Ok(values.swap_remove(0));
    }
    let name = function.name;
    Ok(match name {
        "and" | "or" => return values.pop().ok_or_else(String::new),
        "not" => Val::Bool(!values[0].is_true()),
        "len" => match (values[0].len(), &values[0]) {
            (Some(len), _) => Val::Int(len as i64),
            (None, nil) if nil.is_nil() => return Err("len of nil pointer".into()),
            (None, other) => return Err(format!("len of type {}", other.type_name(sight))),
        },
        "index" => return index(&values, sight),
        "slice" => return slice(&values, sight),
        "call" => return Err("non-function has no value to call".into()),
        "eq" | "ne" => Val::Bool(equal(&values, sight)? == (name == "eq")),
        "lt" | "le" | "gt" | "ge" => {
            let order = compare(&values, sight)?;
            Val::Bool(match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            })
        }
        "split" => Val::Texts(split(text(&values, 0), text(&values, 1))),
        _ => Val::Text(written(name, &values, sight)?.into()),
    })
}

fn text<'a>(values: &'a [Val<'_>], at: usize) -> &'a str {
    match values.get(at) {
        Some(Val::Text(text)) => text,
        _ => "",
    }
}

fn int(values: &[Val<'_>], at: usize) -> i64 {
    match values.get(at) {
        Some(Val::Int(value)) => *value,
        _ => 0,
    }
}

/// The functions whose value is a text.
fn written(name: &str, values: &[Val<'_>], sight: Sight) -> Said<String> {
    let first = text(values, 0);
    Ok(match name {
        "json" => values[0].json(),
        "lower" => first.to_ascii_lowercase(),
        "upper" => first.to_ascii_uppercase(),
        "title" => title(first),
        "join" => join(&values[0], text(values, 1), sight),
        "pad" => pad(first, int(values, 1), int(values, 2))?,
        "truncate" => cut(first, 0, int(values, 1).max(0) as usize),
        "printf" => print::formatted(first, &values[1..], sight),
        "print" => print::printed(values, sight),
        "println" => print::line(values, sight),
        _ => escaped(name, &print::printed(values, sight)),
    })
}

fn index<'v>(values: &[Val<'v>], sight: Sight) -> Said<Val<'v>> {
    let mut item = values[0].clone();
    if matches!(item, Val::Missing | Val::Null(Element::Any)) {
        return Err("index of untyped nil".into());
    }
    for key in &values[1..] {
        item = match (&item, key) {
            (Val::Map(_, element) | Val::NoMap(element), Val::Text(key)) => {
                item.get(key, sight).unwrap_or_else(|| Val::zero(*element))
            }
            (Val::Map(..) | Val::NoMap(_), Val::Missing | Val::Null(_)) => {
                return Err("value is nil; should be of type string".into());
            }
            (Val::Map(..) | Val::NoMap(_), key) => {
                let of = key.type_name(sight);
                return Err(format!("value has type {of}; should be string"));
            }
            (
                Val::List(_) | Val::Texts(_) | Val::Text(_) | Val::Null(Element::List),
                Val::Int(at),
            ) => {
                let at = place(*at, item.len().unwrap_or_default(), false)?;
                match &item {
                    Val::Text(text) => Val::Int(text.as_bytes()[at].into()),
                    list => list.at(at, sight).unwrap_or(Val::Missing),
                }
            }
            (Val::List(_) | Val::Texts(_) | Val::Text(_) | Val::Null(Element::List), key) => {
                return Err(no_index(key, sight));
            }
            (nil, _) if nil.is_nil() => return Err("index of nil pointer".into()),
            (other, _) => {
                let of = other.type_name(sight);
                return Err(format!("can't index item of type {of}"));
            }
        };
    }
    Ok(item)
}

/// That a value is no place in a list.
fn no_index(value: &Val<'_>, sight: Sight) -> String {
    match value.is_nil() {
        true => "cannot index slice/array with nil".into(),
        false => {
            let of = value.type_name(sight);
            format!("cannot index slice/array with type {of}")
        }
    }
}

/// An index within a length; the length itself only where a slice ends.
fn place(at: i64, len: usize, end: bool) -> Said<usize> {
    usize::try_from(at)
        .ok()
        .filter(|at| *at < len || (end && *at == len))
        .ok_or_else(|| format!("index out of range: {at}"))
}

fn slice<'v>(values: &[Val<'v>], sight: Sight) -> Said<Val<'v>> {
    let item = &values[0];
    if item.is_nil() && !matches!(item, Val::Null(Element::List)) {
        return Err("slice of untyped nil".into());
    }
    if values.len() > 4 {
        return Err(format!("too many slice indexes: {}", values.len() - 1));
    }
    let len = match item {
        Val::Text(_) if values.len() == 4 => return Err("cannot 3-index slice a string".into()),
        Val::Text(_) | Val::List(_) | Val::Texts(_) | Val::Null(Element::List) => item.len(),
        _ => None,
    };
    let of = item.type_name(sight);
    let len = len.ok_or_else(|| format!("can't slice item of type {of}"))?;
    let mut ends = [0, len, len];
    for (end, value) in ends.iter_mut().zip(&values[1..]) {
        let Val::Int(at) = value else {
            return Err(no_index(value, sight));
        };
        *end = place(*at, len, true)?;
    }
    let [from, to, most] = ends;
    if let Some((a, b)) = [(from, to), (to, most)].into_iter().find(|(a, b)| a > b) {
        return Err(format!("invalid slice index: {a} > {b}"));
    }
    Ok(match item {
        Val::Text(text) => Val::Text(cut(text, from, to).into()),
        Val::List(items) => Val::List(&items[from..to]),
        Val::Texts(texts) => Val::Texts(texts[from..to].to_vec()),
        nil => nil.clone(),
    })
}

/// Bytes of a text; what is not a whole character becomes U+FFFD.
fn cut(text: &str, from: usize, to: usize) -> String {
    let bytes = text.as_bytes().get(from..to.min(text.len()));
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

/// Whether the first is equal to any of the others.
fn equal(values: &[Val<'_>], sight: Sight) -> Said<bool> {
    let (first, others) = values
        .split_first()
        .ok_or("missing argument for comparison")?;
    if others.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in others {
        let equal = match (first, other) {
            (Val::Int(a), Val::Int(b)) => a == b,
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::Text(a), Val::Text(b)) => a == b,
            (a, b) if a.is_nil() || b.is_nil() => a.is_nil() && b.is_nil(),
            (a, b) => return Err(incompatible(a, b, sight)),
        };
        if equal {
            return Ok(true);
        }
    }
    Ok(false)
}

fn incompatible(a: &Val<'_>, b: &Val<'_>, sight: Sight) -> String {
    let (a, b) = (a.type_name(sight), b.type_name(sight));
    format!("incompatible types for comparison: {a} and {b}")
}

fn compare(values: &[Val<'_>], sight: Sight) -> Said<Ordering> {
    match (&values[0], &values[1]) {
        (Val::Int(a), Val::Int(b)) => Ok(a.cmp(b)),
        (Val::Text(a), Val::Text(b)) => Ok(a.cmp(b)),
        (a @ Val::Int(_), b @ Val::Text(_)) | (a @ Val::Text(_), b @ Val::Int(_)) => {
            Err(incompatible(a, b, sight))
        }
        _ => Err("invalid type for comparison".into()),
    }
}

/// The first letter of each word as a capital (Go's strings.Title); as `lower` and `upper` of ASCII alone: the tables of
/// all other letters would be larger than this whole file.
fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        match inside {
            true => titled.push(c),
            false => titled.push(c.to_ascii_uppercase()),
        }
        inside = match c.is_ascii() {
            true => c.is_ascii_alphanumeric() || c == '_',
            false => true,
        };
    }
    titled
}

fn split(text: &str, by: &str) -> Vec<String> {
    match by {
        "" => text.chars().map(String::from).collect(),
        by => text.split(by).map(str::to_owned).collect(),
    }
}

fn join(list: &Val<'_>, by: &str, sight: Sight) -> String {
    let mut text = String::new();
    for at in 0..list.len().unwrap_or_default() {
        text.push_str(if at > 0 { by } else { "" });
        print::plain(
            &list.at(at, sight).unwrap_or(Val::Missing),
            sight,
            &mut text,
        );
    }
    text
}

fn pad(text: &str, before: i64, after: i64) -> Said<String> {
    let blanks = |count: i64| match count {
        0..=WIDEST => Ok(" ".repeat(count as usize)),
        _ => Err(format!("a padding of {count}: 0 to {WIDEST} are possible")),
    };
    let (before, after) = (blanks(before)?, blanks(after)?);
    Ok(match text {
        "" => String::new(),
        text => format!("{before}{text}{after}"),
    })
}

/// What stands for a sign in HTML, and in JavaScript.
const HTML: [(char, &str); 6] = [
    ('&', "&amp;"),
    ('<', "&lt;"),
    ('>', "&gt;"),
    ('\'', "&#39;"),
    ('"', "&#34;"),
    ('\0', "\u{fffd}"),
];
const JS: [(char, &str); 3] = [('\\', "\\\\"), ('\'', "\\'"), ('"', "\\\"")];

/// Text made harmless for HTML, JavaScript or a URL's query.
fn escaped(how: &str, text: &str) -> String {
    let (html, js) = (how == "html", how == "js");
    let entities: &[(char, &str)] = match how {
        "html" => &HTML,
        "js" => &JS,
        _ => &[(' ', "+")],
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let is_plain = match c {
            _ if html => true,
            '<' | '>' | '&' | '=' | '\0'..='\x1f' | '\x7f'..='\u{9f}' if js => false,
            c => js || c.is_ascii_alphanumeric() || "-_.~".contains(c),
        };
        if let Some((_, entity)) = entities.iter().find(|(known, _)| *known == c) {
            out.push_str(entity);
        } else if is_plain {
            out.push(c);
        } else if js {
            out.push_str(&format!("\\u{:04X}", u32::from(c)));
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}
