//! Packets that are dropped: a socket's filter lets none of them in, so that not even TCP notices.
//!
//! On recent kernels only root may filter a TCP socket. For others the bytes are held back instead: the peer's TCP is
//! content then, and only deadlines of its own help it, which is harder for it.

use std::{convert::Infallible, sync::Mutex};

use socket2::{SockFilter, SockRef};
use tokio::sync::watch;

use super::{Weather, holds, lock};

/// Returns 0 for each packet: nothing of it is let in.
const NOTHING: [SockFilter; 1] = [SockFilter::new(0x06, 0, 0, 0)];

/// A second handle of a socket.
pub struct Socket(socket2::Socket);

impl Socket {
    pub fn of<'a>(socket: impl Into<SockRef<'a>>) -> Self {
        Self(socket.into().try_clone().unwrap())
    }

    pub fn drop_packets(&self, drops: bool) {
        // Nobody has attached one = an error that says so. Where it is not allowed: see the module.
        let _ = if drops {
            self.0.attach_filter(&NOTHING)
        } else {
            self.0.detach_filter()
        };
    }
}

/// Whether packets can be dropped here, or bytes only held back.
pub fn are_real() -> bool {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.attach_filter(&NOTHING).is_ok()
}

/// Drops the socket's packets whenever the weather says so.
pub async fn follow(socket: &Socket, weather: &watch::Sender<Weather>) -> Infallible {
    let mut weather = weather.subscribe();
    loop {
        let drops = *weather.borrow_and_update() == Weather::Dropped;
        socket.drop_packets(drops);
        // The sender lives as long as the proxy.
        let _ = weather.changed().await;
    }
}

/// Ends when connections are forsaken and this is one of them.
pub async fn forsaken(forsaken: &watch::Sender<(usize, String)>, first: &Mutex<Vec<u8>>) {
    let mut forsaken = forsaken.subscribe();
    loop {
        let _ = forsaken.changed().await;
        let is_meant = holds(&lock(first), forsaken.borrow_and_update().1.as_bytes());
        if is_meant {
            return;
        }
    }
}
