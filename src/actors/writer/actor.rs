//! How actix runs the writer: one batch at a time, in the order of its mailbox.

use std::sync::Arc;

use actix::{Actor, ActorFutureExt, AtomicResponse, Context, Handler, WrapFuture};

use super::{
    Brake,
    desk::{Desk, Given},
    meter::Meter,
};
use crate::{
    config::settings::Pipeline,
    messages::{Refused, Settled, Write},
    sql::Program,
    store::{
        ConnectInfo,
        load::{Loader, TableSpec},
    },
    supervision::Life,
    telemetry::Gauges,
};

/// What a writer is given at birth.
#[derive(Clone)]
pub struct WriterSettings {
    /// The pipeline as configured.
    pub pipeline: Arc<Pipeline>,
    /// The checked SQL; its output columns are what is written.
    pub program: Arc<Program>,
    /// How to reach PostgreSQL.
    pub connect: Arc<ConnectInfo>,
    /// The brake on dead letters, one for all writers of the pipeline.
    pub brake: Arc<Brake>,
    /// Live numbers for status and metrics.
    pub gauges: Arc<Gauges>,
}

/// See [`super`].
pub struct Writer {
    life: Life,
    /// Away while a batch is written.
    desk: Option<Desk>,
}

impl Writer {
    /// A writer that connects when its first batch comes.
    pub fn new(life: Life, settings: WriterSettings) -> Self {
        let WriterSettings {
            pipeline,
            program,
            connect,
            brake,
            gauges,
        } = settings;
        let tables = pipeline.tables.iter().enumerate();
        let specs = tables.map(|(index, table)| TableSpec {
            table: table.clone(),
            schema: program.output(index),
        });
        let name = format!("{} {}", pipeline.name, life.child());
        let loader = Loader::new(specs.collect()).with_on_nul(program.on_nul());
        let desk = Desk::new(
            life.clone(),
            name,
            connect,
            brake,
            loader,
            Meter::new(gauges, &pipeline),
        );
        Self { life, desk: Some(desk) }
    }
}

impl Actor for Writer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // As in the transformer: batches keep their order, the consumers' limit is the bound.
        ctx.set_mailbox_capacity(0);
    }
}

impl Handler<Write> for Writer {
    /// Atomic: the next batch waits in the mailbox, so batches of a partition are written in order.
    type Result = AtomicResponse<Self, Result<Settled, Refused>>;

    fn handle(&mut self, Write(batch): Write, _ctx: &mut Self::Context) -> Self::Result {
        let desk = self.desk.take();
        let life = self.life.clone();
        let written = async move {
            let Some(mut desk) = desk else {
                life.fail("a second batch came before the first one was written");
                return std::future::pending().await;
            };
            match desk.settle(&batch).await {
                Given::Reply(reply) => (desk, reply),
                // This life is over; whoever waits is restarted after it.
                Given::Up => std::future::pending().await,
            }
        };
        AtomicResponse::new(Box::pin(written.into_actor(self).map(|(desk, reply), writer, _ctx| {
            writer.desk = Some(desk);
            reply
        })))
    }
}
