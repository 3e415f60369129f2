//! A service with scripted responses, one per request.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
    time::Duration,
};

/// The reaction of the stub to a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// A response with this status, these header lines and this body.
    Answer(u16, &'static str, String),
    /// Nothing, and the connection stays open.
    Silence,
}

pub(crate) struct Stub {
    pub(crate) base_url: String,
    requests: Receiver<String>,
}

impl Stub {
    /// Sends these replies in turn, and repeats the last one.
    pub(crate) fn start(replies: Vec<Reply>) -> Self {
        let numbers = AtomicUsize::new(0);
        Self::answering(move |_| {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            replies[number.min(replies.len() - 1)].clone()
        })
    }

    /// Sends the reply that `answer` returns for the first line of a request.
    pub(crate) fn answering(answer: impl Fn(&str) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel();
        thread::spawn(move || {
            let mut silent = Vec::new();
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let Some(request) = head(&connection) else { continue };
                match answer(&request) {
                    Reply::Answer(status, headers, body) => {
                        let length = body.len();
                        let head = format!(
                            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
                        );
                        let _ = connection.write_all(format!("{head}{body}").as_bytes());
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
        self.requests.recv_timeout(Duration::from_secs(60)).unwrap()
    }
}

impl Stub {
    /// Returns true if every request was waited for.
    pub(crate) fn is_quiet(&self) -> bool {
        self.requests.try_recv().is_err()
    }
}

/// Reads the head of a request, and returns its first line.
fn head(connection: &TcpStream) -> Option<String> {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    let first = lines.next()?;
    lines.find(String::is_empty)?;
    Some(first)
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

pub(crate) fn answer(status: u16, headers: &'static str, body: impl Into<String>) -> Reply {
    Reply::Answer(status, headers, body.into())
}
