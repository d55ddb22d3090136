//! A website for benchmarks: pages of 5 KB, at once or after a delay, one connection a page.
//!
//! One thread, so that on two cores it leaves about one to whoever asks. The page of `/17` says so
//! near its end, where a search has to look at all of it.

use std::{
    io::{self, IoSliceMut},
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd as _},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
    time::{Duration, SystemTime},
};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, TimestampingFlag, recvmsg, setsockopt, sockopt,
};
use openssl::{
    pkey::PKey,
    ssl::{Ssl, SslAcceptor, SslMethod, SslVersion},
    x509::X509,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest, ReadBuf},
    net::{TcpSocket, TcpStream},
};
use tokio_openssl::SslStream;

use crate::certificates::Issued;

/// Bytes of a page.
pub const PAGE: usize = 5_000;

/// What is answered, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// How long after the request.
    pub delay: Duration,
    /// Of this many pages one never comes; 0: all come.
    pub silent_one_in: u32,
}

/// TLS, where it is spoken.
#[derive(Clone, Copy)]
pub struct Tls<'a> {
    /// What it shows.
    pub certificate: &'a Issued,
    /// The newest version it speaks.
    pub newest: SslVersion,
}

/// When a page was asked for and written, by the clock of the day.
#[derive(Clone, Copy, Debug)]
pub struct Wrote {
    /// Its number.
    pub page: u32,
    /// When the kernel had the whole request.
    pub asked: SystemTime,
    /// Just before it was written.
    pub before: SystemTime,
    /// Just after.
    pub after: SystemTime,
}

/// What a website wrote and when.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<Wrote>>>);

impl Log {
    /// What was written since it was last asked.
    #[must_use]
    pub fn take(&self) -> Vec<Wrote> {
        std::mem::take(&mut self.0.lock())
    }

    fn add(&self, wrote: Wrote) {
        self.0.lock().push(wrote);
    }
}

/// Starts the website on any port of 127.0.0.1; it lives as long as this process.
pub fn serve(manner: Manner, tls: Option<Tls<'_>>) -> SocketAddr {
    start(manner, tls, None)
}

/// The same, keeping a log.
pub fn serve_and_log(manner: Manner, tls: Option<Tls<'_>>, log: &Log) -> SocketAddr {
    start(manner, tls, Some(log.clone()))
}

fn start(manner: Manner, tls: Option<Tls<'_>>, log: Option<Log>) -> SocketAddr {
    let acceptor = tls.map(|tls| acceptor(tls).expect("a TLS context"));
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("start a runtime");
        runtime.block_on(accept(manner, acceptor, log, sender));
    });
    receiver.recv().expect("the website has an address")
}

/// Ciphers and curves as Mozilla recommends them to websites, "intermediate".
fn acceptor(tls: Tls<'_>) -> Result<SslAcceptor, openssl::error::ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_max_proto_version(Some(tls.newest))?;
    let certificate = X509::from_pem(tls.certificate.chain.as_bytes())?;
    builder.set_certificate(&certificate)?;
    let key = PKey::private_key_from_pem(tls.certificate.key.as_bytes())?;
    builder.set_private_key(&key)?;
    Ok(builder.build())
}

async fn accept(
    manner: Manner,
    acceptor: Option<SslAcceptor>,
    log: Option<Log>,
    sender: std::sync::mpsc::Sender<SocketAddr>,
) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind((Ipv4Addr::LOCALHOST, 0).into())
        .expect("any port of 127.0.0.1");
    if log.is_some() {
        // Before the first connection, so that the kernel notes the times of its bytes as well.
        note_arrivals(&socket);
    }
    let listener = socket.listen(8_192).expect("listen");
    sender
        .send(
            listener
                .local_addr()
                .expect("a bound socket has an address"),
        )
        .expect("somebody waits for the address");
    let filler: Arc<str> = "All work and no play makes Jack a dull boy.\n"
        .repeat(PAGE / 44 + 1)
        .into();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (acceptor, filler) = (acceptor.clone(), Arc::clone(&filler));
        let log = log.clone();
        // How a connection ends is the client's affair.
        tokio::spawn(async move {
            stream.set_nodelay(true).ok();
            let page = Page {
                manner,
                filler: &filler,
            };
            match (acceptor, log) {
                (None, None) => page.answer(stream, |_| ()).await.ok(),
                (None, Some(log)) => {
                    let stamped = Stamped::new(stream);
                    page.answer(stamped, |wrote| log.add(wrote)).await.ok()
                }
                (Some(acceptor), None) => {
                    let stream = secure(acceptor, stream).await?;
                    page.answer(stream, |_| ()).await.ok()
                }
                (Some(acceptor), Some(log)) => {
                    let stream = secure(acceptor, Stamped::new(stream)).await?;
                    page.answer(stream, |wrote| log.add(wrote)).await.ok()
                }
            }
        });
    }
}

async fn secure<S: Stream>(acceptor: SslAcceptor, stream: S) -> Option<SslStream<S>> {
    let mut stream = SslStream::new(Ssl::new(acceptor.context()).ok()?, stream).ok()?;
    Pin::new(&mut stream).accept().await.ok()?;
    Some(stream)
}

/// What pages are written to.
trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// When what was read last arrived; `None`: nobody looks.
    fn arrived(&self) -> Option<SystemTime>;
}

impl Stream for TcpStream {
    fn arrived(&self) -> Option<SystemTime> {
        None
    }
}

impl Stream for Stamped {
    fn arrived(&self) -> Option<SystemTime> {
        self.arrived
    }
}

impl<S: Stream> Stream for SslStream<S> {
    fn arrived(&self) -> Option<SystemTime> {
        self.get_ref().arrived()
    }
}

fn note_arrivals(socket: &impl AsFd) {
    let software = TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE
        | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
    setsockopt(socket, sockopt::Timestamping, &software).expect("the kernel notes times");
}

/// A connection that knows when its bytes arrived.
struct Stamped {
    stream: TcpStream,
    arrived: Option<SystemTime>,
}

impl Stamped {
    fn new(stream: TcpStream) -> Self {
        note_arrivals(&stream);
        Self {
            stream,
            arrived: None,
        }
    }
}

impl AsyncRead for Stamped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            let received = self.stream.try_io(Interest::READABLE, || {
                let mut control = [0; 128];
                let mut pieces = [IoSliceMut::new(buffer.initialize_unfilled())];
                let socket = self.stream.as_raw_fd();
                let message = recvmsg::<()>(
                    socket,
                    &mut pieces,
                    Some(&mut control),
                    MsgFlags::MSG_DONTWAIT,
                )?;
                let stamp = message.cmsgs().ok().and_then(|mut notes| {
                    notes.find_map(|note| match note {
                        ControlMessageOwned::ScmTimestampsns(times) => Some(times.system),
                        _ => None,
                    })
                });
                Ok((message.bytes, stamp))
            });
            match received {
                Ok((length, stamp)) => {
                    buffer.advance(length);
                    let stamp = stamp.map(|stamp| SystemTime::UNIX_EPOCH + Duration::from(stamp));
                    self.arrived = stamp.or(self.arrived);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Stamped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What every page is made from.
struct Page<'a> {
    manner: Manner,
    filler: &'a str,
}

impl Page<'_> {
    async fn answer(&self, mut stream: impl Stream, wrote: impl Fn(Wrote)) -> io::Result<()> {
        let mut request = Vec::with_capacity(512);
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        let path = String::from_utf8_lossy(&request);
        let path = path
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .trim_start_matches('/');
        let number: u32 = path.parse().unwrap_or_default();
        if self.manner.silent_one_in > 0 && number.is_multiple_of(self.manner.silent_one_in) {
            // Until the client has had enough.
            stream.read_buf(&mut request).await?;
            return Ok(());
        }
        if !self.manner.delay.is_zero() {
            tokio::time::sleep(self.manner.delay).await;
        }
        let last = format!("site {path} is well\n");
        let fill = PAGE - last.len();
        let page = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {PAGE}\r\nConnection: close\r\n\r\n{}{last}",
            self.filler.get(..fill).unwrap_or_default()
        );
        let asked = stream.arrived();
        let before = SystemTime::now();
        stream.write_all(page.as_bytes()).await?;
        if let Some(asked) = asked {
            wrote(Wrote {
                page: number,
                asked,
                before,
                after: SystemTime::now(),
            });
        }
        stream.shutdown().await
    }
}
