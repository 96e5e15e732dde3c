//! Where partitions stand, and the explicit way on for those that have stopped.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::{NotYet, running};
use crate::{
    daemon::{ChangeError, SkipRequest, SkipTo, Startup},
    supervision::{BoxError, chain},
};

/// All partitions of all pipelines, as `aqueduct offsets show --json` prints them.
pub(super) async fn show(startup: web::Data<Startup>) -> Result<HttpResponse, NotYet> {
    let pipelines = running(&startup)?;
    let read = move || -> Result<Vec<_>, BoxError> {
        let mut positions = Vec::new();
        for pipeline in pipelines.iter() {
            positions.extend(pipeline.positions()?);
        }
        Ok(positions)
    };
    Ok(match web::block(read).await {
        Ok(Ok(positions)) => HttpResponse::Ok().json(positions),
        Ok(Err(error)) => HttpResponse::ServiceUnavailable().body(format!("{}\n", chain(error.as_ref()))),
        Err(error) => HttpResponse::InternalServerError().body(format!("{error}\n")),
    })
}

/// The question of a skip.
#[derive(Deserialize)]
pub(super) struct Question {
    pipeline: String,
    partition: i32,
    to: String,
    by: Option<String>,
}

/// Skips, and answers with what was skipped; 409 and a sentence where it would be wrong.
pub(super) async fn skip(startup: web::Data<Startup>, question: web::Query<Question>) -> Result<HttpResponse, NotYet> {
    let pipelines = running(&startup)?;
    let Question {
        pipeline,
        partition,
        to,
        by,
    } = question.into_inner();
    let Some(pipeline) = pipelines.iter().find(|known| known.name() == pipeline).map(Arc::clone) else {
        return Ok(HttpResponse::NotFound().body(format!("no pipeline is called {pipeline:?}\n")));
    };
    let to: SkipTo = match to.parse() {
        Ok(to) => to,
        Err(problem) => return Ok(HttpResponse::BadRequest().body(format!("{problem}\n"))),
    };
    let by = by.unwrap_or_else(|| "somebody at the daemon's door".into());
    let request = SkipRequest { partition, to, by };
    Ok(match web::block(move || pipeline.skip(&request)).await {
        Ok(Ok(skipped)) => HttpResponse::Ok().json(skipped),
        Ok(Err(ChangeError::Refused(sentence))) => HttpResponse::Conflict().body(format!("{sentence}\n")),
        Ok(Err(error)) => HttpResponse::ServiceUnavailable().body(format!("{}\n", chain(&error))),
        Err(error) => HttpResponse::InternalServerError().body(format!("{error}\n")),
    })
}
