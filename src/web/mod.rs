//! The daemon's door: the dashboard's and the CLI's questions over HTTP, on the loopback unless told otherwise.

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
            .route("/status", web::get().to(status))
            .route("/resume", web::post().to(resume))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(1).bind(address)?.run();
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

async fn resume(pipelines: web::Data<Pipelines>) -> impl Responder {
    pipelines.iter().for_each(|pipeline| pipeline.resume());
    HttpResponse::NoContent()
}
