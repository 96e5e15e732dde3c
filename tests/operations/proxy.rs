//! A TCP proxy that can hold everything back, as a network that drops packets does: connections stay, nothing comes.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const PAUSE: Duration = Duration::from_millis(5);

#[derive(Clone)]
pub struct Proxy {
    port: u16,
    holds: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Proxy {
    /// Listens on a port of its own and forwards to a unix socket.
    pub fn to_unix(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            holds: Arc::default(),
            ended: Arc::default(),
        };
        listener.set_nonblocking(true).unwrap();
        let accepting = proxy.clone();
        std::thread::spawn(move || {
            while !accepting.ended.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((client, _)) if !accepting.holds() => accepting.join(client, &socket),
                    // Held back: it is not answered, and not refused either.
                    Ok((client, _)) => std::mem::forget(client),
                    Err(_) => std::thread::park_timeout(PAUSE),
                }
            }
        });
        proxy
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn hold(&self, holds: bool) {
        self.holds.store(holds, Ordering::SeqCst);
    }

    fn holds(&self) -> bool {
        self.holds.load(Ordering::SeqCst)
    }

    fn join(&self, client: TcpStream, socket: &PathBuf) {
        let Ok(server) = UnixStream::connect(socket) else {
            return;
        };
        client.set_nonblocking(false).unwrap();
        let (from_client, to_client) = (client.try_clone().unwrap(), client);
        let (from_server, to_server) = (server.try_clone().unwrap(), server);
        self.forward(from_client, to_server, |to| drop(to.shutdown(std::net::Shutdown::Both)));
        self.forward(from_server, to_client, |to| drop(to.shutdown(std::net::Shutdown::Both)));
    }

    fn forward<W: Write + Send + 'static>(
        &self,
        mut from: impl Read + Send + 'static,
        mut to: W,
        close: impl FnOnce(&W) + Send + 'static,
    ) {
        let proxy = self.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                while proxy.holds() && !proxy.ended.load(Ordering::SeqCst) {
                    std::thread::park_timeout(PAUSE);
                }
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            close(&to);
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The accepting thread and its forwarders hold clones; only the test's own value ends them.
        if Arc::strong_count(&self.ended) <= 2 {
            self.ended.store(true, Ordering::SeqCst);
        }
    }
}
