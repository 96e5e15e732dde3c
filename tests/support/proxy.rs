//! A TCP proxy of the test's own, for faults of the network: cut, reset, dropped packets, half-open, slow, and a cut at
//! exactly one place.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part; a helper that fails fails its test"
)]

pub mod drops;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Where the proxy leads to.
#[derive(Clone, Debug)]
pub enum Upstream {
    Tcp(String),
    Unix(PathBuf),
}

/// What happens to bytes, in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weather {
    Clear,
    /// Nothing arrives any more and nobody is told: connections stay open, and the proxy's TCP still acknowledges.
    HalfOpen,
    /// Packets from clients are dropped, those of new connections as well: nothing arrives, nothing is acknowledged, nothing
    /// is refused.
    Dropped,
    /// Each piece is late.
    Latency(Duration),
    /// So many bytes a second.
    Slow(u32),
}

/// Cuts one connection at one place in what its client says.
#[derive(Clone, Debug)]
pub struct Trap {
    /// Only connections whose first bytes hold this text (libpq: `application_name`).
    pub of: String,
    /// The place: these bytes, wherever a read ends.
    pub at: &'static str,
    /// Whether the server gets them. If so it is waited for until it answers, and the answer is lost.
    pub delivers: bool,
}

struct Shared {
    upstream: Mutex<Upstream>,
    weather: watch::Sender<Weather>,
    /// Cancelled and replaced at each cut.
    cut: Mutex<CancellationToken>,
    /// Counts up; connections of that time whose first bytes hold the text are dropped for good.
    forsaken: watch::Sender<(usize, String)>,
    is_reset: Mutex<bool>,
    trap: Mutex<Option<Trap>>,
    num_sprung: watch::Sender<usize>,
    stop: CancellationToken,
}

/// See the module. Ends with the value.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    pub fn start(upstream: Upstream) -> Self {
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            weather: watch::Sender::new(Weather::Clear),
            cut: Mutex::default(),
            forsaken: watch::Sender::default(),
            is_reset: Mutex::default(),
            trap: Mutex::default(),
            num_sprung: watch::Sender::new(0),
            stop: CancellationToken::new(),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(serve(listener, serving));
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// A proxy before the server of this PostgreSQL address, and the address that leads through it.
    pub fn before_postgres(url: &str) -> (Self, String) {
        let mut url = Url::parse(url).unwrap();
        let mut pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let mut take = |name: &str| {
            let place = pairs.iter().position(|(known, _)| known == name)?;
            Some(pairs.remove(place).1)
        };
        let (host, port) = (take("host"), take("port"));
        let port = port.unwrap_or_else(|| url.port().unwrap_or(5432).to_string());
        let upstream = match host.or_else(|| url.host_str().map(str::to_owned)) {
            Some(dir) if dir.starts_with('/') => Upstream::Unix(PathBuf::from(dir).join(format!(".s.PGSQL.{port}"))),
            host => Upstream::Tcp(format!("{}:{port}", host.unwrap_or_else(|| "127.0.0.1".into()))),
        };
        let proxy = Self::start(upstream);
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(proxy.address.port())).unwrap();
        url.query_pairs_mut().clear().extend_pairs(pairs);
        (proxy, url.to_string())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where new connections lead to, for a server that has to know the proxy before it starts.
    pub fn lead_to(&self, upstream: Upstream) {
        *lock(&self.shared.upstream) = upstream;
    }

    /// Where new connections lead to now.
    pub fn upstream(&self) -> Upstream {
        lock(&self.shared.upstream).clone()
    }

    /// From now on all packets of the present connections are dropped, as by a firewall that has forgotten them; new ones
    /// pass. Only those whose first bytes hold this text.
    pub fn forsake(&self, of: &str) {
        self.shared.forsaken.send_modify(|(count, text)| {
            *count += 1;
            of.clone_into(text);
        });
    }

    pub fn set(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// Ends all connections in order; new ones are taken.
    pub fn cut(&self) {
        std::mem::take(&mut *lock(&self.shared.cut)).cancel();
    }

    /// Ends all connections with a reset.
    pub fn reset(&self) {
        *lock(&self.shared.is_reset) = true;
        self.cut();
    }

    /// Sets a trap; it springs once.
    pub fn trap(&self, trap: Trap) {
        *lock(&self.shared.trap) = Some(trap);
    }

    /// How many traps have sprung.
    pub fn num_sprung(&self) -> usize {
        *self.shared.num_sprung.borrow()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.cut();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).unwrap();
    let door = drops::Socket::of(&listener);
    loop {
        let client = tokio::select! {
            () = shared.stop.cancelled() => return,
            never = drops::follow(&door, &shared.weather) => match never {},
            accepted = listener.accept() => accepted,
        };
        if let Ok((client, _)) = client {
            tokio::spawn(connect(client, Arc::clone(&shared)));
        }
    }
}

async fn connect(client: TcpStream, shared: Arc<Shared>) {
    let _ = client.set_nodelay(true);
    let upstream = lock(&shared.upstream).clone();
    match &upstream {
        Upstream::Tcp(address) => match TcpStream::connect(address).await {
            Ok(server) => pass(client, server, &shared).await,
            Err(_) => drop(client),
        },
        Upstream::Unix(path) => match UnixStream::connect(path).await {
            Ok(server) => pass(client, server, &shared).await,
            Err(_) => drop(client),
        },
    }
}

async fn pass(mut client: TcpStream, server: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) {
    let cut = lock(&shared.cut).clone();
    // The trap is about to spring: the next answer is not delivered.
    let is_sprung = watch::Sender::new(false);
    let (socket, first) = (drops::Socket::of(&client), Mutex::default());
    {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = tokio::io::split(server);
        let pumps = async {
            tokio::select! {
                () = pump_client(from_client, to_server, shared, &is_sprung, &first) => {}
                () = pump_server(from_server, to_client, shared, &is_sprung) => {}
                never = drops::follow(&socket, &shared.weather) => match never {},
            }
        };
        let mut pumps = std::pin::pin!(pumps);
        tokio::select! {
            () = cut.cancelled() => {}
            () = &mut pumps => {}
            // The server is not told either: its side stays open.
            () = drops::forsaken(&shared.forsaken, &first) => {
                socket.drop_packets(true);
                cut.cancelled().await;
            }
        }
    }
    drop(socket);
    if *lock(&shared.is_reset) && cut.is_cancelled() {
        let _ = client.set_zero_linger();
    }
}

async fn pump_client(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
    is_sprung: &watch::Sender<bool>,
    first: &Mutex<Vec<u8>>,
) {
    let (mut tail, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..len];
        let trap = {
            let mut first = lock(first);
            let room = 4096_usize.saturating_sub(first.len());
            first.extend_from_slice(&bytes[..len.min(room)]);
            meets(shared, &first, &mut tail, bytes)
        };
        if let Some(trap) = trap {
            if !trap.delivers {
                spring(shared);
                return;
            }
            is_sprung.send_replace(true);
        }
        if !deliver(&mut to, bytes, shared).await {
            return;
        }
    }
}

async fn pump_server(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
    is_sprung: &watch::Sender<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(len @ 1..) = from.read(&mut buffer).await {
        if *is_sprung.borrow() {
            // The server has done what it was told.
            spring(shared);
            return;
        }
        if !deliver(&mut to, &buffer[..len], shared).await {
            return;
        }
    }
}

fn spring(shared: &Shared) {
    shared.num_sprung.send_modify(|num| *num += 1);
}

/// Takes the trap if this connection has walked into it. `tail` keeps what a text that two reads share may begin with.
fn meets(shared: &Shared, first: &[u8], tail: &mut Vec<u8>, bytes: &[u8]) -> Option<Trap> {
    let mut trap = lock(&shared.trap);
    let Some(set) = &*trap else {
        tail.clear();
        return None;
    };
    tail.extend_from_slice(bytes);
    let is_met = holds(first, set.of.as_bytes()) && holds(tail, set.at.as_bytes());
    let keep = tail.len().saturating_sub(set.at.len() - 1);
    tail.drain(..keep);
    if is_met { trap.take() } else { None }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

async fn deliver(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8], shared: &Shared) -> bool {
    let mut weather = shared.weather.subscribe();
    let mut rest = bytes;
    while !rest.is_empty() {
        let now = *weather.borrow_and_update();
        let len = match now {
            Weather::Clear => rest.len(),
            Weather::HalfOpen | Weather::Dropped => {
                let _ = weather.changed().await;
                continue;
            }
            Weather::Latency(late) => {
                tokio::time::sleep(late).await;
                rest.len()
            }
            Weather::Slow(bytes_a_second) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                rest.len().min((bytes_a_second / 50).max(1) as usize)
            }
        };
        if to.write_all(&rest[..len]).await.is_err() {
            return false;
        }
        rest = &rest[len..];
    }
    to.flush().await.is_ok()
}
