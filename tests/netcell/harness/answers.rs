//! Two engines' answers to one line, made comparable: without ids, times, addresses of pools, and who says an error.

/// The words of a line, with a shell's quotes and nothing else of a shell's.
pub fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// Without what is another each time or on each host: ids, times, addresses of Docker's pools, how wide a column is, and
/// an IPv6 end of a published port.
pub fn normal(text: &str) -> String {
    let lines = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.starts_with("[::]:") && !line.starts_with(":::"))
        .filter(|line| !line.contains("-> [::]:") && !line.contains("-> :::"));
    lines.map(normal_line).collect::<Vec<_>>().join("\n")
}

fn normal_line(line: &str) -> String {
    let mut parts: Vec<String> = line.split("  ").map(normal_words).collect();
    parts.retain(|part| !part.is_empty());
    parts.join("  ")
}

fn normal_words(part: &str) -> String {
    let part = without_ipv6_ends(part.trim());
    let mut words: Vec<String> = part.split(' ').map(word).collect();
    ages(&mut words);
    words.join(" ")
}

/// `0.0.0.0:80->80/tcp, :::80->80/tcp`: the second is there where the host has IPv6.
fn without_ipv6_ends(part: &str) -> String {
    let ends = part.split(", ");
    let ends: Vec<&str> = ends
        .filter(|end| !(end.contains("->") && (end.starts_with(":::") || end.starts_with("[::]"))))
        .collect();
    ends.join(", ")
}

fn word(word: &str) -> String {
    let bare = word.trim_matches(['.', '"', '\'', ',', ':', '(', ')', '[', ']', '/', '{', '}']);
    let bare = bare.rsplit("container:").next().unwrap_or(bare);
    let is_hex = bare.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_id = is_hex && (bare.len() == 64 || bare.len() == 12);
    let is_time = bare.len() > 19 && bare.as_bytes()[10] == b'T' && bare.starts_with("20");
    let is_pool = bare.starts_with("172.") && bare.matches('.').count() == 3;
    match (is_id, is_time, is_pool) {
        (true, ..) => word.replace(bare, "ID"),
        (_, true, _) => word.replace(bare, "TIME"),
        (_, _, true) => word.replace(bare, "POOL"),
        _ => word.to_owned(),
    }
}

/// `3 seconds`, `About a minute`, `Less than a second`.
fn ages(words: &mut Vec<String>) {
    let is_unit = |word: &String| {
        ["second", "minute", "hour"]
            .iter()
            .any(|unit| word.starts_with(unit))
    };
    let Some(unit) = words.iter().position(is_unit) else {
        return;
    };
    let from = match unit.checked_sub(1).map(|before| words[before].as_str()) {
        Some("a" | "an") => words[..unit]
            .iter()
            .rposition(|word| word.ends_with("About") || word.ends_with("Less")),
        Some(number) => {
            // It may stand behind another cell and a tab.
            let digits = number.trim_end_matches(|c: char| c.is_ascii_digit());
            (digits.len() < number.len()).then_some(unit - 1)
        }
        None => None,
    };
    if let Some(from) = from {
        let before = words[from]
            .rsplit_once('\t')
            .map_or("", |(before, _)| before);
        let age = format!("{before}\tAGE");
        words.splice(from..=unit, [age.trim_start().to_owned()]);
    }
}

/// The sentence of an error, without who says it and where help is.
pub fn sense(text: &str) -> String {
    let useless = |line: &&str| {
        !line.starts_with("Run '")
            && !line.starts_with("exit status")
            && !line.starts_with("Error: failed to")
            && !line.trim().is_empty()
            && !line.contains("turned on net.ipv4.ip_forward")
            && !line.contains("DOCKER-USER")
            && !line.contains("of table ip filter of Docker drops")
            // The client's, which waits for what never began.
            && !line.starts_with("time=")
    };
    let end = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("See 'docker");
    let mut sentences: Vec<String> = Vec::new();
    for line in normal(text).lines().take_while(end).filter(useless) {
        let mut line = line;
        for who in [
            "netcell: ",
            "docker: ",
            "Error response from daemon: ",
            "Error: ",
        ] {
            line = line.strip_prefix(who).unwrap_or(line);
        }
        let end = line
            .find(" (see 'netcell")
            .or(line.find(". See 'docker"))
            .unwrap_or(line.len());
        let line = line[..end].to_lowercase().replace(['"', '\''], "");
        sentences.push(
            line.replace("docker ", "netcell ")
                .trim_end_matches('.')
                .to_owned(),
        );
    }
    sentences.join("\n")
}

/// The sense of Docker's error: without the names of those through whom it came.
pub fn core(text: &str) -> String {
    let lines = sense(text);
    let lines: Vec<String> = lines.lines().map(core_line).collect();
    lines.join("\n")
}

fn core_line(line: &str) -> String {
    let mut sense = line;
    for through in [
        "unable to start container process: ",
        "driver failed programming external connectivity on endpoint",
        "invalid mount config for type bind: ",
        "allocating new name: ",
        " flag: ",
    ] {
        if let Some((_, rest)) = sense.split_once(through) {
            sense = rest.split_once("): ").map_or(rest, |(_, rest)| rest);
        }
    }
    // Where a name is said with its slash.
    sense.trim_end_matches(": unknown").replace("(/", "(")
}

/// Whether an error has the sense of Docker's: each of its sentences.
pub fn same_sense(docker: &str, own: &str) -> bool {
    let (docker, own) = (core(docker), sense(own));
    docker.lines().all(|line| own.contains(line)) && docker.is_empty() == own.is_empty()
}
