//! `/readyz`: 200 while every pipeline gets on, 503 with what is in the way otherwise.

use actix_web::{HttpResponse, Responder, web};
use serde::Serialize;

use crate::daemon::{Readiness, Startup};

#[derive(Serialize)]
struct Answer {
    ready: bool,
    pipelines: Vec<Readiness>,
}

/// Answers from what is known: nothing is asked now, so it answers in an outage, too.
pub(super) async fn readyz(startup: web::Data<Startup>) -> impl Responder {
    let pipelines = startup.readiness();
    let ready = pipelines.iter().all(|pipeline| pipeline.ready);
    let answer = Answer { ready, pipelines };
    if ready {
        HttpResponse::Ok().json(answer)
    } else {
        HttpResponse::ServiceUnavailable().json(answer)
    }
}
