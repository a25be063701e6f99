//! Evaluates a template's tree on a value: as text/template/exec.go does, with its sentences.
//!
//! What an error points at is the last node that was looked at, which is kept as Go keeps it.

use super::functions::{self, Argument};
use super::print;
use super::tree::{Branch, Command, Control, Node, Operand, Pipe, What};
use super::value::{Element, Sight, Val};
use crate::types::quoted;
use crate::types::tree::Value;
use std::fmt::Display;

/// A sentence without its beginning.
type Said<T> = Result<T, String>;

/// What goes on after a node.
enum Flow {
    Next,
    Break,
    Continue,
}

/// The text that a template makes of a value.
///
/// # Errors
/// Go's sentence, with line and column of what it is about.
pub fn evaluate(text: &str, nodes: &[Node], value: &Value, sight: Sight) -> Said<String> {
    let dot = Val::object(value, sight);
    let mut state = State {
        sight,
        at: At(0, &""),
        variables: vec![("$", dot.clone())],
        out: String::new(),
    };
    match state.walk(&dot, nodes) {
        Ok(_) => Ok(state.out),
        Err(said) => {
            let At(at, node) = state.at;
            let before = text.get(..at).unwrap_or_default();
            let line = 1 + before.matches('\n').count();
            let column = at - before.rfind('\n').map_or(0, |newline| newline + 1);
            Err(format!(
                "{line}:{column}: executing \"\" at <{node}>: {said}"
            ))
        }
    }
}

/// The node an error is about: where it begins, and how Go prints it.
#[derive(Clone, Copy)]
struct At<'t>(usize, &'t dyn Display);

struct State<'t, 'v> {
    sight: Sight,
    at: At<'t>,
    variables: Vec<(&'t str, Val<'v>)>,
    out: String,
}

impl<'t, 'v> State<'t, 'v> {
    fn walk(&mut self, dot: &Val<'v>, nodes: &'t [Node]) -> Said<Flow> {
        for node in nodes {
            let flow = match node {
                Node::Text(text) => {
                    self.out.push_str(text);
                    Flow::Next
                }
                Node::Print(pipe) => {
                    let value = self.pipe(dot, pipe)?;
                    if pipe.variables.is_empty() {
                        match value {
                            Val::Missing => self.out.push_str("<no value>"),
                            value => print::plain(&value, self.sight, &mut self.out),
                        }
                    }
                    Flow::Next
                }
                Node::Branch(branch) => {
                    let known = self.variables.len();
                    let flow = self.branch(dot, branch)?;
                    self.variables.truncate(known);
                    flow
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if !matches!(flow, Flow::Next) {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn branch(&mut self, dot: &Val<'v>, branch: &'t Branch) -> Said<Flow> {
        if branch.control == Control::Range {
            return self.range(dot, branch);
        }
        let value = self.pipe(dot, &branch.pipe)?;
        match (value.is_true(), branch.control) {
            (true, Control::With) => self.walk(&value, &branch.body),
            (true, _) => self.walk(dot, &branch.body),
            (false, _) => self.walk(dot, &branch.otherwise),
        }
    }

    fn range(&mut self, dot: &Val<'v>, branch: &'t Branch) -> Said<Flow> {
        let known = self.variables.len();
        let over = self.pipe(dot, &branch.pipe)?;
        let keys = over.keys();
        let count = match &over {
            Val::Map(..) | Val::List(_) | Val::Texts(_) => over.len().unwrap_or_default(),
            nil if nil.is_nil() => 0,
            other => {
                let mut text = String::new();
                print::plain(other, self.sight, &mut text);
                return Err(format!("range can't iterate over {text}"));
            }
        };
        for at in 0..count {
            let (index, element) = match keys.get(at) {
                Some(key) => (Val::Text((*key).into()), over.get(key, self.sight)),
                None => (Val::Int(at as i64), over.at(at, self.sight)),
            };
            let element = element.unwrap_or(Val::Missing);
            self.variables.truncate(known);
            let both = [index, element.clone()];
            // One variable is the element, two are the index and the element.
            let values = &both[2 - branch.pipe.variables.len().min(2)..];
            for (name, value) in branch.pipe.variables.iter().zip(values) {
                self.set(&branch.pipe, name, value.clone());
            }
            if let Flow::Break = self.walk(&element, &branch.body)? {
                break;
            }
        }
        match count {
            0 => self.walk(dot, &branch.otherwise),
            _ => Ok(Flow::Next),
        }
    }

    fn set(&mut self, pipe: &'t Pipe, name: &'t str, value: Val<'v>) {
        let known = self
            .variables
            .iter_mut()
            .rev()
            .find(|(known, _)| *known == name);
        match known {
            Some((_, old)) if pipe.assign => *old = value,
            _ => self.variables.push((name, value)),
        }
    }

    fn pipe(&mut self, dot: &Val<'v>, pipe: &'t Pipe) -> Said<Val<'v>> {
        self.at = At(pipe.at, pipe);
        let mut value = None;
        for command in &pipe.commands {
            value = Some(match self.command(dot, command, value)? {
                // Go looks into the interface, and finds nothing.
                Val::Null(Element::Any) => Val::Missing,
                value => value,
            });
        }
        let value = value.unwrap_or(Val::Missing);
        for name in &pipe.variables {
            self.set(pipe, name, value.clone());
        }
        Ok(value)
    }

    /// A command; `last` is the value of the one before it.
    fn command(
        &mut self,
        dot: &Val<'v>,
        command: &'t Command,
        last: Option<Val<'v>>,
    ) -> Said<Val<'v>> {
        let words = &command.words[..];
        let (first, arguments) = (&words[0], &words[1..]);
        let more = !arguments.is_empty() || last.is_some();
        match &first.what {
            What::Function(_) => self.call(dot, first, At(command.at, command), arguments, last),
            What::Field(path) | What::Variable(path) | What::Chain(_, path) if more => {
                self.method(dot, first, path, arguments)
            }
            What::Pipe(pipe) if more => Err(format!("can't give argument to non-function {pipe}")),
            what if more => {
                self.at = At(first.at, what);
                Err(format!("can't give argument to non-function {what}"))
            }
            What::Nil => {
                self.at = At(first.at, &first.what);
                Err("nil is not a command".into())
            }
            _ => self.operand(dot, first),
        }
    }

    /// `.Label "key"`, the one method that lines of lists have.
    fn method(
        &mut self,
        dot: &Val<'v>,
        field: &'t Operand,
        path: &'t [String],
        arguments: &'t [Operand],
    ) -> Said<Val<'v>> {
        self.at = At(field.at, &field.what);
        let name = path.last().map_or("", String::as_str);
        let row = matches!(self.sight, Sight::Row(_) | Sight::Heading);
        if let (true, "Label", [key]) = (row, name, arguments) {
            let Val::Text(key) = self.operand(dot, key)? else {
                return Err("wrong type for value; expected string".into());
            };
            if self.sight == Sight::Heading {
                let last = key.rsplit('.').next().unwrap_or_default();
                return Ok(Val::text(&last.replace(['-', '_'], " ")));
            }
            let labels = dot.get("", self.sight).unwrap_or(Val::NoMap(Element::Text));
            return Ok(labels.get(&key, self.sight).unwrap_or(Val::text("")));
        }
        match (&field.what, path) {
            (What::Variable(_), [_]) => Err(format!(
                "can't give argument to non-function {}",
                field.what
            )),
            _ => Err(format!("{name} is not a method but has arguments")),
        }
    }

    fn operand(&mut self, dot: &Val<'v>, operand: &'t Operand) -> Said<Val<'v>> {
        let at = At(operand.at, &operand.what);
        self.at = at;
        Ok(match &operand.what {
            What::Dot => dot.clone(),
            What::Nil => Val::Null(Element::Any),
            What::Bool(value) => Val::Bool(*value),
            What::Int(value, _) => Val::Int(*value),
            What::Text(text, _) => Val::text(text),
            What::Field(path) => self.fields(dot.clone(), path)?,
            What::Variable(path) => {
                let name = &path[0];
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                let value = known.map_or(Val::Missing, |(_, value)| value.clone());
                self.fields(value, &path[1..])?
            }
            What::Chain(inner, path) => {
                let value = self.operand(dot, inner)?;
                self.fields(value, path)?
            }
            What::Pipe(pipe) => self.pipe(dot, pipe)?,
            What::Function(_) => self.call(dot, operand, at, &[], None)?,
        })
    }

    fn fields(&mut self, mut value: Val<'v>, path: &'t [String]) -> Said<Val<'v>> {
        for name in path {
            value = match value.get(name, self.sight) {
                Some(value) => value,
                None => self.no_field(&value, name)?,
            };
        }
        Ok(value)
    }

    /// What a field is that a value does not have.
    fn no_field(&self, value: &Val<'v>, name: &str) -> Said<Val<'v>> {
        let raw = self.sight == Sight::Raw;
        match value {
            Val::Missing if raw => Err(format!("nil data; no entry for key {}", quoted(name))),
            Val::Map(..) if raw => Err(format!("map has no entry for key {}", quoted(name))),
            Val::Missing | Val::Map(..) | Val::NoMap(_) => Ok(Val::Missing),
            Val::Null(Element::Any | Element::Pointer) => {
                let of = value.type_name(self.sight);
                Err(format!("nil pointer evaluating {of}.{name}"))
            }
            // In a map of anything a value's type is that.
            other => {
                let of = if raw {
                    "interface {}"
                } else {
                    other.type_name(self.sight)
                };
                Err(format!("can't evaluate field {name} in type {of}"))
            }
        }
    }

    /// Calls a function: `whole` is what an error of the function itself points at.
    fn call(
        &mut self,
        dot: &Val<'v>,
        operand: &'t Operand,
        whole: At<'t>,
        words: &'t [Operand],
        last: Option<Val<'v>>,
    ) -> Said<Val<'v>> {
        self.at = At(operand.at, &operand.what);
        let What::Function(function) = &operand.what else {
            return Ok(Val::Missing);
        };
        let count = words.len() + usize::from(last.is_some());
        function.check(words.len(), count)?;
        let mut arguments = Vec::with_capacity(count);
        for word in words {
            let value = self.operand(dot, word)?;
            let literal = matches!(word.what, What::Text(..) | What::Int(..) | What::Bool(_));
            self.accept(
                function.argument(arguments.len()),
                &value,
                literal.then_some(word),
            )?;
            // `and` and `or` look no further than they must.
            if function.decides(&value) {
                return Ok(value);
            }
            arguments.push(value);
        }
        if let Some(value) = last {
            self.accept(function.argument(arguments.len()), &value, None)?;
            arguments.push(value);
        }
        functions::call(function, arguments, self.sight).map_err(|said| {
            self.at = whole;
            format!("error calling {}: {said}", function.name)
        })
    }

    fn accept(&self, wanted: Argument, value: &Val<'v>, literal: Option<&Operand>) -> Said<()> {
        let (fits, name, short) = match wanted {
            Argument::Any => return Ok(()),
            Argument::Text => (matches!(value, Val::Text(_)), "string", "string"),
            Argument::Int => (matches!(value, Val::Int(_)), "int", "integer"),
            Argument::Texts => {
                let list = matches!(
                    value,
                    Val::List(_) | Val::Texts(_) | Val::Null(Element::List)
                );
                (list && self.sight != Sight::Raw, "[]string", "[]string")
            }
        };
        match (fits, literal, value) {
            (true, ..) => Ok(()),
            (_, Some(literal), _) => Err(format!("expected {short}; found {}", literal.what)),
            (_, None, Val::Missing) => Err(format!("invalid value; expected {name}")),
            (_, None, value) => {
                let got = value.type_name(self.sight);
                Err(format!("wrong type for value; expected {name}; got {got}"))
            }
        }
    }
}
