//! Aligned columns: the rows `ls`, `stat` and `top` print, and the ones `top` draws live.

use std::io::{self, Write};

use crate::output::{Output, Style};

/// Where the text of a column stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// A table: column heads and rows of text.
pub(crate) struct Table {
    heads: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A head written `>HEAD` stands, like its column, on the right.
    pub(crate) fn new<const N: usize>(heads: [&'static str; N]) -> Table {
        let heads = heads
            .into_iter()
            .map(|head| head.strip_prefix('>').map_or((head, Align::Left), |right| (right, Align::Right)))
            .collect();
        Table { heads, rows: Vec::new() }
    }

    /// Adds a row; it has as many cells as there are heads.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.heads.len());
        self.rows.push(cells.into());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn heads(&self) -> &[(&'static str, Align)] {
        &self.heads
    }

    pub(crate) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// The width in characters each column needs.
    pub(crate) fn widths(&self) -> Vec<usize> {
        let widest = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        let head = |column: usize| self.heads[column].0.chars().count();
        (0..self.heads.len()).map(|column| widest(column).unwrap_or(0).max(head(column))).collect()
    }

    /// Prints the table, indented by `indent` spaces.
    pub(crate) fn print(&self, out: &mut Output<'_>, indent: usize) -> io::Result<()> {
        let widths = self.widths();
        let heads: Vec<String> = self.heads.iter().map(|(head, _)| (*head).to_owned()).collect();
        let line = self.line(&heads, &widths);
        writeln!(out, "{:indent$}{}", "", out.paint(Style::Head, &line))?;
        for row in &self.rows {
            writeln!(out, "{:indent$}{}", "", self.line(row, &widths))?;
        }
        Ok(())
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (column, cell) in cells.iter().enumerate() {
            if column > 0 {
                line.push_str("  ");
            }
            let width = widths[column];
            match self.heads[column].1 {
                Align::Left => line.push_str(&format!("{cell:<width$}")),
                Align::Right => line.push_str(&format!("{cell:>width$}")),
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_numbers_stand_on_the_right() {
        let mut table = Table::new(["NAME", ">N"]);
        table.row(["a".into(), "1".into()]);
        table.row(["größe".into(), "1000".into()]);
        let widths = table.widths();
        assert_eq!(widths, [5, 4]);
        assert_eq!(table.line(&table.rows()[0], &widths), "a         1");
        assert_eq!(table.line(&table.rows()[1], &widths), "größe  1000");
    }
}
