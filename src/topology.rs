//! The map: both branches of a pipeline, tiers downstream first, who is wired to whom.
//!
//! ```text
//! ingest:  producers <- fetchers
//! load:    writers <- transformers <- consumers
//! ```
//!
//! An actor holds addresses of earlier tiers only, so restarting the failed one and all later tiers also rewires. Nobody
//! outside this file names more than one room.

use std::sync::Arc;

use slog::Logger;

use crate::{
    actors::{
        consumer::{Consumer, ConsumerSettings, Routes},
        fetcher::{Fetcher, FetcherSettings, Lender},
        producer::{Producer, ProducerSettings, Transaction},
        transformer::{Transformer, TransformerSettings},
        writer::{Brake, Writer, WriterSettings},
    },
    api::Source,
    config::settings::{Pipeline, Supervision},
    log::{Log, TopicSpec},
    sql::Program,
    store::ConnectInfo,
    supervision::{Branch, BranchHandle, ChildSpec, Placement, Policy, Slots},
    telemetry::Gauges,
};

/// What the actors of one pipeline share.
#[derive(Clone)]
pub struct Wiring {
    /// The pipeline as configured.
    pub pipeline: Arc<Pipeline>,
    /// Its topics.
    pub spec: TopicSpec,
    /// The log between the branches.
    pub log: Arc<dyn Log>,
    /// Where pages come from; `None` = others fill the topic.
    pub source: Option<Source>,
    /// The checked SQL.
    pub program: Arc<Program>,
    /// How to reach PostgreSQL.
    pub connect: Arc<ConnectInfo>,
    /// Who we are in `aqueduct.offsets`.
    pub owner: String,
    /// See [`FetcherSettings::frozen_now_ms`].
    pub frozen_now_ms: Option<i64>,
    /// Live numbers.
    pub gauges: Arc<Gauges>,
}

/// API -> log. `None` where nothing is fetched.
pub fn ingest_branch(wiring: &Wiring, supervision: &Supervision, logger: &Logger) -> Option<BranchHandle> {
    let Wiring {
        pipeline,
        spec,
        log,
        gauges,
        frozen_now_ms,
        ..
    } = wiring.clone();
    let source = wiring.source.clone()?;
    let actors = pipeline.actors;
    let lenders = Slots::<Lender>::new(actors.producers);
    let transaction = Transaction {
        records: pipeline.batch.rows,
        bytes: pipeline.batch.bytes,
    };
    let producer = ProducerSettings {
        log,
        spec,
        transaction,
        gauges: gauges.clone(),
    };
    let fetcher = FetcherSettings {
        source,
        max_unanswered_records: 2 * transaction.records,
        max_unanswered_bytes: 2 * transaction.bytes,
        frozen_now_ms,
        gauges,
    };

    let mut branch = Branch::new(format!("{}/ingest", pipeline.name), Policy::from(supervision), logger);
    for index in 0..actors.producers {
        let (settings, slots) = (producer.clone(), lenders.clone());
        let spec = ChildSpec::new("producer", index, 0, Placement::Shared, move |life| {
            Ok(Producer::new(life, settings.clone()))
        });
        branch = branch.child(spec.published(move |producer| {
            slots.put(
                index,
                Lender {
                    lend: producer.clone().recipient(),
                    produce: producer.recipient(),
                },
            );
        }));
    }
    for index in 0..actors.fetchers {
        let (settings, slots) = (fetcher.clone(), lenders.clone());
        branch = branch.child(ChildSpec::new("fetcher", index, 1, Placement::Shared, move |life| {
            Ok(Fetcher::new(life, settings.clone(), slots.all()))
        }));
    }
    Some(branch.start())
}

/// Log -> PostgreSQL.
pub fn load_branch(wiring: &Wiring, supervision: &Supervision, logger: &Logger) -> BranchHandle {
    let Wiring {
        pipeline,
        spec,
        log,
        program,
        connect,
        owner,
        gauges,
        ..
    } = wiring.clone();
    let actors = pipeline.actors;
    let writers = Slots::new(actors.writers);
    let transformers = Slots::new(actors.transformers);
    let routes = Routes::new(actors.transformers, actors.writers);
    let tables = pipeline.tables.iter().map(|table| table.name.clone()).collect();
    let brake = Arc::new(Brake::new(pipeline.dead_letters_max));
    let (limits, name) = (pipeline.batch, pipeline.name.clone());
    // A batch for each transformer and each writer keeps all of them busy; more would only take memory.
    let num_batches = (actors.transformers + actors.writers).div_ceil(actors.consumers.max(1));
    let budget_bytes = limits.bytes.saturating_mul(num_batches);
    let writer = WriterSettings {
        pipeline,
        program: program.clone(),
        connect: connect.clone(),
        brake,
        gauges: gauges.clone(),
    };
    let transformer = TransformerSettings { program, tables };
    let consumer = ConsumerSettings {
        log,
        spec,
        limits,
        budget_bytes,
        connect,
        owner,
        routes,
        stall_after: supervision.stall_after,
        gauges,
    };

    let mut branch = Branch::new(format!("{name}/load"), Policy::from(supervision), logger);
    for index in 0..actors.writers {
        let (settings, slots) = (writer.clone(), writers.clone());
        let spec = ChildSpec::new("writer", index, 0, Placement::Own, move |life| {
            Ok(Writer::new(life, settings.clone()))
        });
        branch = branch.child(spec.published(move |writer| slots.put(index, writer.recipient())));
    }
    for index in 0..actors.transformers {
        let (settings, slots, writers) = (transformer.clone(), transformers.clone(), writers.clone());
        let spec = ChildSpec::new("transformer", index, 1, Placement::Own, move |life| {
            Ok(Transformer::new(life, settings.clone(), writers.all())?)
        });
        branch = branch.child(spec.published(move |transformer| slots.put(index, transformer.recipient())));
    }
    for index in 0..actors.consumers {
        let (settings, slots) = (consumer.clone(), transformers.clone());
        let spec = ChildSpec::new("consumer", index, 2, Placement::Shared, move |life| {
            Ok(Consumer::new(life, settings.clone(), slots.all()))
        });
        branch = branch.child(spec.drains(true));
    }
    branch.start()
}
