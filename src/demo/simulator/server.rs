//! Runs the API: on a thread of its own, or as a future.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::Ordering, mpsc},
    thread::JoinHandle,
};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle},
    middleware::Compress,
    rt::System,
    web,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Options, handler::routes, state::State};

const NUM_WORKERS: usize = 2;

/// A simulated API that runs on threads of its own, until it is dropped.
pub struct Simulator {
    /// Where it listens.
    pub addr: SocketAddr,
    state: Arc<State>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts it. Answers from the first moment after this returns. Callable from anywhere, also within a runtime.
    pub fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen)?;
        let addr = listener.local_addr()?;
        let state = Arc::new(State::new(options));
        let (started, outcome) = mpsc::sync_channel(1);
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("simulator".to_owned())
            .spawn(move || {
                System::new().block_on(async move {
                    match server(listener, shared) {
                        Ok(server) => {
                            // Nobody listens when `start` has already given up.
                            let _ = started.send(Ok(server.handle()));
                            // The handle's owner hears of nothing after its stop.
                            let _ = server.await;
                        }
                        Err(error) => drop(started.send(Err(error))),
                    }
                });
            })?;
        let handle = outcome
            .recv()
            .map_err(|_| io::Error::other("the simulator's thread ended"))??;
        Ok(Self {
            addr,
            state,
            handle,
            thread: Some(thread),
        })
    }

    /// The address of the newest version: `http://127.0.0.1:PORT/api/`.
    pub fn url(&self) -> String {
        format!("http://{}/api/", self.addr)
    }

    /// Begins or ends an outage: every request is answered with `fail_status`.
    pub fn set_outage(&self, outage: bool) {
        self.state.outage.store(outage, Ordering::SeqCst);
    }

    /// How many requests came in for a known version, failed ones included.
    pub fn num_requests(&self) -> u64 {
        self.state.num_requests()
    }

    /// How many records went out, by seed and page, repeats counted again. Needs `remember`.
    pub fn served(&self) -> BTreeMap<(String, u64), u64> {
        self.state.records()
    }

    /// The ids of all users that went out, repeats included. Needs `remember`.
    pub fn served_uuids(&self) -> Vec<Uuid> {
        self.state.uuids()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // The command is sent by the call itself; the thread's end is the answer.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed there; dropping must not panic.
            let _ = thread.join();
        }
    }
}

/// Runs a simulated API until `stop`; `ready` hears where it listens.
pub async fn serve(options: Options, stop: CancellationToken, ready: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let listener = TcpListener::bind(options.listen)?;
    let addr = listener.local_addr()?;
    let server = server(listener, Arc::new(State::new(options)))?;
    let handle = server.handle();
    ready(addr);
    let mut server = std::pin::pin!(server);
    tokio::select! {
        ended = &mut server => return ended,
        () = stop.cancelled() => {}
    }
    let stopped = handle.stop(true);
    let (ended, ()) = tokio::join!(server, stopped);
    ended
}

fn server(listener: TcpListener, state: Arc<State>) -> io::Result<Server> {
    let state = web::Data::from(state);
    let app = move || {
        App::new()
            .app_data(state.clone())
            .wrap(Compress::default())
            .configure(routes)
    };
    Ok(HttpServer::new(app)
        .workers(NUM_WORKERS)
        .shutdown_timeout(2)
        .disable_signals()
        .listen(listener)?
        .run())
}
