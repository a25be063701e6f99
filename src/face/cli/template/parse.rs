//! A template's tokens as a tree: as text/template/parse/parse.go reads them, with its words for what is wrong.
//!
//! Nesting has a bound, and so has the evaluator's recursion, which follows the tree.

use super::functions;
use super::lex::{self, Kind, Token};
use super::tree::{Branch, Command, Control, Node, Operand, Pipe, What};
use crate::types::quoted;

/// Parentheses and blocks within one another.
const DEEPEST: usize = 64;

/// A sentence without its beginning, which says where.
type Said<T> = Result<T, String>;

/// How a list of nodes ended.
enum Stop {
    End,
    Else,
}

/// Parses a template.
///
/// # Errors
/// Go's sentence, which begins with the line.
pub fn parse(text: &str) -> Said<Vec<Node>> {
    let (tokens, wrong) = lex::lex(text);
    let mut parser = Parser {
        tokens: &tokens,
        wrong: &wrong,
        next: 0,
        variables: vec!["$".into()],
        ranges: 0,
        depth: 0,
    };
    parser.root().map_err(|said| {
        let last = parser.next.min(tokens.len()).saturating_sub(1);
        let at = tokens.get(last).map_or(0, |token| token.at);
        let line = 1 + text[..at].matches('\n').count();
        format!("{line}: {said}")
    })
}

struct Parser<'t> {
    /// Never empty: the last is [`Kind::End`] or [`Kind::Wrong`].
    tokens: &'t [Token<'t>],
    wrong: &'t str,
    next: usize,
    variables: Vec<String>,
    /// The `range`s around, which `break` and `continue` need.
    ranges: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Token<'t> {
        self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> Token<'t> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn skip_space(&mut self) -> Token<'t> {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
        self.peek()
    }

    fn take_word(&mut self) -> Token<'t> {
        self.skip_space();
        self.take()
    }

    fn unexpected(&self, token: Token<'_>, context: &str) -> String {
        let text = token.text;
        let token = match token.kind {
            Kind::Wrong => return self.wrong.to_owned(),
            Kind::End => "EOF".into(),
            Kind::Keyword | Kind::Dot => format!("<{text}>"),
            _ if text.chars().count() > 10 => {
                let cut: String = text.chars().take(10).collect();
                format!("{}...", quoted(&cut))
            }
            _ => quoted(text),
        };
        format!("unexpected {token} in {context}")
    }

    /// Goes a level deeper, which whoever comes out of it counts.
    fn enter(&mut self) -> Said<()> {
        if self.depth == DEEPEST {
            return Err(format!("more than {DEEPEST} levels within one another"));
        }
        self.depth += 1;
        Ok(())
    }

    fn root(&mut self) -> Said<Vec<Node>> {
        let mut nodes = Vec::new();
        while self.peek().kind != Kind::End {
            match self.node(&mut nodes)? {
                None => {}
                Some(Stop::End) => return Err("unexpected {{end}}".into()),
                Some(Stop::Else) => return Err("unexpected {{else}}".into()),
            }
        }
        Ok(nodes)
    }

    fn list(&mut self) -> Said<(Vec<Node>, Stop)> {
        let mut nodes = Vec::new();
        while self.peek().kind != Kind::End {
            if let Some(stop) = self.node(&mut nodes)? {
                return Ok((nodes, stop));
            }
        }
        Err("unexpected EOF".into())
    }

    fn node(&mut self, nodes: &mut Vec<Node>) -> Said<Option<Stop>> {
        let token = self.take_word();
        match token.kind {
            Kind::Text => nodes.push(Node::Text(token.text.to_owned())),
            Kind::Left => return self.action(nodes),
            _ => return Err(self.unexpected(token, "input")),
        }
        Ok(None)
    }

    fn action(&mut self, nodes: &mut Vec<Node>) -> Said<Option<Stop>> {
        let token = self.skip_space();
        let keyword = match token.kind {
            Kind::Keyword if token.text != "nil" => token.text,
            _ => {
                nodes.push(Node::Print(self.pipe("command", Kind::Right)?));
                return Ok(None);
            }
        };
        self.take();
        let control = match keyword {
            "end" => {
                self.right("end")?;
                return Ok(Some(Stop::End));
            }
            "else" => {
                // `{{else if …}}`: the block that is parsed next.
                if !matches!(self.skip_space().text, "if" | "with") {
                    self.right("else")?;
                }
                return Ok(Some(Stop::Else));
            }
            "break" | "continue" => {
                self.right(&format!("{{{{{keyword}}}}}"))?;
                if self.ranges == 0 {
                    return Err(format!("{{{{{keyword}}}}} outside {{{{range}}}}"));
                }
                let ends = keyword == "break";
                nodes.push(if ends { Node::Break } else { Node::Continue });
                return Ok(None);
            }
            "if" => Control::If,
            "with" => Control::With,
            "range" => Control::Range,
            _ => {
                return Err(format!(
                    "{{{{{keyword}}}}} is not supported: there is but one template"
                ));
            }
        };
        nodes.push(self.branch(control)?);
        Ok(None)
    }

    fn right(&mut self, context: &str) -> Said<()> {
        let token = self.take_word();
        match token.kind {
            Kind::Right => Ok(()),
            _ => Err(self.unexpected(token, context)),
        }
    }

    fn branch(&mut self, control: Control) -> Said<Node> {
        self.enter()?;
        let known = self.variables.len();
        let pipe = self.pipe(control.word(), Kind::Right)?;
        let ranges = self.ranges;
        self.ranges += usize::from(control == Control::Range);
        let (body, stop) = self.list()?;
        self.ranges = ranges;
        let mut otherwise = Vec::new();
        if let Stop::Else = stop {
            let next = self.peek().text;
            let chained = self.tokens[self.next - 1].kind != Kind::Right;
            if chained && control != Control::Range && next == control.word() {
                self.take();
                otherwise.push(self.branch(control)?);
            } else {
                let (nodes, stop) = self.list()?;
                if let Stop::Else = stop {
                    return Err("expected end; found {{else}}".into());
                }
                otherwise = nodes;
            }
        }
        self.variables.truncate(known);
        self.depth -= 1;
        Ok(Node::Branch(Box::new(Branch {
            control,
            pipe,
            body,
            otherwise,
        })))
    }

    fn pipe(&mut self, context: &str, end: Kind) -> Said<Pipe> {
        let mut pipe = Pipe {
            at: self.skip_space().at,
            variables: Vec::new(),
            assign: false,
            commands: Vec::new(),
        };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.skip_space();
            match token.kind {
                kind if kind == end => break,
                Kind::Word
                | Kind::Char
                | Kind::Dot
                | Kind::Field
                | Kind::Number
                | Kind::Quoted
                | Kind::Raw
                | Kind::Variable
                | Kind::Open => {}
                Kind::Keyword if token.text == "nil" => {}
                _ => {
                    self.take();
                    return Err(self.unexpected(token, context));
                }
            }
            let command = self.command()?;
            pipe.commands.push(command);
        }
        self.take();
        if pipe.commands.is_empty() {
            return Err(format!("missing value for {context}"));
        }
        for (command, stage) in pipe.commands.iter().zip(1..).skip(1) {
            if !command.words[0].what.is_executable() {
                return Err(format!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(pipe)
    }

    /// `$x :=`, `$x =`, and `$i, $x :=` of a `range`.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Said<()> {
        while self.skip_space().kind == Kind::Variable {
            let start = self.next;
            let variable = self.take().text.to_owned();
            let after = self.skip_space();
            match after.kind {
                Kind::Assign | Kind::Declare => {}
                Kind::Other if after.text == "," => {}
                _ => {
                    self.next = start;
                    return Ok(());
                }
            }
            self.take();
            pipe.variables.push(variable);
            if after.kind == Kind::Declare || after.kind == Kind::Assign {
                pipe.assign = after.kind == Kind::Assign;
                self.declare(pipe)?;
                return Ok(());
            }
            if context != "range" || pipe.variables.len() > 1 {
                return Err(format!("too many declarations in {context}"));
            }
            if self.skip_space().kind != Kind::Variable {
                return Err("range can only initialize variables".into());
            }
        }
        Ok(())
    }

    fn declare(&mut self, pipe: &Pipe) -> Said<()> {
        if pipe.assign {
            let unknown = pipe
                .variables
                .iter()
                .find(|name| !self.variables.contains(name));
            return unknown.map_or(Ok(()), |name| {
                Err(format!("undefined variable {}", quoted(name)))
            });
        }
        self.variables.extend(pipe.variables.iter().cloned());
        Ok(())
    }

    fn command(&mut self) -> Said<Command> {
        let mut words = Vec::new();
        let at = self.skip_space().at;
        loop {
            self.skip_space();
            words.extend(self.operand()?);
            let token = self.peek();
            match token.kind {
                Kind::Space => continue,
                Kind::Right | Kind::Close => {}
                Kind::Pipe => self.next += 1,
                _ => {
                    self.take();
                    return Err(self.unexpected(token, "operand"));
                }
            }
            break;
        }
        match words.is_empty() {
            true => Err("empty command".into()),
            false => Ok(Command { at, words }),
        }
    }

    fn operand(&mut self) -> Said<Option<Operand>> {
        let Some(mut operand) = self.term()? else {
            return Ok(None);
        };
        let at = self.peek().at;
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(field(self.take()));
        }
        if fields.is_empty() {
            return Ok(Some(operand));
        }
        match &mut operand.what {
            What::Field(path) | What::Variable(path) => {
                path.append(&mut fields);
                operand.at = at;
            }
            What::Function(_) | What::Pipe(_) => {
                let what = What::Chain(Box::new(operand), fields);
                operand = Operand { at, what };
            }
            what => {
                return Err(format!(
                    "unexpected . after term {}",
                    quoted(&what.to_string())
                ));
            }
        }
        Ok(Some(operand))
    }

    fn term(&mut self) -> Said<Option<Operand>> {
        let token = self.take();
        let text = token.text;
        let what = match token.kind {
            Kind::Word => match text {
                "true" | "false" => What::Bool(text == "true"),
                _ => What::Function(
                    functions::find(text)
                        .ok_or_else(|| format!("function {} not defined", quoted(text)))?,
                ),
            },
            Kind::Keyword if text == "nil" => What::Nil,
            Kind::Dot => What::Dot,
            Kind::Field => What::Field(vec![field(token)]),
            Kind::Variable => {
                if !self.variables.iter().any(|known| known == text) {
                    return Err(format!("undefined variable {}", quoted(text)));
                }
                What::Variable(vec![text.to_owned()])
            }
            Kind::Number => What::Int(lex::integer(text).unwrap_or_default(), text.to_owned()),
            Kind::Char => {
                let unquoted = lex::unquote(text).unwrap_or_default();
                let mut chars = unquoted.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => What::Int(i64::from(u32::from(c)), text.to_owned()),
                    _ => return Err(format!("malformed character constant: {text}")),
                }
            }
            Kind::Quoted | Kind::Raw => {
                let unquoted = lex::unquote(text).ok_or("invalid syntax")?;
                What::Text(unquoted, text.to_owned())
            }
            Kind::Open => {
                self.enter()?;
                let pipe = self.pipe("parenthesized pipeline", Kind::Close)?;
                self.depth -= 1;
                What::Pipe(pipe)
            }
            _ => {
                self.next -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Operand { at: token.at, what }))
    }
}

fn field(token: Token<'_>) -> String {
    token.text[1..].to_owned()
}

impl What {
    fn is_executable(&self) -> bool {
        !matches!(
            self,
            What::Bool(_) | What::Dot | What::Nil | What::Int(..) | What::Text(..)
        )
    }
}
