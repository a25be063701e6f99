//! Templates of `--format`: text with field paths and `json` in double braces, a part of Go's text/template.
//!
//! A lexer finds the actions, a parser makes each an [`Action`], and rendering walks a JSON value. What Go has and this
//! has not yet is refused by name when the template is parsed, before anything is done.

use crate::error::{Error, Result, exit};
use serde_json::Value;

/// A parsed template.
pub struct Template {
    parts: Vec<Part>,
}

enum Part {
    Text(String),
    Action(Action),
}

enum Action {
    /// `{{.A.B}}`: the value, as Go prints it.
    Print(Path),
    /// `{{json .A.B}}`: the value as JSON.
    Json(Path),
}

/// `.A.B`, with where it begins in the template, for messages; `.` has no fields.
struct Path {
    fields: Vec<String>,
    text: String,
    column: usize,
}

fn wrong(what: &str) -> Error {
    Error::new(format!("template parsing error: template: :1: {what}")).exit(exit::TEMPLATE)
}

impl Template {
    /// Parses a template; the word `json` alone means the whole object.
    ///
    /// # Errors
    /// What is not well formed or not supported, by name, with exit code 64.
    pub fn parse(text: &str) -> Result<Self> {
        let text = if text == "json" { "{{json .}}" } else { text };
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(open) = text[at..].find("{{") {
            let open = at + open;
            let inner = open + 2;
            let close = text[inner..]
                .find("}}")
                .ok_or_else(|| wrong("unclosed action"))?
                + inner;
            parts.push(Part::Text(text[at..open].to_owned()));
            parts.push(Part::Action(action(&text[inner..close], inner)?));
            at = close + 2;
        }
        parts.push(Part::Text(text[at..].to_owned()));
        Ok(Template { parts })
    }

    /// The text that the template makes of a value.
    ///
    /// # Errors
    /// A field that is not there: Docker's sentence.
    pub fn render(&self, value: &Value) -> Result<String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Action(Action::Print(path)) => print(path.of(value)?, &mut text),
                Part::Action(Action::Json(path)) => text.push_str(
                    &path
                        .of(value)?
                        .map_or_else(|| "null".into(), Value::to_string),
                ),
            }
        }
        Ok(text)
    }
}

fn action(text: &str, column: usize) -> Result<Action> {
    let words: Vec<_> = text.split_whitespace().collect();
    match words.as_slice() {
        [] => Err(wrong("missing value for command")),
        [path] if path.starts_with('.') => Ok(Action::Print(self::path(path, column)?)),
        ["json", path] if path.starts_with('.') => Ok(Action::Json(self::path(path, column)?)),
        [word, ..] => Err(wrong(&format!(
            "\"{word}\" in {{{{{text}}}}} is not supported: field paths and json are"
        ))),
    }
}

fn path(text: &str, column: usize) -> Result<Path> {
    let fields: Vec<_> = if text == "." {
        Vec::new()
    } else {
        text[1..].split('.').map(str::to_owned).collect()
    };
    let plain = |field: &String| {
        !field.is_empty() && field.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    match fields.iter().find(|field| !plain(field)) {
        Some(field) => Err(wrong(&format!(
            "bad character in the field \"{field}\" of {text}"
        ))),
        None => Ok(Path {
            fields,
            text: text.to_owned(),
            column,
        }),
    }
}

impl Path {
    /// The value there; none where Go prints `<no value>`: a missing key of a map of the user's.
    fn of<'a>(&self, value: &'a Value) -> Result<Option<&'a Value>> {
        let mut now = value;
        for (at, field) in self.fields.iter().enumerate() {
            now = match now.get(field) {
                Some(next) => next,
                None if at > 0 && is_users_map(&self.fields[at - 1]) => return Ok(None),
                None => {
                    let (column, text) = (self.column, &self.text);
                    return Err(Error::new(format!(
                        "template parsing error: template: :1:{column}: executing \"\" at <{text}>: map has no entry for key \"{field}\""
                    )));
                }
            };
        }
        Ok(Some(now))
    }
}

/// Maps whose keys are the user's, which Go's template asks for without an error.
fn is_users_map(field: &str) -> bool {
    [
        "Networks",
        "Ports",
        "PortBindings",
        "Labels",
        "ExposedPorts",
        "Containers",
        "Options",
    ]
    .contains(&field)
}

/// As Go's fmt prints a value with %v.
fn print(value: Option<&Value>, text: &mut String) {
    match value {
        None | Some(Value::Null) => text.push_str("<no value>"),
        Some(Value::String(string)) => text.push_str(string),
        Some(Value::Array(items)) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at > 0 { " " } else { "" });
                print(Some(item), text);
            }
            text.push(']');
        }
        Some(Value::Object(fields)) => {
            let mut keys: Vec<_> = fields.keys().collect();
            keys.sort_unstable();
            text.push_str("map[");
            for (at, key) in keys.into_iter().enumerate() {
                text.push_str(if at > 0 { " " } else { "" });
                text.push_str(key);
                text.push(':');
                print(fields.get(key), text);
            }
            text.push(']');
        }
        Some(other) => text.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rendered(template: &str) -> Result<String> {
        let value = json!({"Name": "/web", "State": {"Running": true, "Pid": 42}, "Config": {"Cmd": ["sh", "-c"], "Labels": {"b": "2", "a": "1"}}});
        Template::parse(template)?.render(&value)
    }

    #[test]
    fn fields_and_json_are_printed_as_go_does() {
        for (template, text) in [
            ("{{.Name}}", "/web"),
            ("a {{ .State.Pid }}/{{.State.Running}} b", "a 42/true b"),
            ("{{.Config.Cmd}}", "[sh -c]"),
            ("{{.Config.Labels}}", "map[a:1 b:2]"),
            ("{{.Config.Labels.a}}", "1"),
            ("{{.Config.Labels.zz}}", "<no value>"),
            ("{{json .State}}", "{\"Running\":true,\"Pid\":42}"),
            ("plain", "plain"),
        ] {
            assert_eq!(rendered(template).expect(template), text);
        }
    }

    #[test]
    fn what_is_not_there_is_said_as_docker_does() {
        let error = rendered("{{.Nope}}").expect_err("refused");
        assert_eq!(
            error.to_string(),
            "template parsing error: template: :1:2: executing \"\" at <.Nope>: map has no entry for key \"Nope\""
        );
        assert_eq!(error.exit_code(), None);
    }

    #[test]
    fn what_is_not_supported_is_named_with_exit_code_64() {
        for bad in [
            "{{.Name",
            "{{}}",
            "{{range .A}}{{end}}",
            "{{.A | upper}}",
            "{{index .A 0}}",
            "{{..}}",
            "{{nofunc .}}",
        ] {
            assert_eq!(rendered(bad).expect_err(bad).exit_code(), Some(64), "{bad}");
        }
    }
}
