//! Tables for a terminal.

use super::printable::printable;

/// Rows of cells, each line after `indent`, below `titles` if there are any. Columns are as wide as their widest cell;
/// a column without text is left out. The first `numbers` columns are aligned to the right. Cells are made
/// [`printable`].
///
/// ```
/// let rows = [["1", "", "web"], ["20", "", "a\nb"]].map(|row| row.map(String::from));
/// let text = nano_image::table("  ", Some(["#", "none", "name"]), 0, &rows);
/// assert_eq!(text, "  #   name\n  1   web\n  20  a\\nb\n");
/// assert_eq!(nano_image::table("", None, 1, &rows), " 1  web\n20  a\\nb\n");
/// ```
pub fn table<const N: usize>(indent: &str, titles: Option<[&str; N]>, numbers: usize, rows: &[[String; N]]) -> String {
    let cells: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| printable(cell))).collect();
    let titles = titles.map(|titles| titles.map(str::to_owned));
    let lines = || titles.iter().chain(&cells);
    let width = |column: usize| lines().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let columns = (0..N).filter(|&column| cells.iter().any(|row| !row[column].is_empty()));
    let columns: Vec<(usize, usize)> = columns.map(|column| (column, width(column))).collect();
    let mut text = String::new();
    for row in lines() {
        let line = columns.iter().map(|&(column, width)| match column < numbers {
            true => format!("{:>width$}", row[column]),
            false => format!("{:<width$}", row[column]),
        });
        text += indent;
        text += line.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}
