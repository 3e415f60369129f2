//! A service with scripted responses, one per request.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

/// The reaction of the stub to a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// A response with this status, these header lines and this body. Its length is added, unless it is a header.
    Response(u16, String, Vec<u8>),
    /// Nothing, and the connection stays open.
    Silence,
}

/// The lines of a request before its body.
pub(crate) struct Head(Vec<String>);

impl Head {
    pub(crate) fn line(&self) -> &str {
        &self.0[0]
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter().skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

pub(crate) struct Stub {
    pub(crate) base_url: String,
    requests: Receiver<Head>,
}

impl Stub {
    /// Sends these replies in turn, and repeats the last one.
    pub(crate) fn start(replies: Vec<Reply>) -> Self {
        let last = replies.last().unwrap().clone();
        let mut replies = replies.into_iter();
        Self::responding(move |_| replies.next().unwrap_or_else(|| last.clone()))
    }

    /// Sends the reply that `reply` returns for a request.
    pub(crate) fn responding(mut reply: impl FnMut(&Head) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            let mut silent = Vec::new();
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let Some(request) = head(&connection) else { continue };
                match reply(&request) {
                    Reply::Response(status, headers, body) => {
                        let length = if headers.contains("content-length") {
                            String::new()
                        } else {
                            format!("content-length: {}\r\n", body.len())
                        };
                        let head =
                            format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{length}{headers}\r\n");
                        let _ = connection.write_all(&[head.as_bytes(), &body].concat());
                    }
                    Reply::Silence => silent.push(connection),
                }
                let _ = sender.send(request);
            }
        });
        Self { base_url, requests }
    }

    /// Waits for the next request, and returns its first line.
    pub(crate) fn request(&self) -> String {
        self.head().line().to_owned()
    }

    /// Waits for the next request.
    pub(crate) fn head(&self) -> Head {
        self.requests.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    /// Returns true if every request was waited for.
    pub(crate) fn is_quiet(&self) -> bool {
        self.requests.try_recv().is_err()
    }
}

/// Reads the head of a request; none if it is incomplete.
fn head(connection: &TcpStream) -> Option<Head> {
    let mut head = Vec::new();
    for line in BufReader::new(connection).lines().map_while(Result::ok) {
        if line.is_empty() {
            return (!head.is_empty()).then_some(Head(head));
        }
        head.push(line);
    }
    None
}

pub(crate) const NEXT: &str = "link: </v1/events?cursor=2>; rel=\"next\"\r\n";

/// The text of an event.
pub(crate) fn event(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","resource":"messages","type":"created","created":"2026-01-05T09:00:00.123Z","data":{{}}}}"#
    )
}

/// A page of such events.
pub(crate) fn page(ids: &[&str]) -> String {
    let events: Vec<_> = ids.iter().map(|id| event(id)).collect();
    format!(r#"{{"items":[{}]}}"#, events.join(","))
}

pub(crate) fn answer(status: u16, headers: impl Into<String>, body: impl Into<Vec<u8>>) -> Reply {
    Reply::Response(status, headers.into(), body.into())
}
