//! An HTTP server that answers each request as a test says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET /path?query HTTP/1.1`
    pub line: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Asked {
    pub fn url(&self) -> Url {
        let target = self.line.split(' ').nth(1).unwrap();
        format!("http://api{target}").parse().unwrap()
    }

    pub fn path(&self) -> String {
        self.url().path().to_owned()
    }

    pub fn param(&self, name: &str) -> Option<String> {
        let url = self.url();
        url.query_pairs()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.into_owned())
    }

    pub fn number(&self, name: &str) -> u64 {
        self.param(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What the server sends, byte for byte; then it closes the connection.
pub type Answer = Vec<u8>;

pub fn with(status: &str, headers: &[&str], body: &[u8]) -> Answer {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

pub fn json(body: serde_json::Value) -> Answer {
    with(
        "200 OK",
        &["content-type: application/json"],
        body.to_string().as_bytes(),
    )
}

/// The server; it ends with the test's runtime.
pub struct Api {
    pub addr: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Api {
    /// Starts it. `respond` gets the number of the request, from 0, and the request.
    pub async fn start(respond: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (seen, respond) = (Arc::clone(&asked), Arc::new(respond));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, respond) = (Arc::clone(&seen), Arc::clone(&respond));
                tokio::spawn(async move {
                    let Some(request) = read(&mut stream).await else { return };
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    // The client may have gone away: that is its business.
                    let _ = stream.write_all(&respond(number, &request)).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { addr, asked }
    }

    pub fn url(&self) -> Url {
        format!("http://{}/api", self.addr).parse().unwrap()
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.trim_end().lines();
    let line = lines.next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, length)| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8(body).ok()?;
    Some(Asked { line, headers, body })
}
