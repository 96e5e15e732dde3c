//! A tiny HTTP server that does to each connection what its script says.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the server does with one request. The connection ends with it.
#[derive(Clone)]
pub enum Reaction {
    /// Sends this and closes.
    Send(String),
    /// Reads the request and never answers.
    Silence,
    /// Begins a good answer and goes on with a byte every 20 ms, without an end.
    Trickle,
}

/// `status`, headers and a body of the right length.
pub fn answer(status: &str, headers: &[&str], body: &str) -> Reaction {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    Reaction::Send(format!(
        "HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

/// A good answer.
pub fn page(body: &str) -> Reaction {
    answer("200 OK", &["content-type: application/json"], body)
}

/// The server; it ends with the test's runtime.
pub struct Scripted {
    pub addr: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Starts it. When the script is over its last reaction is repeated.
    pub async fn start(script: impl IntoIterator<Item = Reaction>) -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"), script).await
    }

    pub async fn start_at(addr: SocketAddr, script: impl IntoIterator<Item = Reaction>) -> Self {
        let listener = TcpListener::bind(addr).await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, mut script) = (Arc::clone(&requests), script.into_iter().collect::<VecDeque<_>>());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(head) = read_head(&mut stream).await else {
                    continue;
                };
                seen.lock().expect("no panic").push(head);
                let reaction = if script.len() > 1 {
                    script.pop_front()
                } else {
                    script.front().cloned()
                };
                tokio::spawn(react(stream, reaction.expect("a reaction")));
            }
        });
        Self { addr, requests }
    }

    pub fn url(&self) -> String {
        format!("http://{}/api/", self.addr)
    }

    /// The heads of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

async fn react(mut stream: TcpStream, reaction: Reaction) {
    match reaction {
        Reaction::Send(text) => {
            // The client may have gone away: that is its business.
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Reaction::Silence => drop(stream.read_to_end(&mut Vec::new()).await),
        Reaction::Trickle => {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n[")
                .await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
