//! The daemon's door: the dashboard's and the CLI's questions over HTTP, on the loopback unless told otherwise.

mod metrics;
mod offsets;
mod process;
mod ready;
mod status;

use std::{io, net::SocketAddr, sync::Arc};

use actix_web::{App, HttpResponse, HttpServer, Responder, ResponseError, dev::ServerHandle, http::StatusCode, web};

pub use status::{PipelineStatus, Status};

use crate::daemon::{RunningPipeline, Startup};

type Pipelines = Arc<[Arc<RunningPipeline>]>;

/// The answer to give before the pipelines run: 503, and what the start waits for.
#[derive(Debug, thiserror::Error)]
#[error("{0}\n")]
struct NotYet(String);

impl ResponseError for NotYet {
    fn status_code(&self) -> StatusCode {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

fn running(startup: &Startup) -> Result<Pipelines, NotYet> {
    startup.running().ok_or_else(|| NotYet(startup.sentence()))
}

/// Opens the door, also to a daemon that still starts. It has a thread of its own and never touches the data path.
pub fn open(address: SocketAddr, startup: Arc<Startup>) -> io::Result<ServerHandle> {
    let startup = web::Data::from(startup);
    let app = move || {
        App::new()
            .app_data(startup.clone())
            .route("/healthz", web::get().to(healthz))
            .route("/readyz", web::get().to(ready::readyz))
            .route("/metrics", web::get().to(metrics::metrics))
            .route("/status", web::get().to(status))
            .route("/resume", web::post().to(resume))
            .route("/offsets", web::get().to(offsets::show))
            .route("/offsets/skip", web::post().to(offsets::skip))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .bind(address)?
        .run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Ok(handle)
}

/// The process answers. Whether work gets on is another question.
async fn healthz() -> impl Responder {
    HttpResponse::Ok().body("ok\n")
}

async fn status(startup: web::Data<Startup>) -> Result<HttpResponse, NotYet> {
    let pipelines = running(&startup)?;
    Ok(match web::block(move || Status::read(&pipelines)).await {
        Ok(status) => HttpResponse::Ok().json(status),
        Err(error) => HttpResponse::InternalServerError().body(format!("{error}\n")),
    })
}

#[derive(serde::Deserialize)]
struct Which {
    pipeline: Option<String>,
}

async fn resume(startup: web::Data<Startup>, which: web::Query<Which>) -> Result<HttpResponse, NotYet> {
    let pipelines = running(&startup)?;
    let named = |pipeline: &&Arc<RunningPipeline>| which.pipeline.as_deref().is_none_or(|name| name == pipeline.name());
    let chosen: Vec<_> = pipelines.iter().filter(named).collect();
    if chosen.is_empty() {
        return Ok(HttpResponse::NotFound().body("no pipeline has that name\n"));
    }
    chosen.iter().for_each(|pipeline| pipeline.resume());
    Ok(HttpResponse::NoContent().finish())
}
