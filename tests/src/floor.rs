//! What pages cost at least: clients that do nothing beyond the system calls. Floors for benchmarks.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use memchr::memmem;
use openssl::ssl::{SslConnector, SslMethod};
use rustix::{
    event::epoll,
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, ipproto, recv, send,
        socket_with, sockopt,
    },
};

/// At the end of each page.
const TEXT: &[u8] = b" is well\n";

/// One page on its way.
struct Slot {
    socket: OwnedFd,
    number: u32,
    asked: bool,
    /// What has come, unless all of it came at once.
    page: Vec<u8>,
}

/// Pages 1 to `pages` over plain connections, up to `concurrency` at once, on one thread: connect,
/// ask, read, look for a text, close.
///
/// # Panics
/// When a page does not come, or without the text.
pub fn plain(address: SocketAddr, pages: u32, concurrency: u32) {
    let queue = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
    let mut numbers = 1..=pages;
    let mut slots: Vec<Option<Slot>> = Vec::new();
    for index in 0..u64::from(concurrency.min(pages)) {
        slots.push(
            numbers
                .next()
                .map(|number| begin(&queue, address, index, number)),
        );
    }
    let mut under_way = slots.len();
    let mut events = Vec::with_capacity(1_024);
    let mut buffer = vec![0; 64 * 1024];
    while under_way > 0 {
        events.clear();
        match epoll::wait(&queue, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => panic!("epoll: {error}"),
        }
        for event in &events {
            let index = event.data.u64();
            let place = slots.get_mut(usize::try_from(index).expect("an index"));
            let Some(place) = place else { continue };
            let Some(slot) = place else { continue };
            if !slot.go_on(&mut buffer) {
                continue;
            }
            // Closing takes it out of the queue.
            *place = numbers
                .next()
                .map(|number| begin(&queue, address, index, number));
            under_way -= usize::from(place.is_none());
        }
    }
}

fn begin(queue: &OwnedFd, address: SocketAddr, index: u64, number: u32) -> Slot {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        Some(ipproto::TCP),
    )
    .expect("a socket");
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => panic!("connect: {error}"),
    }
    let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
    epoll::add(queue, &socket, epoll::EventData::new_u64(index), flags).expect("epoll");
    Slot {
        socket,
        number,
        asked: false,
        page: Vec::new(),
    }
}

impl Slot {
    /// Does what can be done now; true when the page is there.
    fn go_on(&mut self, buffer: &mut [u8]) -> bool {
        if !self.asked {
            if let Err(error) = sockopt::socket_error(&self.socket).expect("ask the socket") {
                panic!("page {}: {error}", self.number);
            }
            let request = format!("GET /{} HTTP/1.1\r\nHost: floor\r\n\r\n", self.number);
            match send(&self.socket, request.as_bytes(), SendFlags::NOSIGNAL) {
                Ok(_) => self.asked = true,
                Err(Errno::AGAIN | Errno::NOTCONN) => return false,
                Err(error) => panic!("page {}: {error}", self.number),
            }
        }
        loop {
            let length = match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(Errno::AGAIN) => return false,
                Err(error) => panic!("page {}: {error}", self.number),
            };
            assert!(length > 0, "page {} ends without its text", self.number);
            let came = buffer.get(..length).unwrap_or_default();
            if self.page.is_empty() && memmem::find(came, TEXT).is_some() {
                return true;
            }
            self.page.extend_from_slice(came);
            if memmem::find(&self.page, TEXT).is_some() {
                return true;
            }
        }
    }
}

/// As many pages over TLS: each a connection, a handshake with its certificate verified, a request
/// and what is answered.
///
/// # Panics
/// When a page does not come.
pub fn secure(address: SocketAddr, ca: &Path, pages: u32) {
    // More only cost more.
    const THREADS: usize = 8;
    let mut connector = SslConnector::builder(SslMethod::tls_client()).expect("a TLS context");
    connector.set_ca_file(ca).expect("read the CA certificate");
    let connector = connector.build();
    let begun = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while begun.fetch_add(1, Ordering::Relaxed) < pages {
                    let stream = TcpStream::connect(address).expect("connect");
                    let mut stream = connector.connect("127.0.0.1", stream).expect("TLS");
                    stream
                        .write_all(b"GET /1 HTTP/1.1\r\nHost: bare\r\n\r\n")
                        .expect("ask");
                    let mut page = Vec::with_capacity(8 * 1024);
                    stream.read_to_end(&mut page).expect("read the page");
                    assert!(page.ends_with(TEXT), "a whole page");
                }
            });
        }
    });
}
