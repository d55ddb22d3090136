//! Lines as a table for people: how wide, in which colours, what is left out.

mod columns;

use std::io::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width,
};

use crate::output::{Interrupted, ReadLines};
use crate::words::printable;

/// What can be a line of a table.
pub(crate) trait Line {
    /// The names of the fields, in their order: a CSV file without lines has them as well.
    const FIELDS: &'static [&'static str];

    /// The headings; those of numbers begin with a space, which is not shown.
    const HEADER: &'static [&'static str];

    /// Those that a narrow terminal does without, the first one first.
    const SPARE: &'static [&'static str];

    /// What the line's colour says; `None`: nothing.
    fn state(&self) -> Option<&'static str>;

    /// The line's cells, one a heading.
    fn cells(&self) -> Vec<String>;
}

/// How a table looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Everything there is, however long.
    Plain,
    /// What fits into a terminal so wide: a line is a line there as well.
    Terminal { width: u16, colours: bool },
}

/// How wide the terminal is that standard output is; `None` when it does not say.
pub(crate) fn terminal_width() -> Option<u16> {
    Table::new().width().filter(|width| *width > 0)
}

/// The fewest characters of a name or a reason that are still worth showing.
const MIN_WIDTH: u16 = 12;

/// Between two columns.
const PADDING: u16 = 2;

/// Lines that are put into a table at a time.
const BLOCK: usize = 1_000;

/// A line, ready to be shown.
struct Row {
    cells: Vec<String>,
    state: Option<&'static str>,
}

impl Row {
    fn of(line: &impl Line) -> Self {
        Self {
            cells: line.cells().iter().map(|cell| printable(cell)).collect(),
            state: line.state(),
        }
    }
}

/// Writes the lines below each other. Columns are as wide as their widest cell: more lines than a
/// block holds are therefore read twice, once to measure them.
///
/// # Errors
/// When they cannot be written, and those of `read`.
pub(crate) fn write<L: Line>(
    look: Look,
    to: &mut dyn Write,
    read: ReadLines<'_, L>,
) -> Result<(), Interrupted> {
    let mut widths = vec![0; L::HEADER.len()];
    let mut measure = |rows: &[Row]| {
        let natural = table::<L>(rows, look, true).column_max_content_widths();
        for (width, natural) in widths.iter_mut().zip(natural) {
            *width = natural.max(*width);
        }
    };
    let mut lines = 0;
    let mut block = Vec::new();
    read(&mut |line| {
        if block.len() == BLOCK {
            measure(&block);
            block.clear();
        }
        block.push(Row::of(line));
        lines += 1;
        Ok(())
    })?;
    measure(&block);
    if lines <= BLOCK {
        to.write_all(render::<L>(&block, look, &widths, true).as_bytes())?;
    } else {
        block.clear();
        let mut is_first = true;
        read(&mut |line| {
            if block.len() == BLOCK {
                to.write_all(render::<L>(&block, look, &widths, is_first).as_bytes())?;
                is_first = false;
                block.clear();
            }
            block.push(Row::of(line));
            Ok(())
        })?;
        to.write_all(render::<L>(&block, look, &widths, false).as_bytes())?;
    }
    if lines == 0 {
        to.write_all(b"nothing recorded yet\n")?;
    }
    Ok(())
}

/// A table of these rows, as wide as they are.
fn table<L: Line>(rows: &[Row], look: Look, has_header: bool) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_truncation_indicator("…");
    let colours = matches!(look, Look::Terminal { colours: true, .. });
    if colours {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    if has_header {
        table.set_header(L::HEADER.iter().map(|heading| {
            let cell = Cell::new(heading.trim());
            let cell = match heading.starts_with(' ') {
                true => cell.set_alignment(CellAlignment::Right),
                false => cell,
            };
            match colours {
                true => cell.add_attribute(Attribute::Bold),
                false => cell,
            }
        }));
    }
    for row in rows {
        table.add_row(row.cells.iter().zip(L::HEADER).map(|(text, heading)| {
            let cell = Cell::new(text);
            if heading.starts_with(' ') {
                return cell.set_alignment(CellAlignment::Right);
            }
            match (*heading, row.state) {
                ("state" | "ended", Some(state)) if colours => cell.fg(match state {
                    "up" => Color::Green,
                    "down" => Color::Red,
                    _ => Color::Yellow,
                }),
                _ => cell,
            }
        }));
    }
    table
}

/// The rows with columns of these widths, those of the header and of every block.
fn render<L: Line>(rows: &[Row], look: Look, widths: &[u16], has_header: bool) -> String {
    let mut table = table::<L>(rows, look, has_header);
    match look {
        Look::Terminal { width, .. } => fit::<L>(&mut table, widths, width),
        Look::Plain => {
            for (column, width) in table.column_iter_mut().zip(widths) {
                column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width + PADDING)));
            }
        }
    }
    table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

/// Leaves out columns until names and reasons have some room, then shares out what there is.
fn fit<L: Line>(table: &mut Table, natural: &[u16], width: u16) {
    let last = L::HEADER.len() - 1;
    let can_shrink =
        |at: usize| L::HEADER[at] == "site" || (at == last && !L::HEADER[at].starts_with(' '));
    let mut shown: Vec<usize> = (0..natural.len()).collect();
    let least = |at: usize| match can_shrink(at) {
        true => natural[at].min(MIN_WIDTH),
        false => natural[at],
    };
    let sum = |columns: &[usize], width_of: &dyn Fn(usize) -> u16| -> u16 {
        columns
            .iter()
            .fold(0, |sum, at| sum.saturating_add(width_of(*at) + PADDING))
    };
    let mut spare = L::SPARE.iter();
    while sum(&shown, &least) > width
        && let Some(heading) = spare.next()
    {
        shown.retain(|at| L::HEADER[*at] != *heading);
    }
    let mut room = width.saturating_sub(sum(&shown, &least));
    let mut wanted: u16 = shown
        .iter()
        .fold(0, |sum, at| sum.saturating_add(natural[*at] - least(*at)));
    let mut sharing = shown.iter().filter(|at| can_shrink(**at)).count() as u16;
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_constraint(if !shown.contains(&at) {
            ColumnConstraint::Hidden
        } else if can_shrink(at) {
            // An equal share, and what the others can do without.
            let wants = natural[at] - least(at);
            wanted = wanted.saturating_sub(wants);
            let more = wants.min((room / sharing).max(room.saturating_sub(wanted)));
            room -= more;
            sharing -= 1;
            ColumnConstraint::Absolute(Width::Fixed(least(at) + more + PADDING))
        } else {
            ColumnConstraint::Absolute(Width::Fixed(natural[at] + PADDING))
        });
    }
    for row in table.row_iter_mut() {
        row.max_height(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Of(&'static str, &'static str);

    impl Line for Of {
        const FIELDS: &'static [&'static str] = &[];

        const HEADER: &'static [&'static str] = &["site", "state", " p50", " p95", "why"];

        const SPARE: &'static [&'static str] = &[" p50", " p95"];

        fn state(&self) -> Option<&'static str> {
            Some("down")
        }

        fn cells(&self) -> Vec<String> {
            [self.0, "down", "10 ms", "20 ms", self.1]
                .map(str::to_owned)
                .to_vec()
        }
    }

    fn render(lines: &[Of], look: Look) -> String {
        let mut text = Vec::new();
        let written = write(look, &mut text, &mut |each| {
            for line in lines {
                each(line)?;
            }
            Ok(())
        });
        assert!(written.is_ok());
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn many_lines_are_as_wide_as_the_widest_of_them() {
        let mut lines: Vec<Of> = (0..2 * BLOCK).map(|_| Of("short", "x")).collect();
        lines.push(Of("a-name-that-is-rather-long", "y"));
        let text = render(&lines, Look::Plain);
        assert_eq!(text.lines().count(), lines.len() + 1);
        let at = text.lines().next().unwrap().find("state");
        assert!(text.lines().skip(1).all(|line| line.find("down") == at));
        let at = text.lines().last().unwrap().find('y');
        assert_eq!(text.lines().nth(1).unwrap().find('x'), at);
    }

    fn lines() -> [Of; 2] {
        [
            Of("a-name-that-is-rather-long", "no response in time"),
            Of("短い名前", "status 503, expected 200-399"),
        ]
    }

    #[test]
    fn a_line_is_a_line_on_a_terminal_of_any_width() {
        for width in [20, 40, 60, 80, 120] {
            for colours in [true, false] {
                let text = render(&lines(), Look::Terminal { width, colours });
                assert_eq!(text.lines().count(), 3, "{text}");
                assert_eq!(text.contains('\u{1b}'), colours, "{text}");
                if !colours && width >= 40 {
                    let longest = text.lines().map(|line| line.chars().count()).max();
                    assert!(longest <= Some(width.into()), "{width}:\n{text}");
                }
            }
        }
    }

    #[test]
    fn a_narrow_terminal_does_without_numbers_before_it_cuts_names() {
        let at = |width| {
            render(
                &lines()[..1],
                Look::Terminal {
                    width,
                    colours: false,
                },
            )
        };
        assert!(at(80).contains("10 ms"));
        assert!(at(80).contains("no response in time"));
        assert!(!at(40).contains("10 ms"));
        assert!(at(40).contains('…'));
    }

    #[test]
    fn in_a_pipe_everything_is_shown() {
        let text = render(&lines(), Look::Plain);
        for part in ["a-name-that-is-rather-long", "10 ms", "expected 200-399"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
