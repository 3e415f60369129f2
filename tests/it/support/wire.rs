//! A server that is driven byte by byte.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use webex_events::Client;

use super::{client, within};

/// A request's head as received.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) text: String,
    pub(crate) at: Instant,
}

impl Head {
    /// The request target, byte for byte.
    pub(crate) fn target(&self) -> &str {
        self.text.split(' ').nth(1).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.text.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut lines = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        lines.next().map(|(_, value)| value.trim())
    }
}

/// A complete response, after which the connection closes.
pub(crate) fn http(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let lines: String = headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} Whatever\r\nConnection: close\r\n{lines}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// The base URL of a port that refuses connections.
pub(crate) async fn refusing() -> String {
    Wire::bind().await.url()
}

/// A listener whose connections the test drives itself.
pub(crate) struct Wire {
    listener: TcpListener,
    address: SocketAddr,
}

pub(crate) struct Connection {
    stream: TcpStream,
}

impl Wire {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL.
    pub(crate) fn url(&self) -> String {
        format!("{}/v1", self.origin())
    }

    pub(crate) fn client(&self) -> Client {
        client(&self.url())
    }

    pub(crate) async fn accept(&self) -> Connection {
        Connection { stream: within(self.listener.accept()).await.unwrap().0 }
    }

    /// The next connection and the head of its request.
    pub(crate) async fn request(&self) -> (Connection, Head) {
        let mut connection = self.accept().await;
        let head = connection.head().await;
        (connection, head)
    }

    /// Accepts a request and responds to it.
    pub(crate) async fn respond(&self, bytes: impl AsRef<[u8]>) -> Head {
        let (mut connection, head) = self.request().await;
        connection.send(bytes).await;
        head
    }

    /// Responds to every request by a script, each on a connection of its own.
    pub(crate) fn serve(self, script: impl Fn(usize, &Head) -> Vec<u8> + Send + Sync + 'static) -> Served {
        let heads = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (log, count, script) = (Arc::clone(&heads), Arc::clone(&connections), Arc::new(script));
        let (address, listener) = (self.address, self.listener);
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                count.fetch_add(1, SeqCst);
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                tokio::spawn(async move {
                    let mut connection = Connection { stream };
                    let Some(head) = connection.try_head().await else { return };
                    let n = {
                        let mut log = log.lock().unwrap();
                        log.push(head.clone());
                        log.len() - 1
                    };
                    let response = script(n, &head);
                    let _ = connection.stream.write_all(&response).await;
                    let _ = connection.stream.shutdown().await;
                });
            }
        });
        Served { address, heads, connections, task }
    }
}

impl Connection {
    pub(crate) async fn head(&mut self) -> Head {
        within(self.try_head()).await.expect("no request came")
    }

    async fn try_head(&mut self) -> Option<Head> {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            text.push(self.stream.read_u8().await.ok()?);
        }
        Some(Head { text: String::from_utf8(text).unwrap(), at: Instant::now() })
    }

    /// The body of a request, by its head's length.
    pub(crate) async fn body(&mut self, head: &Head) -> String {
        let length = head.header("content-length").unwrap_or("0").parse().unwrap();
        let mut body = vec![0; length];
        within(self.stream.read_exact(&mut body)).await.unwrap();
        String::from_utf8(body).unwrap()
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
        within(self.stream.flush()).await.unwrap();
    }

    /// Returns when the other side has closed.
    pub(crate) async fn closed(&mut self) {
        let mut rest = [0; 64];
        while let Ok(1..) = within(self.stream.read(&mut rest)).await {}
    }
}

/// A [`Wire`] that serves in a task of its own.
pub(crate) struct Served {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<Head>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start(script: impl Fn(usize, &Head) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Wire::bind().await.serve(script)
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The base URL.
    pub(crate) fn url(&self) -> String {
        format!("{}/v1", self.origin())
    }

    pub(crate) fn client(&self) -> Client {
        client(&self.url())
    }

    pub(crate) fn heads(&self) -> Vec<Head> {
        self.heads.lock().unwrap().clone()
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        self.heads().iter().map(|head| head.target().to_owned()).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}
