//! Words of a template: text, delimiters with their trim markers, and what stands between them.
//!
//! As text/template/parse/lex.go, all at once: what is not well formed ends the words with [`Kind::Wrong`], so that
//! whatever is wrong before it is said first.

use crate::types::quoted;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text outside braces.
    Text,
    /// `{{`, with its trim marker.
    Left,
    /// `}}`, with its trim marker.
    Right,
    /// Blanks inside braces, which end an operand.
    Space,
    /// `|`
    Pipe,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `.Name`
    Field,
    /// `$name`, or `$` alone
    Variable,
    /// A function's name, `true` or `false`.
    Word,
    /// `if`, `end`, …, and `nil`.
    Keyword,
    /// `.` alone
    Dot,
    /// `-42`
    Number,
    /// `'x'`
    Char,
    /// `"…"`
    Quoted,
    /// The same between backquotes.
    Raw,
    /// Any other printable character.
    Other,
    /// The text is not well formed here.
    Wrong,
    /// The end.
    End,
}

/// A token and where it begins.
#[derive(Debug, Clone, Copy)]
pub struct Token<'t> {
    pub kind: Kind,
    pub at: usize,
    pub text: &'t str,
}

const KEYWORDS: [&str; 11] = [
    "block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with",
];

/// A template's tokens, and what [`Kind::Wrong`] means if that is the last.
pub fn lex(text: &str) -> (Vec<Token<'_>>, String) {
    let mut lexer = Lexer {
        text,
        at: 0,
        parens: 0,
        tokens: Vec::new(),
    };
    let wrong = lexer.all().err();
    let end = if wrong.is_some() {
        Kind::Wrong
    } else {
        Kind::End
    };
    lexer.push(end, lexer.at);
    (lexer.tokens, wrong.unwrap_or_default())
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    parens: usize,
    tokens: Vec<Token<'t>>,
}

/// What is wrong, as Go says it.
type Said<T> = Result<T, String>;

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Beyond ASCII everything is a letter: no table of them is worth its bytes here.
fn is_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric() || !c.is_ascii()
}

/// `%#U` of Go's fmt.
fn code_point(c: char) -> String {
    format!("U+{:04X} '{c}'", u32::from(c))
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The token from `from` to where the lexer is.
    fn push(&mut self, kind: Kind, from: usize) {
        let text = self.text.get(from..self.at).unwrap_or_default();
        self.tokens.push(Token {
            kind,
            at: from,
            text,
        });
    }

    fn skip(&mut self, wanted: fn(char) -> bool) {
        self.at += self.rest().len() - self.rest().trim_start_matches(wanted).len();
    }

    fn all(&mut self) -> Said<()> {
        loop {
            let from = self.at;
            let open = self.rest().find("{{");
            let text = &self.rest()[..open.unwrap_or(self.rest().len())];
            let after = self.rest().get(text.len() + 2..).unwrap_or_default();
            let mut chars = after.chars();
            let trims = chars.next() == Some('-') && chars.next().is_some_and(is_space);
            let kept = if trims {
                text.trim_end_matches(is_space)
            } else {
                text
            };
            self.at += kept.len();
            if !kept.is_empty() {
                self.push(Kind::Text, from);
            }
            let Some(open) = open else { return Ok(()) };
            self.at = from + open + 2;
            let inside = self.at + if trims { 2 } else { 0 };
            if self.text[inside..].starts_with("/*") {
                self.at = inside;
                self.comment()?;
            } else {
                self.push(Kind::Left, from + open);
                self.at = inside;
                self.parens = 0;
                while self.inside()? {}
            }
        }
    }

    /// `}}` or ` -}}`, and how long it is.
    fn right(&self) -> Option<usize> {
        let mut chars = self.rest().chars();
        if chars.next().is_some_and(is_space) && self.rest()[1..].starts_with("-}}") {
            return Some(4);
        }
        self.rest().starts_with("}}").then_some(2)
    }

    fn close(&mut self, length: usize) {
        self.at += length;
        if length == 4 {
            self.skip(is_space);
        }
    }

    fn comment(&mut self) -> Said<()> {
        let end = self.rest().find("*/").ok_or("unclosed comment")?;
        self.at += end + 2;
        let length = self
            .right()
            .ok_or("comment ends before closing delimiter")?;
        self.close(length);
        Ok(())
    }

    /// One token between braces; false after the last.
    fn inside(&mut self) -> Said<bool> {
        let from = self.at;
        if let Some(length) = self.right() {
            if self.parens > 0 {
                return Err("unclosed left paren".into());
            }
            self.push(Kind::Right, from);
            self.close(length);
            return Ok(false);
        }
        let c = self.peek().ok_or("unclosed action")?;
        self.at += c.len_utf8();
        let kind = match c {
            _ if is_space(c) => {
                while self.peek().is_some_and(is_space) && self.right().is_none() {
                    self.at += 1;
                }
                Kind::Space
            }
            '=' => Kind::Assign,
            ':' if self.peek() == Some('=') => {
                self.at += 1;
                Kind::Declare
            }
            ':' => return Err("expected :=".into()),
            '|' => Kind::Pipe,
            '"' => self.quoted('"', "unterminated quoted string", Kind::Quoted)?,
            '\'' => self.quoted('\'', "unterminated character constant", Kind::Char)?,
            '`' => {
                let end = self.rest().find('`');
                self.at += end.ok_or("unterminated raw quoted string")? + 1;
                Kind::Raw
            }
            '$' => self.name(Kind::Variable, Kind::Variable)?,
            '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                self.name(Kind::Field, Kind::Dot)?
            }
            '.' | '+' | '-' | '0'..='9' => self.number(from)?,
            '(' => {
                self.parens += 1;
                Kind::Open
            }
            ')' => {
                self.parens = self.parens.checked_sub(1).ok_or("unexpected right paren")?;
                Kind::Close
            }
            _ if is_word(c) => {
                self.name(Kind::Word, Kind::Word)?;
                match KEYWORDS.contains(&&self.text[from..self.at]) {
                    true => Kind::Keyword,
                    false => Kind::Word,
                }
            }
            ' '..='~' => Kind::Other,
            _ => {
                let c = code_point(c);
                return Err(format!("unrecognized character in action: {c}"));
            }
        };
        self.push(kind, from);
        Ok(true)
    }

    /// The letters of a name; `alone` is what its first character is without any.
    fn name(&mut self, kind: Kind, alone: Kind) -> Said<Kind> {
        let from = self.at;
        self.skip(is_word);
        match self.peek() {
            Some(c) if !is_space(c) && !".,|:)(".contains(c) && !self.rest().starts_with("}}") => {
                Err(format!("bad character {}", code_point(c)))
            }
            _ => Ok(if self.at == from { alone } else { kind }),
        }
    }

    fn quoted(&mut self, end: char, unterminated: &str, kind: Kind) -> Said<Kind> {
        let mut escaped = false;
        for (at, c) in self.rest().char_indices() {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == end => {
                    self.at += at + 1;
                    return Ok(kind);
                }
                _ => {}
            }
        }
        Err(unterminated.into())
    }

    fn number(&mut self, from: usize) -> Said<Kind> {
        self.skip(|c| is_word(c) || c == '.');
        match integer(&self.text[from..self.at]) {
            Some(_) => Ok(Kind::Number),
            None if self.text[from..self.at]
                .bytes()
                .all(|b| b.is_ascii_digit() || b == b'.') =>
            {
                let text = &self.text[from..self.at];
                Err(format!("fractions are not supported: {}", quoted(text)))
            }
            None => Err(format!(
                "bad number syntax: {}",
                quoted(&self.text[from..self.at])
            )),
        }
    }
}

/// An integer as Go writes it: a sign, a base's prefix, `_` between digits. No template of Docker's has a use for
/// fractions.
pub fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.replace('_', "").to_ascii_lowercase();
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', b'o', ..] => (8, &digits[2..]),
        [b'0', b'b', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, &digits[..]),
    };
    match digits.starts_with(['+', '-']) {
        true => None,
        false => i64::from_str_radix(&format!("{sign}{digits}"), base).ok(),
    }
}

/// What a quoted string or character stands for (Go's strconv.Unquote); none where an escape is not one.
pub fn unquote(text: &str) -> Option<String> {
    let quote = text.chars().next()?;
    let inner = text.get(1..text.len().checked_sub(1)?)?;
    if quote == '`' {
        return Some(inner.replace('\r', ""));
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let c = if c == '\\' {
            escape(&mut chars, quote, &mut bytes)?
        } else {
            Some(c)
        };
        if let Some(c) = c {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// So many digits at the beginning of what is left.
fn digits(chars: &mut std::str::Chars<'_>, count: usize, base: u32) -> Option<u32> {
    let (number, rest) = chars.as_str().split_at_checked(count)?;
    *chars = rest.chars();
    let plain = number.bytes().all(|b| b.is_ascii_hexdigit());
    u32::from_str_radix(number, base).ok().filter(|_| plain)
}

/// What follows a backslash: a character, or a byte, which is put where it belongs.
fn escape(
    chars: &mut std::str::Chars<'_>,
    quote: char,
    bytes: &mut Vec<u8>,
) -> Option<Option<char>> {
    let before = chars.clone();
    Some(Some(match chars.next()? {
        'x' => {
            bytes.push(digits(chars, 2, 16)?.try_into().ok()?);
            return Some(None);
        }
        '0'..='7' => {
            *chars = before;
            bytes.push(digits(chars, 3, 8)?.try_into().ok()?);
            return Some(None);
        }
        'u' => char::from_u32(digits(chars, 4, 16)?)?,
        'U' => char::from_u32(digits(chars, 8, 16)?)?,
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        c if c == quote => c,
        _ => return None,
    }))
}
