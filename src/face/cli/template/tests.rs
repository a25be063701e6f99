//! Against Go itself: `tests/data/templates.txt` has what text/template made of each template, as Docker uses it.
#![cfg(test)]
#![cfg(test)]

use super::*;
use serde_json::json;

/// Templates, each with Go's answer, by `tests/data/templates.go` (Go 1.27).
const GOLDEN: &str = include_str!("../../../../tests/data/templates.txt");

/// Where the answer is another, and why.
const OTHERWISE: [(&str, &str); 18] = [
    ("{{☃}}", "any sign beyond ASCII may be in a name"),
    ("{{.}}", "Go prints the address of a nested object"),
    ("{{$ }}", "as above"),
    ("{{printf \"%+v\" .State}}", "as above: an ampersand"),
    ("{{index .Args 2}}", "Go has two texts for the same"),
    ("{{len nil}}", "Go's own panic"),
    ("{{$x = 1}}", "found when the template is parsed"),
    ("{{lower .State.Pid}}", "Go says json.Number for a number"),
    ("{{call .Name}}", "nothing can be called"),
    ("{{-.Name}}", "Go shows less of it"),
    ("{{08}}", "Go calls it an overflow"),
    ("{{.1}}", "no fractions"),
    ("{{.Name.1}}", "no fractions"),
    (
        "{{(index .Args 0).X}}",
        "Go knows that the element is a string",
    ),
    ("{{define \"x\"}}{{end}}", "one template"),
    ("{{template \"x\"}}", "one template"),
    ("{{block \"x\" .}}{{end}}", "one template"),
    (
        "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}",
        "none is empty, as before v29",
    ),
];

fn object() -> Value {
    json!({
        "Id": "0123456789abcdef0123",
        "Name": "/web",
        "State": {"Running": true, "Pid": 42, "Status": "running"},
        "Args": ["-f", "x"],
        "Config": {
            "Labels": {"b": "2", "a": "1"},
            "Cmd": ["sh", "-c", "echo hi"],
            "Env": null,
        },
        "HostConfig": {"NetworkMode": "bridge"},
        "NetworkSettings": {
            "SandboxID": "deadbeef",
            "SandboxKey": "/var/run/docker/netns/deadbeef0123",
            "Ports": {
                "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
                "443/tcp": null,
            },
            "Networks": {
                "bridge": {
                    "IPAddress": "172.17.0.2",
                    "Gateway": "172.17.0.1",
                    "IPPrefixLen": 16,
                    "GlobalIPv6Address": "",
                    "Aliases": null,
                    "DNSNames": null,
                },
            },
        },
    })
    .into()
}

/// As the golden file has it: the text between quotes, or the error.
fn answer(template: &str) -> String {
    match Template::parse(template) {
        Err(error) => format!("PARSE ERROR: {error}"),
        Ok(template) => match template.render(&object()) {
            Err(error) => format!("ERROR: {error}"),
            Ok(text) => text,
        },
    }
}

#[test]
fn what_go_says_is_said() {
    let mut lines = GOLDEN.lines();
    let mut different = Vec::new();
    while let (Some(template), Some(wanted)) = (lines.next(), lines.next()) {
        let wanted = wanted
            .trim_start_matches("  => ")
            .trim_start_matches("(raw fallback) ");
        let wanted = match wanted.starts_with('"') {
            true => lex::unquote(wanted).expect(wanted),
            false => wanted.to_owned(),
        };
        let got = answer(template);
        let otherwise = OTHERWISE.iter().any(|(known, _)| *known == template);
        if (got != wanted) != otherwise {
            different.push(format!("{template}\n   Go: {wanted}\n  got: {got}"));
        }
    }
    assert!(
        different.is_empty(),
        "{} differ:\n{}",
        different.len(),
        different.join("\n")
    );
}

/// xorshift64: the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn no_template_makes_it_panic() {
    let pieces = [
        "{{",
        "}}",
        "{{-",
        " -}}",
        "(",
        ")",
        "|",
        " ",
        ".",
        "$",
        "$x",
        ":=",
        "=",
        ",",
        "\"",
        "'",
        "`",
        "\\",
        "/*",
        "*/",
        "if ",
        "else",
        "end",
        "range ",
        "with ",
        "break",
        "nil",
        "true",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "3.4",
        ".Args",
        ".State",
        ".Nope",
        ".Name",
        ".NetworkSettings.Ports",
        "\"80/tcp\"",
        "\"%-9s%03d%q%x%v%T%!%\"",
        "printf ",
        "index ",
        "slice ",
        "len ",
        "json ",
        "eq ",
        "lt ",
        "and ",
        "join ",
        "split ",
        "truncate ",
        "pad ",
        "title ",
        "urlquery ",
        "js ",
        "html ",
        "é",
        "\u{2603}",
        "\n",
        "\0",
        "x",
    ];
    let object = object();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut parsed, mut rendered) = (0, 0);
    for _ in 0..60_000 {
        let mut text = String::new();
        for _ in 0..random.below(14) {
            text.push_str(pieces[random.below(pieces.len())]);
        }
        // Half of them are actions that may well be whole.
        if random.below(2) == 0 {
            text = format!("{{{{{}}}}}", text.replace("{{", "").replace("}}", ""));
        }
        if let Ok(template) = Template::parse(&text) {
            parsed += 1;
            rendered += usize::from(template.render(&object).is_ok());
            let _ = template.row(&object, "*formatter.ContainerContext");
        }
    }
    assert!(parsed > 5_000 && rendered > 1_000, "{parsed} {rendered}");
}

#[test]
fn depth_has_a_bound() {
    for (open, close) in [
        ("(", ")"),
        ("{{if 1}}", "{{end}}"),
        ("{{if 1}}{{else if 1}}", ""),
    ] {
        let text = |n: usize| match open {
            "(" => format!("{{{{{}1{}}}}}", open.repeat(n), close.repeat(n)),
            _ => format!("{}{}", open.repeat(n), close.repeat(n)),
        };
        assert!(Template::parse(&text(100_000)).is_err());
    }
    let nested = |n: usize| format!("{}x{}", "{{if 1}}".repeat(n), "{{end}}".repeat(n));
    assert_eq!(answer(&nested(64)), "x");
    assert!(answer(&nested(65)).contains("more than 64 levels"));
}

#[test]
fn a_template_that_is_not_well_formed_is_64_and_a_field_that_is_missing_is_not() {
    assert_eq!(
        Template::parse("{{")
            .err()
            .and_then(|error| error.exit_code()),
        Some(64)
    );
    let error = Template::parse("{{.Nope}}").map(|template| template.render(&object()));
    assert_eq!(
        error
            .map(|rendered| rendered.err().and_then(|error| error.exit_code()))
            .ok(),
        Some(None)
    );
}

#[test]
fn lines_of_lists_say_their_type() {
    let row = json!({"": {"com.x.my-role": "front"}, "ID": "2dffda76e958", "Names": "web"}).into();
    let of = |text: &str| {
        Template::parse(text).and_then(|template| template.row(&row, "*formatter.ContainerContext"))
    };
    assert_eq!(
        of("{{.ID}} {{upper .Names}}").unwrap_or_default(),
        "2dffda76e958 WEB"
    );
    let label = "{{.Label \"com.x.my-role\"}}{{.Label \"none\"}} {{json .}}";
    assert_eq!(
        of(label).unwrap_or_default(),
        r#"front {"ID":"2dffda76e958","Names":"web"}"#
    );
    let heading = Template::parse(label).and_then(|template| template.heading(&row));
    assert!(heading.unwrap_or_default().starts_with("my rolenone "));
    assert_eq!(
        of("{{.Nope}}").map_err(|error| error.to_string()),
        Err("template parsing error: template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type *formatter.ContainerContext".into())
    );
}
