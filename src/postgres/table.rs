//! What a statement returned: rows of text cells, apart from any connection, so that every collector can be tested without a server.

/// The rows of one statement: all cells in one text, since a server with 10,000 tables answers with a quarter of a million of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    text: String,
    /// Start and end of each cell in `text`; `None` is NULL.
    cells: Vec<Option<(u32, u32)>>,
    width: usize,
}

impl Table {
    /// Empties the table for a statement that returns `width` columns.
    pub(super) fn begin(&mut self, width: usize) {
        self.text.clear();
        self.cells.clear();
        self.width = width;
    }

    /// Adds the next cell, row by row.
    pub(super) fn push(&mut self, cell: Option<&str>) {
        let place = cell.and_then(|cell| {
            let start = u32::try_from(self.text.len()).ok()?;
            let end = u32::try_from(self.text.len() + cell.len()).ok()?;
            self.text.push_str(cell);
            Some((start, end))
        });
        self.cells.push(place);
    }

    /// How many columns a row has.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The rows. A last row that is not complete is left out.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.cells.chunks_exact(self.width.max(1)).map(|cells| Row { text: &self.text, cells })
    }
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    text: &'a str,
    cells: &'a [Option<(u32, u32)>],
}

impl<'a> Row<'a> {
    /// The text of a column; `None` where it is NULL, or where there is no such column.
    pub(super) fn text(&self, column: usize) -> Option<&'a str> {
        let (start, end) = (*self.cells.get(column)?)?;
        self.text.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    /// The text of a column as a label value, empty where it is NULL.
    pub(super) fn label(&self, column: usize) -> &'a str {
        self.text(column).unwrap_or_default()
    }

    /// The number in a column; `None` where it is NULL or no number.
    pub(super) fn number(&self, column: usize) -> Option<f64> {
        self.text(column)?.trim().parse().ok()
    }
}

#[cfg(test)]
impl Table {
    /// A table as a server would have answered it.
    pub(super) fn of<const N: usize>(rows: &[[Option<&str>; N]]) -> Table {
        let mut table = Table::default();
        table.begin(N);
        rows.iter().flatten().for_each(|cell| table.push(*cell));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_back_as_they_went_in() {
        let table = Table::of(&[[Some("a\"b"), None, Some("")], [Some("1.5"), Some("x"), Some("-1")]]);
        let rows: Vec<_> = table.rows().collect();
        assert_eq!((rows[0].text(0), rows[0].text(1), rows[0].text(2), rows[0].text(3)), (Some("a\"b"), None, Some(""), None));
        assert_eq!((rows[1].number(0), rows[1].number(1), rows[1].number(2)), (Some(1.5), None, Some(-1.0)));
        assert_eq!(rows[0].label(1), "");
    }

    proptest::proptest! {
        #[test]
        fn any_cells_make_rows(width in 1usize..5, cells: Vec<Option<String>>) {
            let mut table = Table::default();
            table.begin(width);
            cells.iter().for_each(|cell| table.push(cell.as_deref()));
            let back: Vec<_> = table.rows().flat_map(|row| (0..width).map(move |at| row.text(at).map(str::to_owned))).collect();
            proptest::prop_assert_eq!(&back[..], &cells[..cells.len() / width * width]);
        }
    }
}
