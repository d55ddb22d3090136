//! Rows in the binary form of COPY, as PostgreSQL's documentation of COPY has it.
//!
//! The client library has a writer of this form, which enters its runtime for every row: that
//! alone was a tenth of a drain's CPU time.

use std::io::{self, Write};
use std::net::IpAddr;

use jiff::Timestamp;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

/// What is sent at a time: enough that the library's work for a message does not count.
const CHUNK: usize = 128 * 1024;

/// 2000-01-01 in microseconds since 1970: where PostgreSQL's times begin.
const EPOCH_US: i64 = 946_684_800_000_000;

/// Writes rows, each with the same number of fields.
pub(super) struct Binary<W> {
    sink: W,
    buffer: Vec<u8>,
    fields: i16,
}

impl<W: Write> Binary<W> {
    /// Rows of `fields` fields.
    pub(super) fn new(sink: W, fields: usize) -> Self {
        let mut buffer = Vec::with_capacity(CHUNK + CHUNK / 4);
        buffer.extend_from_slice(SIGNATURE);
        // No flags, and no extension of the header.
        buffer.extend_from_slice(&[0; 8]);
        Self {
            sink,
            buffer,
            // PostgreSQL has no table with more columns than fit.
            fields: i16::try_from(fields).unwrap_or(i16::MAX),
        }
    }

    /// Begins the next row; its fields follow, in order.
    pub(super) fn row(&mut self) -> io::Result<Row<'_>> {
        if self.buffer.len() >= CHUNK {
            self.sink.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        self.buffer.extend_from_slice(&self.fields.to_be_bytes());
        Ok(Row(&mut self.buffer))
    }

    /// Writes the end.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.buffer.extend_from_slice(&(-1_i16).to_be_bytes());
        self.sink.write_all(&self.buffer)
    }
}

/// A row being written; `None` is NULL everywhere.
pub(super) struct Row<'b>(&'b mut Vec<u8>);

impl Row<'_> {
    fn field(&mut self, bytes: &[u8]) -> &mut Self {
        // No field of ours comes near 2 GiB: decoding has limited every text.
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    fn null(&mut self) -> &mut Self {
        self.0.extend_from_slice(&(-1_i32).to_be_bytes());
        self
    }

    pub(super) fn int2(&mut self, value: impl Into<Option<i16>>) -> &mut Self {
        match value.into() {
            Some(value) => self.field(&value.to_be_bytes()),
            None => self.null(),
        }
    }

    pub(super) fn int4(&mut self, value: impl Into<Option<i32>>) -> &mut Self {
        match value.into() {
            Some(value) => self.field(&value.to_be_bytes()),
            None => self.null(),
        }
    }

    pub(super) fn bool(&mut self, value: impl Into<Option<bool>>) -> &mut Self {
        match value.into() {
            Some(value) => self.field(&[u8::from(value)]),
            None => self.null(),
        }
    }

    pub(super) fn text(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.field(value.as_bytes()),
            None => self.null(),
        }
    }

    /// `timestamptz`.
    pub(super) fn time(&mut self, value: impl Into<Option<Timestamp>>) -> &mut Self {
        match value.into() {
            Some(value) => self.field(&(value.as_microsecond() - EPOCH_US).to_be_bytes()),
            None => self.null(),
        }
    }

    /// `inet`: a single address.
    pub(super) fn address(&mut self, value: Option<IpAddr>) -> &mut Self {
        // PostgreSQL's own numbers of the families, the length of the prefix, "no network", and
        // the length of what follows.
        match value {
            Some(IpAddr::V4(address)) => {
                let mut bytes = [0; 8];
                bytes[..4].copy_from_slice(&[2, 32, 0, 4]);
                bytes[4..].copy_from_slice(&address.octets());
                self.field(&bytes)
            }
            Some(IpAddr::V6(address)) => {
                let mut bytes = [0; 20];
                bytes[..4].copy_from_slice(&[3, 128, 0, 16]);
                bytes[4..].copy_from_slice(&address.octets());
                self.field(&bytes)
            }
            None => self.null(),
        }
    }
}

#[cfg(test)]
mod tests {
    use postgres::types::private::BytesMut;
    use postgres::types::{IsNull, ToSql, Type};

    use super::*;

    /// What the client library writes of a value.
    fn theirs(value: &dyn ToSql, of: &Type) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        match value.to_sql_checked(of, &mut bytes).unwrap() {
            IsNull::Yes => (-1_i32).to_be_bytes().to_vec(),
            IsNull::No => {
                let length = i32::try_from(bytes.len()).unwrap();
                [&length.to_be_bytes(), &bytes[..]].concat()
            }
        }
    }

    fn ours(write: impl for<'r, 'b> FnOnce(&'r mut Row<'b>) -> &'r mut Row<'b>) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut Row(&mut bytes));
        bytes
    }

    #[test]
    fn fields_are_what_the_library_writes() {
        for value in [None, Some(0), Some(-1), Some(i16::MAX)] {
            assert_eq!(ours(|row| row.int2(value)), theirs(&value, &Type::INT2));
        }
        for value in [None, Some(0), Some(-1), Some(i32::MAX)] {
            assert_eq!(ours(|row| row.int4(value)), theirs(&value, &Type::INT4));
        }
        for value in [None, Some(false), Some(true)] {
            assert_eq!(ours(|row| row.bool(value)), theirs(&value, &Type::BOOL));
        }
        for value in [None, Some(""), Some("täglich")] {
            assert_eq!(ours(|row| row.text(value)), theirs(&value, &Type::TEXT));
        }
        for value in ["2026-11-21T12:00:00.000042Z", "0001-01-01T00:00:00Z"] {
            let value: Timestamp = value.parse().unwrap();
            assert_eq!(
                ours(|row| row.time(value)),
                theirs(&value, &Type::TIMESTAMPTZ)
            );
        }
        for value in [None, Some("192.0.2.1"), Some("2001:db8::1")] {
            let value: Option<IpAddr> = value.map(|text| text.parse().unwrap());
            assert_eq!(ours(|row| row.address(value)), theirs(&value, &Type::INET));
        }
    }

    #[test]
    fn rows_stand_between_a_header_and_an_end() {
        let mut written = Vec::new();
        let mut binary = Binary::new(&mut written, 1);
        binary.row().unwrap().int2(7);
        binary.finish().unwrap();
        assert_eq!(
            written,
            b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x02\0\x07\xff\xff"
        );
    }
}
