//! One connection to a website, from its handshake to its end.

use std::{
    io::{self, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use flate2::{Compress, Compression, FlushCompress, Status};
use rustix::net::sockopt::set_socket_linger;

use super::{Behaviour, Page, Request, Site};

/// Whether the client may ask for more on this connection.
#[derive(PartialEq, Eq)]
enum Then {
    Continue,
    Close,
}

pub(super) fn serve(site: &Site, stream: TcpStream) -> io::Result<()> {
    if matches!(site.behaviour, Behaviour::Resets) {
        // Takes effect when the last handle is closed, which is our return.
        return Ok(set_socket_linger(&stream, Some(Duration::ZERO))?);
    }
    stream.set_nodelay(true)?;
    match &site.tls {
        None => talk(site, stream),
        Some(acceptor) => {
            let mut stream = acceptor.accept(stream).map_err(io::Error::other)?;
            talk(site, &mut stream)?;
            // An orderly end, or the client could not tell a closed connection from a cut one.
            stream.shutdown().map_err(io::Error::other)?;
            Ok(())
        }
    }
}

fn talk(site: &Site, stream: impl Read + Write) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = Request::read(&mut stream)? {
        site.note(&request);
        if answer(site, &request, &mut stream)? == Then::Close {
            break;
        }
        let last = request.header("Connection");
        if last.is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            break;
        }
    }
    Ok(())
}

fn answer(
    site: &Site,
    request: &Request,
    stream: &mut BufReader<impl Read + Write>,
) -> io::Result<Then> {
    let to_head = request.method == "HEAD";
    match &site.behaviour {
        Behaviour::Page(page) => whole(stream.get_mut(), &page.answer(to_head)),
        Behaviour::Slow { delay, page } => {
            site.pause(*delay);
            whole(stream.get_mut(), &page.answer(to_head))
        }
        Behaviour::Drip { every, page } => {
            for byte in page.answer(to_head) {
                site.pause(*every);
                whole(stream.get_mut(), &[byte])?;
            }
            Ok(Then::Continue)
        }
        Behaviour::NeverAnswers => {
            // Ends when the client goes or the website stops.
            io::copy(stream, &mut io::sink())?;
            Ok(Then::Close)
        }
        Behaviour::Redirect { to, hops } => {
            whole(stream.get_mut(), &redirect(&request.target, to, *hops))
        }
        Behaviour::RedirectLoop => {
            let to = if request.target == "/" { "/again" } else { "/" };
            whole(stream.get_mut(), &redirect("/", to, 1))
        }
        Behaviour::Garbage => {
            whole(
                stream.get_mut(),
                b"\x00\x01\x02 this is not HTTP\r\n\r\n\xff\xfe",
            )?;
            Ok(Then::Close)
        }
        Behaviour::HugeHeaders => {
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\n")?;
            let line = format!("X-Filler: {}\r\n", "x".repeat(1000));
            endless(stream.get_mut(), line.as_bytes())
        }
        Behaviour::HugeBody => {
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
            stream.get_mut().write_all(head.as_bytes())?;
            endless(stream.get_mut(), &[b'x'; 16 * 1024])
        }
        Behaviour::GzipBomb => gzip_bomb(stream.get_mut()),
        Behaviour::TruncatedBody(page) => {
            whole(stream.get_mut(), &page.truncated_answer())?;
            Ok(Then::Close)
        }
        Behaviour::Custom(answer) => {
            answer(request, stream.get_mut())?;
            stream.get_mut().flush()?;
            Ok(Then::Close)
        }
        Behaviour::ClosesWithoutAnswer | Behaviour::Refuses | Behaviour::Resets => Ok(Then::Close),
    }
}

fn whole(stream: &mut impl Write, answer: &[u8]) -> io::Result<Then> {
    stream.write_all(answer)?;
    stream.flush()?;
    Ok(Then::Continue)
}

/// Writes the same again and again, until the client has enough.
fn endless(stream: &mut impl Write, piece: &[u8]) -> io::Result<Then> {
    loop {
        stream.write_all(piece)?;
    }
}

/// The redirects before the last lead to `/hop/1`, `/hop/2`, … of this website.
fn redirect(target: &str, to: &str, hops: u32) -> Vec<u8> {
    let done: u32 = target
        .strip_prefix("/hop/")
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    let next = done + 1;
    let location = if next < hops {
        format!("/hop/{next}")
    } else {
        to.to_owned()
    };
    let page = Page::new(302, "elsewhere").header("Location", &location);
    page.answer(false)
}

/// A gzip stream of zeros without end. A full flush ends a block on a whole byte and lets the next
/// refer to nothing before it, so that the same bytes may be sent again and again.
fn gzip_bomb(stream: &mut impl Write) -> io::Result<Then> {
    const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n";
    let mut block = Vec::with_capacity(16 * 1024);
    let status = Compress::new(Compression::best(), false).compress_vec(
        &[0; 1024 * 1024],
        &mut block,
        FlushCompress::Full,
    );
    debug_assert!(matches!(status, Ok(Status::Ok)), "a megabyte fits");
    stream.write_all(HEAD.as_bytes())?;
    stream.write_all(&GZIP_HEADER)?;
    endless(stream, &block)
}
