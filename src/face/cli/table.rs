//! Lists as Docker prints them: a template for each line, or a table of such lines with their headings.

use super::output;
use super::template::Template;
use super::tree::Object;
use crate::error::Result;
use crate::types::tree::Value;

/// What a list is made of.
pub struct List {
    /// Go's name for a line, which Docker's errors have.
    pub line: &'static str,
    /// The fields of a line, with their headings.
    pub fields: &'static [(&'static str, &'static str)],
    /// The columns where no format is given.
    pub columns: &'static str,
}

/// How a list is printed.
pub struct Format {
    list: &'static List,
    template: Template,
    table: bool,
}

impl List {
    /// The format that `--format` and `--quiet` ask for.
    ///
    /// # Errors
    /// A template that is not well formed.
    pub fn format(&'static self, format: Option<&str>, quiet: bool) -> Result<Format> {
        if quiet && format.is_some() {
            output::complain(
                &"WARNING: Ignoring custom format, because both --format and --quiet are set.",
            );
        }
        let format = match format.map(str::trim) {
            _ if quiet => "{{.ID}}",
            None | Some("" | "table") => self.columns,
            Some(format) => format,
        };
        // Unlike in inspect, as a shell's quotes leave them.
        let format = format.replace("\\t", "\t").replace("\\n", "\n");
        let columns = format.strip_prefix("table");
        Ok(Format {
            list: self,
            template: Template::parse(columns.unwrap_or(&format).trim_matches(' '))?,
            table: columns.is_some(),
        })
    }
}

impl Format {
    /// Prints lines, which are objects with the list's fields.
    ///
    /// # Errors
    /// A template that does not fit them.
    pub fn print(&self, lines: &[Value]) -> Result<()> {
        let mut made = Vec::new();
        for line in lines {
            made.push(self.template.row(line, self.list.line)?);
        }
        if !self.table {
            let text: String = made.iter().flat_map(|line| [line, "\n"]).collect();
            return output::text(&text);
        }
        let mut headings = Object::default();
        for (field, heading) in self.list.fields {
            headings.text(field, heading);
        }
        let head = self.template.heading(&headings.end())?;
        let mut rows: Vec<Vec<&str>> = vec![head.split('\t').collect()];
        for line in &made {
            rows.push(line.split('\t').collect());
        }
        output::text(&render(&rows, output::is_terminal(), output::has_colour()))
    }
}

/// Docker's columns are at least so wide, with the three blanks behind them.
const NARROWEST: usize = 10;

/// Rows, the first of which is the heading, as lines: three blanks apart, and on a terminal one below the other.
fn render(rows: &[Vec<&str>], aligned: bool, colour: bool) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        if aligned {
            (widest + 3).max(NARROWEST)
        } else {
            0
        }
    };
    let widths: Vec<_> = (0..count).map(width).collect();
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        let bold = colour && at == 0;
        text.push_str(if bold { "\x1b[1m" } else { "" });
        for (cell, (column, width)) in row.iter().zip(widths.iter().enumerate()) {
            text.push_str(cell);
            if column + 1 < row.len() {
                let blanks = width.saturating_sub(cell.chars().count()).max(3);
                text.extend(std::iter::repeat_n(' ', blanks));
            }
        }
        text.push_str(if bold { "\x1b[0m\n" } else { "\n" });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<'a>(rows: &[&'a str]) -> Vec<Vec<&'a str>> {
        rows.iter().map(|row| row.split('\t').collect()).collect()
    }

    #[test]
    fn columns_are_aligned_on_a_terminal_and_three_blanks_apart_in_a_pipe() {
        let rows = rows(&[
            "NETWORK ID\tNAME\tDRIVER\tSCOPE",
            "d4188086225a\tlan\t\tlocal",
        ]);
        assert_eq!(
            render(&rows, true, false),
            "NETWORK ID     NAME      DRIVER    SCOPE\nd4188086225a   lan                 local\n"
        );
        assert_eq!(
            render(&rows, false, false),
            "NETWORK ID   NAME   DRIVER   SCOPE\nd4188086225a   lan      local\n"
        );
        assert!(render(&rows, true, true).starts_with("\x1b[1mNETWORK ID"));
    }
}
