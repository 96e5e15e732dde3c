//! A PostgreSQL server of our own, for the first step of the ladder: the system's programs, or fetched ones, a private
//! directory, a unix socket.
//!
//! It is a real server, and what is committed survives. It runs in a process group of its own, so that Ctrl-C reaches the
//! daemon alone and the daemon can drain; a daemon that is killed leaves it running, and the next one takes it over.

mod archive;
mod binaries;
mod cache;
mod error;
mod home;
mod server;

use std::{
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread::JoinHandle,
    time::Duration,
};

pub use binaries::Binaries;
pub use error::EmbeddedError;
pub use server::Server;
use slog::{Logger, error, info};

use crate::config::settings::{PostgresPrograms, Secret};

/// How often the keeper looks after the server.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A server that is started again when it dies, and stopped when this is dropped.
pub struct EmbeddedPostgres {
    url: Secret,
    psql_line: String,
    base_dir: PathBuf,
    keeper: Option<(mpsc::Sender<Order>, JoinHandle<()>)>,
}

enum Order {
    Stop,
    Erase,
}

impl EmbeddedPostgres {
    /// Starts the server of `state_dir` and keeps it running. Blocks until it answers.
    pub fn start(state_dir: &Path, log: &Logger) -> Result<Self, EmbeddedError> {
        Self::start_with(state_dir, &PostgresPrograms::default(), log)
    }

    /// The same, with the programs that the configuration asks for. Fetching them may take minutes, once.
    pub fn start_with(state_dir: &Path, programs: &PostgresPrograms, log: &Logger) -> Result<Self, EmbeddedError> {
        let server = Server::start_with(state_dir, programs, log, &[])?;
        let (url, psql_line) = (server.url(), server.psql_line());
        let base_dir = server.base_dir().to_owned();
        let (orders, inbox) = mpsc::channel();
        let log = log.clone();
        let keep = move || keep(server, &inbox, &log);
        let thread = std::thread::Builder::new()
            .name(String::from("embedded-pg"))
            .spawn(keep);
        let thread = thread.map_err(|source| EmbeddedError::Prepare {
            path: base_dir.clone(),
            source,
        })?;
        Ok(Self {
            url,
            psql_line,
            base_dir,
            keeper: Some((orders, thread)),
        })
    }

    /// The address of its database.
    pub fn url(&self) -> Secret {
        self.url.clone()
    }

    /// What a person types to look into it.
    pub fn psql_line(&self) -> String {
        self.psql_line.clone()
    }

    /// The directory that holds everything of it: `postgres` in the state directory, or below `/var/lib/aqueduct` where
    /// root's state directory is closed to the server's user.
    pub fn base_dir(&self) -> &Path {
        &self.base_dir
    }

    /// Stops it in order. Blocks.
    pub fn stop(mut self) {
        self.end(Order::Stop);
    }

    /// Stops it and removes all that it has ever written. Blocks.
    pub fn erase(mut self) {
        self.end(Order::Erase);
    }

    fn end(&mut self, order: Order) {
        if let Some((orders, thread)) = self.keeper.take() {
            // A keeper that is gone has nothing left to stop.
            let _ = orders.send(order);
            let _ = thread.join();
        }
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        self.end(Order::Stop);
    }
}

fn keep(mut server: Server, inbox: &mpsc::Receiver<Order>, log: &Logger) {
    let order = loop {
        match inbox.recv_timeout(LOOK_EVERY) {
            Err(RecvTimeoutError::Timeout) if server.is_running() => {}
            Err(RecvTimeoutError::Timeout) => {
                error!(log, "embedded PostgreSQL has died and is started again");
                if let Err(error) = server.run() {
                    error!(log, "embedded PostgreSQL does not start"; "error" => %error);
                }
            }
            Ok(order) => break order,
            Err(RecvTimeoutError::Disconnected) => break Order::Stop,
        }
    };
    let outcome = server.stop().and_then(|()| match order {
        Order::Stop => Ok(()),
        Order::Erase => server.erase(),
    });
    match outcome {
        Ok(()) => info!(log, "embedded PostgreSQL has stopped"),
        Err(error) => error!(log, "embedded PostgreSQL was not stopped"; "error" => %error),
    }
}
