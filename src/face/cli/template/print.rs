//! Values as text: what Go's fmt makes of them with Print, Println and Printf.

use super::value::{Element, Sight, Val};
use crate::types::quoted;

/// Go gives up on wider fields, too.
const WIDEST: usize = 1_000_000;

/// With %v.
pub fn plain(value: &Val<'_>, sight: Sight, out: &mut String) {
    verb(value, &Verb::plain(), sight, out);
}

/// As Sprint: a blank between two values that are not texts.
pub fn printed(values: &[Val<'_>], sight: Sight) -> String {
    let mut out = String::new();
    let mut text_before = true;
    for value in values {
        let text = matches!(value, Val::Text(_));
        if !out.is_empty() && !text && !text_before {
            out.push(' ');
        }
        plain(value, sight, &mut out);
        text_before = text;
    }
    out
}

/// As Sprintln.
pub fn line(values: &[Val<'_>], sight: Sight) -> String {
    let mut out = String::new();
    for (at, value) in values.iter().enumerate() {
        out.push_str(if at > 0 { " " } else { "" });
        plain(value, sight, &mut out);
    }
    out.push('\n');
    out
}

/// A verb of a format with its flags.
struct Verb {
    letter: char,
    left: bool,
    plus: bool,
    sharp: bool,
    blank: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

impl Verb {
    fn plain() -> Self {
        Verb {
            letter: 'v',
            left: false,
            plus: false,
            sharp: false,
            blank: false,
            zero: false,
            width: 0,
            precision: None,
        }
    }
}

/// As Sprintf.
pub fn formatted(format: &str, values: &[Val<'_>], sight: Sight) -> String {
    let mut out = String::new();
    let mut values = values.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut wanted = Verb::plain();
        while let Some(flag) = chars.next_if(|c| "-+# 0".contains(*c)) {
            match flag {
                '-' => wanted.left = true,
                '+' => wanted.plus = true,
                '#' => wanted.sharp = true,
                ' ' => wanted.blank = true,
                _ => wanted.zero = true,
            }
        }
        wanted.width = number(&mut chars);
        if chars.next_if_eq(&'.').is_some() {
            wanted.precision = Some(number(&mut chars));
        }
        if wanted.width > WIDEST {
            out.push_str("%!(BADWIDTH)");
            wanted.width = 0;
        }
        let Some(letter) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        wanted.letter = letter;
        if letter == '%' {
            out.push('%');
            continue;
        }
        match values.next() {
            Some(value) => verb(value, &wanted, sight, &mut out),
            None => out.push_str(&format!("%!{letter}(MISSING)")),
        }
    }
    let mut before = "%!(EXTRA ";
    for value in values {
        out.push_str(before);
        out.push_str(&typed(value, sight));
        before = ", ";
    }
    if before == ", " {
        out.push(')');
    }
    out
}

fn number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> usize {
    let mut number = 0;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        number = (number * 10 + digit as usize).min(WIDEST + 1);
    }
    number
}

/// `string=web`, for what a format does not fit.
fn typed(value: &Val<'_>, sight: Sight) -> String {
    let mut text = String::new();
    plain(value, sight, &mut text);
    match value.type_name(sight) {
        "<nil>" => "<nil>".into(),
        name => format!("{name}={text}"),
    }
}

/// A value by a verb; of lists, maps and structs each element.
fn verb(value: &Val<'_>, wanted: &Verb, sight: Sight, out: &mut String) {
    if wanted.letter == 'T' {
        return padded(value.type_name(sight), "", wanted, out);
    }
    match value {
        Val::Missing | Val::Null(Element::Any | Element::Pointer | Element::Object) => {
            match wanted.letter {
                'v' => padded("<nil>", "", wanted, out),
                letter => out.push_str(&format!("%!{letter}(<nil>)")),
            }
        }
        Val::Text(text) => text_by(text, wanted, sight, out),
        Val::Int(number) => number_by(*number, wanted, sight, out),
        Val::Bool(value) => match wanted.letter {
            'v' | 't' => padded(if *value { "true" } else { "false" }, "", wanted, out),
            letter => out.push_str(&format!("%!{letter}(bool={value})")),
        },
        Val::Struct(_) | Val::Map(..) | Val::NoMap(_) => fields(value, wanted, sight, out),
        Val::List(_) | Val::Texts(_) | Val::Null(_) => {
            out.push('[');
            for at in 0..value.len().unwrap_or_default() {
                out.push_str(if at > 0 { " " } else { "" });
                let item = value.at(at, sight).unwrap_or(Val::Missing);
                verb(&item, wanted, sight, out);
            }
            out.push(']');
        }
    }
}

fn fields(value: &Val<'_>, wanted: &Verb, sight: Sight, out: &mut String) {
    let (keys, is_map) = match value {
        Val::Struct(fields) => (fields.keys().map(String::as_str).collect(), false),
        _ => (value.keys(), true),
    };
    out.push_str(if is_map { "map[" } else { "{" });
    for (at, key) in keys.into_iter().enumerate() {
        out.push_str(if at > 0 { " " } else { "" });
        if is_map || wanted.plus {
            text_by(key, wanted, sight, out);
            out.push(':');
        }
        let field = value.get(key, sight).unwrap_or(Val::Missing);
        verb(&field, wanted, sight, out);
    }
    out.push(if is_map { ']' } else { '}' });
}

/// Pads to the width: behind a sign where zeros do it.
fn padded(text: &str, sign: &str, wanted: &Verb, out: &mut String) {
    let missing = wanted
        .width
        .saturating_sub(sign.len() + text.chars().count());
    let zero = wanted.zero && !wanted.left;
    if !wanted.left && !zero {
        out.extend(std::iter::repeat_n(' ', missing));
    }
    out.push_str(sign);
    if zero {
        out.extend(std::iter::repeat_n('0', missing));
    }
    out.push_str(text);
    if wanted.left {
        out.extend(std::iter::repeat_n(' ', missing));
    }
}

fn text_by(text: &str, wanted: &Verb, sight: Sight, out: &mut String) {
    let cut: String;
    let text = match wanted.precision {
        Some(most) if "vsq".contains(wanted.letter) => {
            cut = text.chars().take(most).collect();
            &cut
        }
        _ => text,
    };
    match wanted.letter {
        'v' if wanted.sharp => padded(&quoted(text), "", wanted, out),
        'q' if wanted.sharp && !text.contains('`') => padded(&format!("`{text}`"), "", wanted, out),
        'v' | 's' => padded(text, "", wanted, out),
        'q' => padded(&quoted(text), "", wanted, out),
        'x' | 'X' => {
            let mut hex = String::new();
            for byte in text.bytes() {
                hex.push_str(&match wanted.letter {
                    'X' => format!("{byte:02X}"),
                    _ => format!("{byte:02x}"),
                });
            }
            padded(&hex, "", wanted, out);
        }
        letter => {
            let value = typed(&Val::text(text), sight);
            out.push_str(&format!("%!{letter}({value})"));
        }
    }
}

/// As strconv.QuoteRune.
fn character(c: char) -> String {
    match c {
        '\'' => "'\\''".into(),
        '"' => "'\"'".into(),
        c => format!("'{}'", quoted(&c.to_string()).trim_matches('"')),
    }
}

/// A number's digits: one function for all bases.
fn digits(mut number: u64, base: u32) -> String {
    let mut digits = String::new();
    loop {
        let last = (number % u64::from(base)) as u32;
        digits.insert(0, char::from_digit(last, base).unwrap_or_default());
        number /= u64::from(base);
        if number == 0 {
            return digits;
        }
    }
}

fn number_by(number: i64, wanted: &Verb, sight: Sight, out: &mut String) {
    let sign = match number {
        ..0 => "-",
        _ if wanted.plus && wanted.letter != 'v' => "+",
        _ if wanted.blank => " ",
        _ => "",
    };
    let (base, before, prefix) = match wanted.letter {
        'v' | 'd' => (10, "", ""),
        'b' => (2, "", "0b"),
        'o' => (8, "", "0"),
        'O' => (8, "0o", ""),
        'x' => (16, "", "0x"),
        'X' => (16, "", "0X"),
        'c' | 'q' | 'U' => {
            let c = u32::try_from(number).ok().and_then(char::from_u32);
            let c = c.unwrap_or('\u{fffd}');
            let text = match wanted.letter {
                'c' => c.to_string(),
                'q' => character(c),
                _ => format!("U+{number:04X}"),
            };
            return padded(&text, "", wanted, out);
        }
        letter => {
            let value = typed(&Val::Int(number), sight);
            return out.push_str(&format!("%!{letter}({value})"));
        }
    };
    let mut digits = format!("{before}{}", digits(number.unsigned_abs(), base));
    if wanted.letter == 'X' {
        digits.make_ascii_uppercase();
    }
    if let Some(least) = wanted.precision.filter(|least| *least <= WIDEST) {
        digits.insert_str(0, &"0".repeat(least.saturating_sub(digits.len())));
    }
    let sign = match wanted.sharp {
        true => format!("{sign}{prefix}"),
        false => sign.to_owned(),
    };
    padded(&digits, &sign, wanted, out);
}
