//! Where in a file an error is. What was wrong with a word says which (`Error::part`); for the kernel's and the host's
//! refusals the line's values are searched for what the sentence names.

use super::super::argv::WORD;
use super::super::options::Given;
use super::source::{Source, say};
use super::text::Word;
use crate::error::Error;

/// A line, and what its words say.
pub struct Line<'a> {
    source: &'a Source,
    words: &'a [Word],
    /// How many words say which command it is.
    pub command: usize,
    values: Vec<Value<'a>>,
}

/// What a word says.
struct Value<'a> {
    /// The option by its long name, or `image` or `command`.
    of: &'static str,
    /// What sentences name it by.
    text: String,
    source: &'a Source,
    word: &'a Word,
}

impl<'a> Line<'a> {
    /// A line of which no more is known yet.
    pub fn new(source: &'a Source, words: &'a [Word]) -> Self {
        Line {
            source,
            words,
            command: 0,
            values: Vec::new(),
        }
    }

    /// The words as text.
    pub fn texts(&self) -> Vec<String> {
        self.words.iter().map(|word| word.text.clone()).collect()
    }

    /// What its words say is known by now. `rest` says what those are that are no option: ports all that follow ports, and
    /// nothing the arguments of a command.
    pub fn understand(&mut self, given: &Given, rest: &[&'static str]) {
        for option in &given.options {
            let text = option.value.as_deref().unwrap_or(option.name);
            self.add(option.name, text, option.word);
        }
        let more = rest.last().filter(|last| **last == PUBLISH);
        let mut kinds = rest.iter();
        for (text, place) in given.rest.iter().zip(&given.places) {
            if let Some(kind) = kinds.next().or(more) {
                self.add(kind, text, *place);
            }
        }
    }

    fn add(&mut self, of: &'static str, text: &str, word: usize) {
        let (source, words) = (self.source, self.words);
        self.values
            .extend(words.get(self.command + word).map(|word| Value {
                of,
                text: text.to_owned(),
                source,
                word,
            }));
    }

    /// The ports of another line are this one's, too: behind its own, if those count.
    pub fn take_ports(&mut self, other: Self, own_count: bool) {
        self.values.retain(|value| own_count || value.of != PUBLISH);
        let ports = other.values.into_iter();
        self.values
            .extend(ports.filter(|value| value.of == PUBLISH));
    }

    /// An error with the file, line and column of the word that it is about, else of the line's first word; that word
    /// is named where the sentence does not.
    pub fn place(&self, error: Error) -> Error {
        let first = self.words.first().map(|word| (self.source, word));
        let found = match error.part() {
            Some((WORD, number)) => {
                let word = self.words.get(self.command + number);
                word.map(|word| (self.source, word))
            }
            Some((part, number)) => {
                let values = self.values.iter().filter(|value| value.of == part);
                let value = values.take(number.saturating_add(1)).last();
                value.map(|value| (value.source, value.word))
            }
            None => self
                .named_in(&error.to_string())
                .map(|value| (value.source, value.word)),
        };
        let Some((source, word)) = found.or(first) else {
            return error;
        };
        let place = say(&source.name, word.place);
        match word.text.is_empty() || is_in(&word.text, &error.to_string()).is_some() {
            true => error.at(&place),
            false => error.at(&format!("{place}: {}", word.text)),
        }
    }

    /// What a sentence names first. A line's own name is in most, and is only meant where nothing else is named.
    fn named_in(&self, sentence: &str) -> Option<&Value<'a>> {
        let named = self.values.iter().filter_map(|value| {
            let at = is_in(&value.text, sentence)?;
            // `network lan` is not the container of that name.
            let kind = value.of.trim_start_matches('-');
            let other_kind = is_in(kind, sentence).is_none();
            let length = usize::MAX - value.text.len();
            Some(((value.of == NAME, at, length, other_kind), value))
        });
        let named = named.min_by_key(|(key, _)| *key).map(|(_, value)| value);
        named.or_else(|| {
            // A sentence may name a part of a word alone, as in `-p 80:x`; mostly it ends with it.
            let mut parts = sentence.rsplit(|c| " \"':,()".contains(c));
            parts.find_map(|part| {
                let mut values = self.values.iter();
                values.find(|value| is_in(part, &value.text).is_some())
            })
        })
    }
}

const NAME: &str = "--name";
const PUBLISH: &str = "--publish";

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
