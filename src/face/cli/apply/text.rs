//! The text of a file for `apply`: words with quotes, comments, continued lines and variables, each with its place.
//!
//! The shell's rules as far as they go, and where they would go further (a pipe, a second command, what a command
//! prints) a refusal: a line that means something else to a shell is no line here. A variable's value is never split.

use std::ffi::OsStr;
use std::iter::Peekable;
use std::str::Chars;

/// Where something stands, from 1 on; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its line.
    pub line: u32,
    /// Its column.
    pub column: u32,
}

/// A word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What it says, without quotes.
    pub text: String,
    /// Where it begins.
    pub place: Place,
}

/// What cannot be read, and where.
pub type Wrong = (Place, String);

/// The environment.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<&'static OsStr>;

/// The lines of a file that say something, each with at least one word.
///
/// # Errors
/// The first thing that is no word of this grammar.
pub fn lines(bytes: &[u8], variables: Variables) -> Result<Vec<Vec<Word>>, Wrong> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let text = String::from_utf8_lossy(before);
            return Err((end_of(&text), "what stands here is not UTF-8".to_owned()));
        }
    };
    if let Some(at) = text.find('\0') {
        let before = text.get(..at).unwrap_or_default();
        return Err((end_of(before), "a NUL byte is no text".to_owned()));
    }
    let mut reader = Reader {
        rest: text.trim_start_matches('\u{feff}').chars().peekable(),
        at: Place { line: 1, column: 1 },
        variables,
    };
    reader.lines()
}

/// The place behind a text.
fn end_of(text: &str) -> Place {
    let last = text.rsplit('\n').next().unwrap_or_default();
    Place {
        line: 1 + text.matches('\n').count() as u32,
        column: 1 + last.chars().count() as u32,
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    at: Place,
    variables: Variables<'a>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        match next {
            '\n' => {
                self.at.line += 1;
                self.at.column = 1;
            }
            _ => self.at.column += 1,
        }
        Some(next)
    }

    fn next_if(&mut self, wanted: char) -> bool {
        let is_next = self.rest.peek() == Some(&wanted);
        if is_next {
            self.next();
        }
        is_next
    }

    fn lines(&mut self) -> Result<Vec<Vec<Word>>, Wrong> {
        let (mut lines, mut line) = (Vec::new(), Vec::new());
        while let Some(&next) = self.rest.peek() {
            match next {
                ' ' | '\t' | '\r' => {
                    self.next();
                }
                '\n' => {
                    self.next();
                    if !line.is_empty() {
                        lines.push(std::mem::take(&mut line));
                    }
                }
                '#' => {
                    while self.rest.peek().is_some_and(|c| *c != '\n') && self.next().is_some() {}
                }
                _ => line.extend(self.word()?),
            }
        }
        if !line.is_empty() {
            lines.push(line);
        }
        Ok(lines)
    }

    /// A word; none where there is only the end of a continued line, or a variable that is empty.
    fn word(&mut self) -> Result<Option<Word>, Wrong> {
        let (place, mut text, mut quoted) = (self.at, String::new(), false);
        while let Some(&next) = self.rest.peek() {
            let here = self.at;
            match next {
                ' ' | '\t' | '\r' | '\n' => break,
                '\\' => self.escape(&mut text)?,
                '\'' | '"' => {
                    quoted = true;
                    self.quoted(next, &mut text)?;
                }
                '$' => self.variable(&mut text)?,
                ';' | '|' | '&' | '<' | '>' | '(' | ')' | '`' => {
                    return Err((
                        here,
                        format!(
                            "{next} would mean something to a shell, and this is none: put it in quotes"
                        ),
                    ));
                }
                _ => text.extend(self.next()),
            }
        }
        Ok((quoted || !text.is_empty()).then_some(Word { text, place }))
    }

    /// A backslash outside quotes: before the end of a line nothing, else the next character as it is.
    fn escape(&mut self, text: &mut String) -> Result<(), Wrong> {
        let place = self.at;
        self.next();
        let carriage = self.next_if('\r');
        match self.next() {
            Some('\n') => Ok(()),
            Some(c) if !carriage => {
                text.push(c);
                Ok(())
            }
            _ => Err((place, "nothing follows the backslash at the end".to_owned())),
        }
    }

    fn quoted(&mut self, quote: char, text: &mut String) -> Result<(), Wrong> {
        let place = self.at;
        self.next();
        while let Some(&next) = self.rest.peek() {
            match next {
                _ if next == quote => {
                    self.next();
                    return Ok(());
                }
                '\\' if quote == '"' => {
                    self.next();
                    match self.next() {
                        Some(c @ ('"' | '\\' | '$' | '`')) => text.push(c),
                        Some('\n') => {}
                        other => {
                            text.push('\\');
                            text.extend(other);
                        }
                    }
                }
                '$' if quote == '"' => self.variable(text)?,
                _ => text.extend(self.next()),
            }
        }
        Err((place, format!("the quote {quote} has no end")))
    }

    /// `$NAME`, `${NAME}` and `${NAME:-what it is instead}`.
    fn variable(&mut self, text: &mut String) -> Result<(), Wrong> {
        let place = self.at;
        self.next();
        let braces = self.next_if('{');
        let mut name = String::new();
        while let Some(&next) = self.rest.peek() {
            let first = name.is_empty();
            if next != '_' && !next.is_ascii_alphabetic() && (first || !next.is_ascii_digit()) {
                break;
            }
            name.extend(self.next());
        }
        if name.is_empty() {
            return Err((
                place,
                "$ begins $NAME, ${NAME} or ${NAME:-VALUE}: for a dollar write \\$ or '$'"
                    .to_owned(),
            ));
        }
        let instead = match braces {
            true => self.instead(place, &name)?,
            false => None,
        };
        let value = (self.variables)(&name);
        let utf8 = value.and_then(OsStr::to_str);
        if value.is_some() && utf8.is_none() {
            return Err((place, format!("the value of ${name} is not UTF-8")));
        }
        match (utf8, instead) {
            (Some(value), None) => text.push_str(value),
            (Some(value), Some(_)) if !value.is_empty() => text.push_str(value),
            (_, Some(instead)) => text.push_str(&instead),
            (None, None) => {
                return Err((
                    place,
                    format!("the variable {name} is not set: ${{{name}:-VALUE}} would do without"),
                ));
            }
        }
        Ok(())
    }

    /// What stands between the name and the closing brace.
    fn instead(&mut self, place: Place, name: &str) -> Result<Option<String>, Wrong> {
        if self.next_if('}') {
            return Ok(None);
        }
        let no_end = format!("${{{name} has no closing brace");
        if !(self.next_if(':') && self.next_if('-')) {
            let mut line = self.rest.clone().take_while(|c| *c != '\n');
            if !line.any(|c| c == '}') {
                return Err((place, no_end));
            }
            return Err((
                place,
                format!(
                    "only ${{{name}}} and ${{{name}:-VALUE}} are known of what a shell has in braces"
                ),
            ));
        }
        let mut value = String::new();
        while let Some(&next) = self.rest.peek() {
            match next {
                '}' => {
                    self.next();
                    return Ok(Some(value));
                }
                '\n' => break,
                '\\' => self.escape(&mut value)?,
                '$' => self.variable(&mut value)?,
                _ => value.extend(self.next()),
            }
        }
        Err((place, no_end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    fn variables(name: &str) -> Option<&'static OsStr> {
        match name {
            "LAN" => Some("10.50.0.0/24".as_ref()),
            "TWO" => Some("two words".as_ref()),
            "EMPTY" => Some("".as_ref()),
            "LATIN1" => Some(OsStr::from_bytes(b"caf\xe9")),
            _ => None,
        }
    }

    fn read(text: &str) -> Result<Vec<Vec<String>>, String> {
        let texts = |line: Vec<Word>| line.into_iter().map(|word| word.text).collect();
        lines(text.as_bytes(), &variables)
            .map(|lines| lines.into_iter().map(texts).collect())
            .map_err(|(place, why)| format!("{}:{}: {why}", place.line, place.column))
    }

    #[test]
    fn words_are_the_shells() {
        for (text, words) in [
            ("run -d web", vec!["run", "-d", "web"]),
            ("  run\t-d  # a comment", vec!["run", "-d"]),
            ("run a#b", vec!["run", "a#b"]),
            (r"a\ b \# \$X \\", vec!["a b", "#", "$X", r"\"]),
            (r#"'a "b' "c 'd" e"f g"h"#, vec!["a \"b", "c 'd", "ef gh"]),
            (r#""\"\\\$\x""#, vec![r#""\$\x"#]),
            ("'' \"\"", vec!["", ""]),
            ("a \\\n b\\\nc \\\r\n d\r\n", vec!["a", "bc", "d"]),
            ("sh -c 'a\nb'", vec!["sh", "-c", "a\nb"]),
            (
                "$LAN x${LAN}y \"$TWO\" $TWO",
                vec!["10.50.0.0/24", "x10.50.0.0/24y", "two words", "two words"],
            ),
            ("'$LAN' $EMPTY \"$EMPTY\" e", vec!["$LAN", "", "e"]),
            (
                "${NO:-a b} ${EMPTY:-$LAN} ${NO:-} x${NO:-\\}}",
                vec!["a b", "10.50.0.0/24", "x}"],
            ),
            ("\u{feff}run", vec!["run"]),
        ] {
            assert_eq!(
                read(text),
                Ok(vec![words.into_iter().map(str::to_owned).collect()]),
                "{text}"
            );
        }
        assert_eq!(read("# nothing\n\n \t\n").expect("lines").len(), 0);
        assert_eq!(read("a\nb c\n\n# d\ne").expect("lines").len(), 3);
    }

    #[test]
    fn what_is_no_word_is_named_with_its_place() {
        for (text, place) in [
            ("run 'a", "1:5: the quote ' has no end"),
            ("\n  run \"a\n\n", "2:7: the quote \" has no end"),
            ("run $NO", "1:5: the variable NO is not set"),
            ("run \"a $NO\"", "1:8: the variable NO"),
            ("run ${LATIN1:-x}", "1:5: the value of $LATIN1 is not"),
            ("run ${LAN", "1:5: ${LAN has no closing"),
            ("run ${LAN alpine\nrun }", "1:5: ${LAN has no closing"),
            ("run ${LAN x}", "1:5: only ${LAN}"),
            ("run ${LAN:-x\n}", "1:5: ${LAN has no closing"),
            ("run ${LAN%x}", "1:5: only"),
            ("a\nrun $(id)", "2:5: $ begins"),
            ("run $", "1:5: $ begins"),
            ("run a; b", "1:6: ; would mean"),
            ("run a >b", "1:7: > would"),
            ("run \\", "1:5: nothing follows"),
            ("run a\0", "1:6: a NUL byte"),
        ] {
            let wrong = read(text).expect_err(text);
            assert!(wrong.starts_with(place), "{text}: {wrong}");
        }
        let wrong = lines(b"a\n\xc3\xa4 \xff", &variables).expect_err("not UTF-8");
        assert_eq!(wrong.0, Place { line: 2, column: 3 });
    }

    #[test]
    fn a_word_knows_where_it_begins() {
        let lines = lines("run \\\n  -d 'a\nb' ü x\n".as_bytes(), &variables).expect("lines");
        let places: Vec<_> = lines[0]
            .iter()
            .map(|w| (w.place.line, w.place.column))
            .collect();
        assert_eq!(places, [(1, 1), (2, 3), (2, 6), (3, 4), (3, 6)]);
    }

    /// Whatever the bytes: an answer, and places that are in the text.
    #[test]
    fn no_bytes_are_too_strange() {
        let pieces: [&[u8]; 16] = [
            b"run",
            b" ",
            b"\n",
            b"'",
            b"\"",
            b"\\",
            b"$",
            b"{",
            b"}",
            b":-",
            b"#",
            b"\r",
            b"\xff",
            b"LAN",
            b"\0",
            b"\xc3\xa4",
        ];
        let mut state = 7_u64;
        for _ in 0..20_000 {
            let mut text = Vec::new();
            for _ in 0..12 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                text.extend_from_slice(pieces[(state >> 60) as usize]);
            }
            let count = text.iter().filter(|b| **b == b'\n').count() as u32 + 1;
            match lines(&text, &variables) {
                Ok(lines) => assert!(lines.iter().flatten().all(|w| w.place.line <= count)),
                Err((place, _)) => assert!(place.line <= count),
            }
        }
    }
}
