//! A line of the spool: the checksum of a result (CRC-32 as gzip has it, eight hexadecimal digits),
//! a space, the result as JSON.

use sitewatch::event::CheckEvent;

use super::message::Message;

/// How the lines of a file look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// With a checksum.
    Checked,
    /// Without one, as release 0.1 wrote them.
    Plain,
}

/// What stands before the result.
const HEAD: usize = "00000000 ".len();

/// Appends a line to `buffer`.
pub(super) fn append(buffer: &mut Vec<u8>, result: &[u8]) {
    buffer.reserve(HEAD + result.len() + 1);
    buffer.extend_from_slice(&checksum(result));
    buffer.push(b' ');
    buffer.extend_from_slice(result);
    buffer.push(b'\n');
}

/// The message of a line; `None` when it is no result, or not the one that was written.
pub(super) fn parse(line: &[u8], format: Format) -> Option<Message> {
    let payload = match format {
        Format::Plain => line,
        Format::Checked => {
            let (head, result) = line.split_at_checked(HEAD)?;
            let stated = head.strip_suffix(b" ")?;
            (stated == checksum(result)).then_some(result)?
        }
    };
    let event = CheckEvent::decode(payload).ok()?;
    Some(Message::new(&event, payload.to_vec(), false))
}

fn checksum(result: &[u8]) -> [u8; 8] {
    let sum = crc32fast::hash(result);
    std::array::from_fn(|digit| b"0123456789abcdef"[(sum >> (28 - 4 * digit)) as usize & 15])
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = r#"{"v":1,"id":"01938f5e-8b1a-7c3d-9e2f-0a1b2c3d4e5f","site":"shop","url":"https://shop.example/","location":"fra","checked_at":"2026-11-21T02:52:21.000042Z","up":true,"outcome":"up","error":null,"status":200,"remote_addr":null,"http_version":null,"dns_us":1200,"connect_us":9000,"tls_us":20000,"first_byte_us":31000,"body_us":400,"total_us":61600,"body_bytes":null,"body_match":null,"redirects":0,"attempts":1}"#;

    #[test]
    fn a_line_is_a_result_until_any_of_its_bits_flips() {
        let mut line = Vec::new();
        append(&mut line, RESULT.as_bytes());
        assert_eq!(line.pop(), Some(b'\n'));
        let message = parse(&line, Format::Checked).unwrap();
        assert_eq!(
            (message.site.as_str(), message.payload.as_slice()),
            ("shop", RESULT.as_bytes())
        );
        for bit in 0..line.len() * 8 {
            line[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&line, Format::Checked), None, "bit {bit}");
            line[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..line.len() {
            assert_eq!(parse(&line[..length], Format::Checked), None, "{length}");
        }
        // gzip's: what `crc32` and Python's zlib.crc32 print.
        assert_eq!(&checksum(b"123456789"), b"cbf43926");
    }

    #[test]
    fn a_line_of_the_release_before_has_no_checksum() {
        let message = parse(RESULT.as_bytes(), Format::Plain).unwrap();
        assert_eq!(message.payload, RESULT.as_bytes());
        assert_eq!(parse(RESULT.as_bytes(), Format::Checked), None);
        assert_eq!(parse(b"{\"v\":1}", Format::Plain), None);
    }
}
