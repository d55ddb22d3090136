//! Rows that may be too many to be held: the server keeps them, and they are read some at a time, as
//! often as they are wanted. Few rows that are wanted often are held after all.

use postgres::{Row, Transaction};

use super::Parameter;

/// Rows fetched at a time: some hundred kilobytes.
const FETCHED: usize = 1_000;

/// The rows of a statement, for as long as the transaction lasts.
pub(crate) struct Cursor {
    name: &'static str,
    rows: u64,
    /// All of them, or none.
    held: Vec<Row>,
}

impl Cursor {
    /// Runs the statement to its end. One of the same name is replaced.
    pub(crate) fn open(
        transaction: &mut Transaction<'_>,
        name: &'static str,
        query: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Self, postgres::Error> {
        let is_open: bool = transaction
            .query_typed_one(
                &format!("select exists (select from pg_cursors where name = '{name}')"),
                &[],
            )?
            .get(0);
        if is_open {
            transaction.batch_execute(&format!("close {name}"))?;
        }
        // All of it is read: the quickest way to the first rows is none.
        transaction.batch_execute("set local cursor_tuple_fraction = 1")?;
        transaction.execute_typed(
            &format!("declare {name} scroll cursor for {query}"),
            parameters,
        )?;
        let rows = transaction.execute_typed(&format!("move forward all in {name}"), &[])?;
        Ok(Self {
            name,
            rows,
            held: Vec::new(),
        })
    }

    /// Holds all rows, if they are so many at most: reading them again asks nobody then.
    pub(crate) fn hold(
        &mut self,
        transaction: &mut Transaction<'_>,
        at_most: u64,
    ) -> Result<(), postgres::Error> {
        if self.rows <= at_most {
            self.go_to(transaction, 0)?;
            let all = format!("fetch forward all from {}", self.name);
            self.held = transaction.query_typed(&all, &[])?;
        }
        Ok(())
    }

    /// All rows, where they are held.
    pub(crate) fn held(&self) -> Option<&[Row]> {
        (self.held.len() as u64 == self.rows).then_some(&self.held)
    }

    /// How many there are.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The last one.
    pub(crate) fn last(
        &self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Option<Row>, postgres::Error> {
        transaction.query_typed_opt(&format!("fetch last from {}", self.name), &[])
    }

    /// Goes to before the row so many rows from the first one.
    pub(crate) fn go_to(
        &self,
        transaction: &mut Transaction<'_>,
        row: u64,
    ) -> Result<(), postgres::Error> {
        transaction.batch_execute(&format!("move absolute {row} in {}", self.name))
    }

    /// The next ones, at most so many; none at the end.
    pub(crate) fn next(
        &self,
        transaction: &mut Transaction<'_>,
        at_most: u64,
    ) -> Result<Vec<Row>, postgres::Error> {
        let number = usize::try_from(at_most).unwrap_or(FETCHED).min(FETCHED);
        transaction.query_typed(&format!("fetch forward {number} from {}", self.name), &[])
    }
}
