//! The tree of a JSON text (RFC 8259).

use super::{Map, Value};

/// So deep may arrays and objects stand within each other.
const DEEPEST: i8 = 127;

/// An object with so many keys is asked for each new one whether it is there; one with more is sorted once.
const FEW: usize = 32;

/// The tree of a JSON text.
///
/// # Errors
/// Where it is none, in words.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    let not_json = |at| format!("it is not JSON at byte {at}");
    let mut parser = Parser {
        text: std::str::from_utf8(text).map_err(|e| not_json(e.valid_up_to()))?,
        at: 0,
        deeper: DEEPEST,
    };
    let value = parser.value().filter(|_| parser.peek() == 0);
    let at = parser.at;
    value.filter(|_| at == text.len()).ok_or_else(|| {
        if parser.deeper < 0 {
            format!("it goes deeper than {DEEPEST} levels")
        } else if at == text.len() {
            format!("it ends within a value, after {at} bytes")
        } else {
            not_json(at)
        }
    })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// How much deeper it may go; below 0 where it went too deep, which ends it.
    deeper: i8,
}

impl Parser<'_> {
    /// The byte at the current place; 0, which stands nowhere in JSON, at the end.
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> u8 {
        while matches!(self.byte(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.byte()
    }

    /// Goes on behind a byte, where it is the next.
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.byte() == byte).then(|| self.at += 1)
    }

    /// Goes on behind a word.
    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        for byte in word.bytes() {
            self.take(byte)?;
        }
        Some(value)
    }

    fn value(&mut self) -> Option<Value> {
        match self.peek() {
            b'n' => self.word("null", Value::Null),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'"' => self.string().map(Value::String),
            b'[' => {
                let mut items = Vec::new();
                self.list(b']', &mut |parser| {
                    items.push(parser.value()?);
                    Some(())
                })?;
                Some(Value::Array(items))
            }
            b'{' => {
                let mut map = Map::new();
                self.list(b'}', &mut |parser| {
                    let key = parser.string()?;
                    parser.peek();
                    parser.take(b':')?;
                    let value = parser.value()?;
                    match map.len() {
                        ..FEW => *map.entry(&key) = value,
                        _ => map.push(key, value),
                    }
                    Some(())
                })?;
                if map.len() > FEW {
                    map.unite();
                }
                Some(Value::Object(map))
            }
            _ => self.number(),
        }
    }

    /// What stands between brackets and commas.
    fn list(&mut self, end: u8, item: &mut dyn FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.deeper -= 1;
        if self.deeper < 0 {
            return None;
        }
        self.at += 1;
        if self.peek() != end {
            loop {
                self.peek();
                item(self)?;
                if self.peek() == end {
                    break;
                }
                self.take(b',')?;
            }
        }
        self.deeper += 1;
        self.take(end)
    }

    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }

    fn number(&mut self) -> Option<Value> {
        let from = self.at;
        let _ = self.take(b'-');
        // No zeros lead.
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.byte(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(Value::Number(self.text.get(from..self.at)?.to_owned()))
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut text = String::new();
        loop {
            let from = self.at;
            while !matches!(self.byte(), b'"' | b'\\' | ..0x20) {
                self.at += 1;
            }
            text.push_str(self.text.get(from..self.at)?);
            if self.take(b'"').is_some() {
                return Some(text);
            }
            self.take(b'\\')?;
            let escape = self.byte();
            self.at += 1;
            text.push(match escape {
                b'"' | b'\\' | b'/' => char::from(escape),
                b'b' => '\x08',
                b'f' => '\x0c',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => self.unicode()?,
                _ => {
                    self.at -= 1;
                    return None;
                }
            });
        }
    }

    /// A character by its number, or by the two halves that UTF-16 has for it.
    fn unicode(&mut self) -> Option<char> {
        let mut code = self.hex()?;
        if (0xd800..0xdc00).contains(&code) {
            self.take(b'\\')?;
            self.take(b'u')?;
            let low = self.hex().filter(|low| (0xdc00..0xe000).contains(low))?;
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        char::from_u32(code)
    }

    fn hex(&mut self) -> Option<u32> {
        let mut code = 0;
        for _ in 0..4 {
            code = code << 4 | char::from(self.byte()).to_digit(16)?;
            self.at += 1;
        }
        Some(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What serde_json, which only the tests have, makes of it.
    fn oracle(text: &[u8]) -> Option<serde_json::Value> {
        serde_json::from_slice(text).ok()
    }

    fn known_by(tree: &Value) -> serde_json::Value {
        match tree {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(digits) => serde_json::from_str(digits).expect("a number"),
            Value::String(text) => text.as_str().into(),
            Value::Array(items) => items.iter().map(known_by).collect(),
            Value::Object(map) => {
                let entries = map
                    .into_iter()
                    .map(|(key, value)| (key.clone(), known_by(value)));
                serde_json::Value::Object(entries.collect())
            }
        }
    }

    #[test]
    fn a_text_is_read_as_serde_json_reads_it() {
        for text in [
            r#" { "a" : [ 1 , -2, {"b": null}, [], {}, "x\u00e4\ud83d\ude00\n\"\\\/\b\f\r\t\u0001" ] , "b" : true } "#,
            r#"{"z":1,"a":{"y":false,"x":[[],[[]]]},"ä ü":"日本\u007f"}"#,
            "[0,18446744073709551615,-9223372036854775808,10]",
            "\"\"",
            "null",
            r#"{"twice":1,"b":2,"twice":3}"#,
        ] {
            let (tree, known) = (parse(text.as_bytes()).expect(text), oracle(text.as_bytes()));
            let known = known.expect(text);
            assert_eq!(known_by(&tree).to_string(), known.to_string(), "{text}");
        }
    }

    /// Each key looked for among all before it would be 10^10 comparisons here.
    #[test]
    fn an_object_of_a_great_many_keys_has_each_once_at_its_first_place_with_its_last_value() {
        for (count, keys) in [
            (32, 20),
            (33, 32),
            (33, 33),
            (40, 7),
            (100, 1),
            (200_000, 199_000),
        ] {
            // Neither in their order nor against it.
            let key = |n: usize| (n * 7_919 % keys).to_string();
            let pairs: Vec<_> = (0..count).map(|n| format!("\"{}\":{n}", key(n))).collect();
            let text = format!("{{{}}}", pairs.join(","));
            let tree = parse(text.as_bytes()).expect("JSON");
            let known = oracle(text.as_bytes()).expect("JSON");
            assert_eq!(tree.as_object().map(Map::len), Some(keys), "{count}");
            let (found, known) = (known_by(&tree).to_string(), known.to_string());
            assert!(found == known, "{count}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place_and_what_is_is_taken() {
        for text in [
            "",
            " ",
            "nul",
            "nulll",
            "tru",
            "{",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "-",
            "1.",
            "1.e2",
            ".5",
            "1e",
            "1e+",
            "+1",
            "--1",
            "0x1",
            "1 2",
            "\"",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"\n\"",
            "\"\0\"",
            "\0",
            "null\0",
            "[1]]",
            "'a'",
            "\u{feff}1",
            "-0",
            "1.5",
            "-1.5e-3",
            "0e0",
            "1E9",
            "[\t1\r\n]",
        ] {
            assert_eq!(
                parse(text.as_bytes()).is_ok(),
                oracle(text.as_bytes()).is_some(),
                "{text:?}"
            );
        }
        assert!(parse(b"\"\xff\"").is_err());
        let deep = |n| [vec![b'['; n], vec![b']'; n]].concat();
        for n in [127, 128, 1_000_000] {
            assert_eq!(parse(&deep(n)).is_ok(), oracle(&deep(n)).is_some(), "{n}");
        }
        let too_deep = Err("it goes deeper than 127 levels".to_owned());
        assert_eq!(parse(&deep(128)), too_deep);
        assert_eq!(parse(&[b'['; 128]), too_deep);
        // As deep as may be, but something else is wrong.
        let (ends, foreign) = ([b'['; 127], [&[b'['; 127], &b"x"[..]].concat());
        assert_eq!(
            parse(&ends),
            Err("it ends within a value, after 127 bytes".to_owned())
        );
        assert_eq!(
            parse(&foreign),
            Err("it is not JSON at byte 127".to_owned())
        );
        assert_eq!(parse(b"[1, x]"), Err("it is not JSON at byte 4".to_owned()));
        assert_eq!(
            parse(b"[1, "),
            Err("it ends within a value, after 4 bytes".to_owned())
        );
    }
}
