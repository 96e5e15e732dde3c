//! How actix runs the transformer.

use std::sync::Arc;

use actix::{Actor, Context, Handler, Recipient, ResponseFuture};

use super::transform::transform;
use crate::{
    messages::{RawBatch, Refused, RowBatch, Settled, Transform, Write},
    sql::{Engine, EngineError, Program},
    supervision::Life,
};

/// What a transformer is given at birth.
#[derive(Clone)]
pub struct TransformerSettings {
    /// The checked SQL.
    pub program: Arc<Program>,
    /// The tables' names, in the program's order.
    pub tables: Arc<[String]>,
}

/// See [`super`].
pub struct Transformer {
    life: Life,
    settings: TransformerSettings,
    engine: Engine,
    writers: Vec<Recipient<Write>>,
}

impl Transformer {
    /// A transformer with plans of its own, and the writers that its batches may go to.
    pub fn new(life: Life, settings: TransformerSettings, writers: Vec<Recipient<Write>>) -> Result<Self, EngineError> {
        let engine = settings.program.engine()?;
        Ok(Self {
            life,
            settings,
            engine,
            writers,
        })
    }

    fn transform(&mut self, batch: RawBatch) -> Result<RowBatch, EngineError> {
        let (rows, rejected) = transform(
            &mut self.engine,
            &batch.claim.key,
            &batch.records,
            &self.settings.tables,
        )?;
        Ok(RowBatch {
            claim: batch.claim,
            expected_offset: batch.expected_offset,
            next_offset: batch.next_offset,
            records: batch.records,
            rows,
            rejected,
            identity: batch.identity,
        })
    }
}

impl Actor for Transformer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Without a bound a message is in the mailbox as soon as it is sent, and batches keep their order; the consumers'
        // limit on unsettled batches is the bound.
        ctx.set_mailbox_capacity(0);
    }
}

impl Handler<Transform> for Transformer {
    type Result = ResponseFuture<Result<Settled, Refused>>;

    fn handle(&mut self, Transform(batch): Transform, _ctx: &mut Self::Context) -> Self::Result {
        let work = self.life.progress().work();
        let route = batch.claim.route;
        match self.transform(batch) {
            Ok(rows) => {
                self.life.progress().mark();
                drop(work);
                // Pushed into the writer's mailbox here and now: batches of a partition keep their order.
                let request = self.writers[route.writer % self.writers.len()].send(Write(rows));
                Box::pin(async move {
                    match request.await {
                        Ok(reply) => reply,
                        // The writer has ended; this transformer and its consumer are restarted after it.
                        Err(_) => Err(Refused::Lost),
                    }
                })
            }
            Err(error) => {
                self.life.fail(error);
                Box::pin(std::future::pending())
            }
        }
    }
}
