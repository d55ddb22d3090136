//! A website for benchmarks: pages of 5 KB, at once or after a delay, one connection a page.
//!
//! One thread, so that on two cores it leaves about one to whoever asks. The page of `/17` says so
//! near its end, where a search has to look at all of it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    thread,
    time::Duration,
};

use openssl::{
    pkey::PKey,
    ssl::{Ssl, SslAcceptor, SslMethod, SslVersion},
    x509::X509,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
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

/// Starts the website on any port of 127.0.0.1; it lives as long as this process.
pub fn serve(manner: Manner, tls: Option<Tls<'_>>) -> SocketAddr {
    let acceptor = tls.map(|tls| acceptor(tls).expect("a TLS context"));
    let (sender, receiver) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("start a runtime");
        runtime.block_on(accept(manner, acceptor, sender));
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
    sender: std::sync::mpsc::Sender<SocketAddr>,
) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind((Ipv4Addr::LOCALHOST, 0).into())
        .expect("any port of 127.0.0.1");
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
        // How a connection ends is the client's affair.
        tokio::spawn(async move {
            stream.set_nodelay(true).ok();
            match acceptor {
                None => answer(stream, manner, &filler).await.ok(),
                Some(acceptor) => secure(acceptor, stream, manner, &filler).await,
            }
        });
    }
}

async fn secure(
    acceptor: SslAcceptor,
    stream: TcpStream,
    manner: Manner,
    filler: &str,
) -> Option<()> {
    let mut stream = SslStream::new(Ssl::new(acceptor.context()).ok()?, stream).ok()?;
    Pin::new(&mut stream).accept().await.ok()?;
    answer(stream, manner, filler).await.ok()
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    manner: Manner,
    filler: &str,
) -> std::io::Result<()> {
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
    if manner.silent_one_in > 0 && number.is_multiple_of(manner.silent_one_in) {
        // Until the client has had enough.
        stream.read_buf(&mut request).await?;
        return Ok(());
    }
    if !manner.delay.is_zero() {
        tokio::time::sleep(manner.delay).await;
    }
    let last = format!("site {path} is well\n");
    let fill = PAGE - last.len();
    let page = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {PAGE}\r\nConnection: close\r\n\r\n{}{last}",
        filler.get(..fill).unwrap_or_default()
    );
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}
