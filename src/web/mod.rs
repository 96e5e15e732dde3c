//! The daemon's door: the dashboard's and the CLI's questions over HTTP, on the loopback unless told otherwise.

mod metrics;
mod offsets;
mod process;
mod ready;
mod status;

use std::{io, net::SocketAddr, sync::Arc};

use actix_web::{App, HttpResponse, HttpServer, Responder, dev::ServerHandle, web};

pub use status::{PipelineStatus, Status};

use crate::daemon::RunningPipeline;

type Pipelines = Arc<[Arc<RunningPipeline>]>;

/// Opens the door. It has a thread of its own and never touches the data path.
pub fn open(address: SocketAddr, pipelines: &[Arc<RunningPipeline>]) -> io::Result<ServerHandle> {
    let pipelines: Pipelines = pipelines.into();
    let app = move || {
        App::new()
            .app_data(web::Data::new(pipelines.clone()))
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

async fn status(pipelines: web::Data<Pipelines>) -> impl Responder {
    let pipelines = pipelines.get_ref().clone();
    match web::block(move || Status::read(&pipelines)).await {
        Ok(status) => HttpResponse::Ok().json(status),
        Err(error) => HttpResponse::InternalServerError().body(format!("{error}\n")),
    }
}

#[derive(serde::Deserialize)]
struct Which {
    pipeline: Option<String>,
}

async fn resume(pipelines: web::Data<Pipelines>, which: web::Query<Which>) -> impl Responder {
    let named = |pipeline: &&Arc<RunningPipeline>| which.pipeline.as_deref().is_none_or(|name| name == pipeline.name());
    let chosen: Vec<_> = pipelines.iter().filter(named).collect();
    if chosen.is_empty() {
        return HttpResponse::NotFound().body("no pipeline has that name\n");
    }
    chosen.iter().for_each(|pipeline| pipeline.resume());
    HttpResponse::NoContent().finish()
}
