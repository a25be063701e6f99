//! Templates of `--format`: Go's text/template with Docker's functions, on the objects that are printed as JSON.
//!
//! [`lex`] finds the words, [`parse`] makes a tree of them, [`eval`] walks it over a JSON object; what Go has and this
//! has not is refused when the template is parsed, before anything is done. Errors are Go's sentences.

mod eval;
mod functions;
mod lex;
mod parse;
mod print;
mod tree;
mod value;

use crate::error::{Error, Result, exit};
use crate::types::tree::Value;
use tree::Node;
use value::Sight;

/// A parsed template.
pub struct Template {
    text: String,
    nodes: Vec<Node>,
}

impl Template {
    /// Parses a template; the word `json` alone means the whole object.
    ///
    /// # Errors
    /// What is not well formed or not supported, by name, with exit code 64.
    pub fn parse(text: &str) -> Result<Self> {
        let text = if text == "json" { "{{json .}}" } else { text };
        let nodes = parse::parse(text).map_err(|said| wrong(&said).exit(exit::TEMPLATE))?;
        Ok(Template {
            text: text.to_owned(),
            nodes,
        })
    }

    /// The text that the template makes of an object: as of Docker's struct, else as of its JSON.
    ///
    /// # Errors
    /// A field that is not there, a function that cannot do with its arguments: Docker's sentence.
    pub fn render(&self, object: &Value) -> Result<String> {
        let evaluate = |sight| eval::evaluate(&self.text, &self.nodes, object, sight);
        evaluate(Sight::Typed)
            .or_else(|_| evaluate(Sight::Raw))
            .map_err(|said| wrong(&said))
    }

    /// The text that the template makes of a line of a list, which Go knows by this type.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn row(&self, row: &Value, of: &'static str) -> Result<String> {
        eval::evaluate(&self.text, &self.nodes, row, Sight::Row(of)).map_err(|said| wrong(&said))
    }
    /// The headings of a list's columns.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn heading(&self, headings: &Value) -> Result<String> {
        eval::evaluate(&self.text, &self.nodes, headings, Sight::Heading)
            .map_err(|said| wrong(&said))
    }
}

fn wrong(said: &str) -> Error {
    Error::new(format_args!("template parsing error: template: :{said}"))
}

mod tests;
