//! What the fuzz targets in tests/fuzz call: the parsers of what people type. Whatever the bytes, none of them panics or
//! goes on for ever, and what one takes it takes again when it is printed.

use super::apply;
use super::template::Template;
use super::tree;
use crate::types::{Cidr, IfName, Mac, Name, PortMapping, PortSpec};
use std::fmt::Display;
use std::str::FromStr;

/// The words of a command line, apart by NULs.
pub fn argv(bytes: &[u8]) {
    let words: Vec<String> = bytes
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    // Those name files of whoever runs this.
    if words.iter().any(|word| word.contains("-file")) {
        return;
    }
    apply::fuzz_words(&words);
}

/// A file for `apply`.
pub fn apply(bytes: &[u8]) {
    if !bytes.windows(5).any(|part| part == b"-file") {
        apply::fuzz_text(bytes);
    }
}

/// Ports, addresses and names.
pub fn values(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = text.parse::<PortSpec>();
    again::<PortMapping>(text);
    again::<Cidr>(text);
    again::<Mac>(text);
    again::<Name>(text);
    again::<IfName>(text);
}

fn again<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let printed = value.to_string();
        let read = printed.parse::<T>().map(|value| value.to_string());
        assert!(
            read.is_ok_and(|text| text == printed),
            "{text} as {printed} is read otherwise"
        );
    }
}

/// A template, and what it makes of an object.
pub fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(template) = Template::parse(text) {
        let object = tree::parse(
            r#"{"Id": "69c5fe950e96", "Name": "/web", "State": {"Running": true, "Pid": 7, "Status": "running"},
            "Config": {"Env": ["A=1", "B=2"], "Labels": {"a": "b"}}, "Mounts": [],
            "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": null}}}"#,
        );
        let _ = template.render(&object);
        let _ = template.row(&object, "*formatter.ContainerContext");
        let _ = template.heading(&object);
    }
}

#[cfg(test)]
mod tests {
    use crate::error::replay;

    #[test]
    fn the_corpora_of_what_people_type_do_no_harm() {
        replay("argv", super::argv);
        replay("apply", super::apply);
        replay("values", super::values);
        replay("template", super::template);
    }
}
