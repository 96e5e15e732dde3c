//! An HTTP API that answers each request as a test says, also with nothing, or with a byte a second.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    /// The query's parameters, as they were written.
    pub query: String,
    /// The head in lower case, names and values.
    pub head: String,
}

impl Asked {
    pub fn param(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.into_owned())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// What the server does with a request; then the connection ends.
#[derive(Clone)]
pub enum Reaction {
    /// Sends this, byte for byte.
    Send(Vec<u8>),
    /// Never answers.
    Silence,
    /// Sends this, and then a byte a second, without an end.
    Trickle(Vec<u8>),
}

pub fn answer(status: &str, headers: &[&str], body: &[u8]) -> Reaction {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n");
    Reaction::Send([head.as_bytes(), body].concat())
}

pub fn json(body: &[u8]) -> Reaction {
    answer("200 OK", &["content-type: application/json"], body)
}

/// The server; it ends with the value.
pub struct Api {
    pub addr: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    ended: Arc<AtomicBool>,
}

impl Api {
    pub fn start(respond: impl Fn(&Asked) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let api = Self {
            addr: listener.local_addr().unwrap(),
            asked: Arc::default(),
            ended: Arc::default(),
        };
        let (asked, ended, respond) = (Arc::clone(&api.asked), Arc::clone(&api.ended), Arc::new(respond));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (asked, respond) = (Arc::clone(&asked), Arc::clone(&respond));
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    // A client that goes away before it has asked, or before it is answered, does as it likes.
                    if let Some(request) = read(&mut stream) {
                        asked.lock().unwrap().push(request.clone());
                        let _ = react(&mut stream, respond(&request));
                    }
                });
            }
        });
        api
    }

    pub fn url(&self) -> String {
        format!("http://{}/items", self.addr)
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.addr);
    }
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    let target = head.split(' ').nth(1)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Some(Asked {
        path: path.to_owned(),
        query: query.to_owned(),
        head: head.clone(),
    })
}

fn react(stream: &mut TcpStream, reaction: Reaction) -> std::io::Result<()> {
    match reaction {
        Reaction::Send(bytes) => stream.write_all(&bytes),
        // Until the client gives it up.
        Reaction::Silence => stream.read_to_end(&mut Vec::new()).map(drop),
        Reaction::Trickle(bytes) => {
            stream.write_all(&bytes)?;
            loop {
                std::thread::park_timeout(Duration::from_secs(1));
                stream.write_all(b" ")?;
            }
        }
    }
}
