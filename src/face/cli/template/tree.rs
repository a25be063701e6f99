//! The tree of a template, and how Go prints its parts in an error.

use super::functions::Function;
use std::fmt;

/// What a template does, one after the other.
#[derive(Debug)]
pub enum Node {
    /// Prints text.
    Text(String),
    /// Prints a value, unless it sets a variable.
    Print(Pipe),
    /// `if`, `with` or `range`.
    Branch(Box<Branch>),
    /// Ends the innermost `range`.
    Break,
    /// Goes on with its next element.
    Continue,
}

/// Which of the blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    If,
    With,
    Range,
}

impl Control {
    /// Its keyword.
    pub fn word(self) -> &'static str {
        match self {
            Control::If => "if",
            Control::With => "with",
            Control::Range => "range",
        }
    }
}

/// A block, with what is done instead of it.
#[derive(Debug)]
pub struct Branch {
    pub control: Control,
    pub pipe: Pipe,
    pub body: Vec<Node>,
    pub otherwise: Vec<Node>,
}

/// Commands, each of which gets the value of the one before as its last argument.
#[derive(Debug)]
pub struct Pipe {
    pub at: usize,
    /// The variables that get the value.
    pub variables: Vec<String>,
    /// `=` rather than `:=`.
    pub assign: bool,
    pub commands: Vec<Command>,
}

/// A function or a value, and its arguments.
#[derive(Debug)]
pub struct Command {
    pub at: usize,
    pub words: Vec<Operand>,
}

/// A word of a command.
#[derive(Debug)]
pub struct Operand {
    pub at: usize,
    pub what: What,
}

/// What a word means.
#[derive(Debug)]
pub enum What {
    Dot,
    Nil,
    Bool(bool),
    /// A number, as it is written.
    Int(i64, String),
    /// A string, and as it is written.
    Text(String, String),
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A.B`
    Variable(Vec<String>),
    Function(&'static Function),
    /// `(…).A.B`
    Chain(Box<Operand>, Vec<String>),
    Pipe(Pipe),
}

/// As Go prints the tree in an error.
impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = |f: &mut fmt::Formatter<'_>, path: &[String]| {
            path.iter().try_for_each(|name| write!(f, ".{name}"))
        };
        match self {
            What::Dot => f.write_str("."),
            What::Nil => f.write_str("nil"),
            What::Bool(value) => f.write_str(if *value { "true" } else { "false" }),
            What::Int(_, text) | What::Text(_, text) => f.write_str(text),
            What::Field(path) => fields(f, path),
            What::Variable(path) => {
                f.write_str(&path[0])?;
                fields(f, &path[1..])
            }
            What::Function(function) => f.write_str(function.name),
            What::Chain(operand, path) => {
                match operand.what {
                    What::Pipe(_) => write!(f, "{}", operand.what)?,
                    _ => write!(f, "({})", operand.what)?,
                }
                fields(f, path)
            }
            What::Pipe(pipe) => write!(f, "({pipe})"),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.words.iter().enumerate() {
            f.write_str(if at > 0 { " " } else { "" })?;
            word.what.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let sign = if self.assign { "=" } else { ":=" };
            write!(f, "{} {sign} ", self.variables.join(", "))?;
        }
        for (at, command) in self.commands.iter().enumerate() {
            f.write_str(if at > 0 { " | " } else { "" })?;
            command.fmt(f)?;
        }
        Ok(())
    }
}
