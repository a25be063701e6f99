//! Where in a file an error is: its sentence says so, by the words that it names.

use super::source::{Line, say};
use crate::error::Error;

/// An error with its file, line and column: those of the first word of the line that the sentence names, else of the
/// line's first word, which is then named.
pub fn error_at((source, words): &Line, error: Error) -> Error {
    let sentence = error.to_string();
    // `network create` and `run` say what the line is, not what is wrong with it.
    let skip = match words.first().map(|word| word.text.as_str()) {
        Some("network") => 2,
        _ => 1,
    };
    let own = words.get(skip..).unwrap_or_default();
    let found = own
        .iter()
        .filter_map(|word| Some((mention(&sentence, &word.text)?, word)))
        .min_by_key(|(at, word)| (*at, usize::MAX - word.text.len()))
        .map(|(_, word)| word)
        .or_else(|| {
            // A sentence may name a part of a word alone, as in `-p 80:x`; mostly it ends with it.
            let mut parts: Vec<&str> = sentence.split(|c| " \"':,()".contains(c)).collect();
            parts.retain(|part| !part.is_empty());
            let part = |part: &&str| own.iter().find(|word| is_in(part, &word.text).is_some());
            parts.iter().rev().find_map(part)
        });
    match (found, words.first()) {
        (Some(word), _) => error.at(&say(&source.name, word.place)),
        (None, Some(first)) => {
            let place = say(&source.name, first.place);
            match sentence.contains(&first.text) {
                true => error.at(&place),
                false => error.at(&format!("{place}: {}", first.text)),
            }
        }
        (None, None) => error,
    }
}

/// Where a sentence names a word, or an option's value that is part of the word.
fn mention(sentence: &str, word: &str) -> Option<usize> {
    let value = word.split_once('=').map(|(_, value)| value);
    let joined = match word.as_bytes() {
        [b'-', letter, ..] if *letter != b'-' => word.get(2..),
        _ => None,
    };
    let wanted = [Some(word), value, joined].into_iter().flatten();
    wanted.filter_map(|wanted| is_in(wanted, sentence)).min()
}

/// Where a text has another as a word of its own.
fn is_in(wanted: &str, text: &str) -> Option<usize> {
    let inside = |at: usize| {
        let byte = text.as_bytes().get(at);
        byte.is_some_and(|b| b.is_ascii_alphanumeric() || b"-_".contains(b) || !b.is_ascii())
    };
    (0..text.len()).filter(|_| !wanted.is_empty()).find(|&at| {
        let ends = at + wanted.len();
        text.as_bytes().get(at..ends) == Some(wanted.as_bytes())
            && !(at > 0 && inside(at - 1))
            && !inside(ends)
    })
}
