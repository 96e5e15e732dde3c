//! What is made before the branches run: the SQL, PostgreSQL, the log, the wiring.

use std::{sync::Arc, time::Duration};

use slog::Logger;
use tokio_util::sync::CancellationToken;

use super::{Mode, Startup};
use crate::{
    api::{self, exec::ExecSource, http::HttpSource},
    config::{
        process_name,
        settings::{Brokers, Pipeline, PostgresUrl, Settings, Source},
    },
    log::{
        Log, LogError, TopicSpec,
        embedded::{EmbeddedLog, Retention},
        kafka::KafkaLog,
    },
    model::Verdict,
    sql,
    store::{ConnectInfo, embedded::EmbeddedPostgres},
    supervision::{Backoff, BoxError, chain},
    telemetry::Gauges,
    topology::Wiring,
};

/// A pipeline's checked SQL.
pub type Program = Arc<sql::Program>;

/// The most memory that the plans of one transformer may take.
const ENGINE_MEMORY_BYTES: usize = 512 << 20;

/// Why a daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Something of the operator's has to be changed.
    #[error("cannot start: {what}")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// The cause.
        source: BoxError,
    },
    /// It was told to stop before it had started.
    #[error("stopped before it had started")]
    Cancelled,
}

fn refused(what: &'static str) -> impl FnOnce(BoxError) -> StartError {
    move |source| StartError::Refused { what, source }
}

/// Compiles a pipeline's schema and SQL; all problems at once.
pub fn compile(pipeline: &Pipeline) -> Result<Program, Vec<sql::DeclarationProblem>> {
    sql::Program::compile(&sql::Declaration {
        schema: pipeline.schema.clone(),
        tables: pipeline
            .tables
            .iter()
            .map(|table| sql::TableQuery {
                table: table.name.clone(),
                sql: table.sql.clone(),
            })
            .collect(),
        on_nul: match pipeline.on_nul {
            crate::config::settings::OnNul::Reject => sql::OnNul::Reject,
            crate::config::settings::OnNul::Strip => sql::OnNul::Strip,
            crate::config::settings::OnNul::Replace => sql::OnNul::Replace,
        },
        memory_limit_bytes: ENGINE_MEMORY_BYTES,
    })
}

/// Starts the embedded server where the configuration asks for it.
pub(super) async fn connect_info(
    settings: &Settings,
    log: &Logger,
) -> Result<(Arc<ConnectInfo>, Option<EmbeddedPostgres>), StartError> {
    let synchronous_commit = settings.postgres.synchronous_commit;
    match &settings.postgres.url {
        PostgresUrl::Url(url) => Ok((Arc::new(ConnectInfo::new(url.clone(), synchronous_commit)), None)),
        PostgresUrl::Embedded => {
            let (folder, log) = (settings.daemon.state_dir.join("postgres"), log.clone());
            let programs = settings.postgres.programs.clone();
            let start = move || EmbeddedPostgres::start_with(&folder, &programs, &log);
            let server = tokio::task::spawn_blocking(start)
                .await
                .map_err(|error| error.into())
                .and_then(|started| started.map_err(BoxError::from))
                .map_err(refused("the embedded PostgreSQL"))?;
            Ok((
                Arc::new(ConnectInfo::new(server.url(), synchronous_commit)),
                Some(server),
            ))
        }
    }
}

/// Brings the database up to date. A server that is away is waited for.
pub(super) async fn migrate(
    settings: &Settings,
    connect: &Arc<ConnectInfo>,
    log: &Logger,
    startup: &Startup,
    cancel: &CancellationToken,
) -> Result<(), StartError> {
    let mut backoff = Backoff::outage();
    loop {
        let (info, folder) = (connect.clone(), settings.postgres.migrations.clone());
        let migrated = tokio::task::spawn_blocking(move || crate::store::migrate(&info, folder.as_deref())).await;
        let error = match migrated.map_err(|error| refused("the migrations")(error.into()))? {
            Ok(applied) => {
                for name in applied {
                    slog::info!(log, "migrated"; "migration" => name);
                }
                startup.waits_no_more();
                return Ok(());
            }
            Err(error) if error.verdict() == Verdict::Retry => error,
            Err(error) => return Err(refused("the migrations")(error.into())),
        };
        let reason = chain(&error);
        slog::warn!(log, "waiting for PostgreSQL"; "reason" => &reason);
        startup.waits_for_postgres(connect.place(), reason);
        tokio::select! {
            () = cancel.cancelled() => return Err(StartError::Cancelled),
            () = tokio::time::sleep(backoff.delay()) => {}
        }
    }
}

/// Opens the log that the configuration names. Giving back the space of a large file takes its time.
pub(super) async fn open_log(settings: &Settings, log: &Logger) -> Result<Arc<dyn Log>, StartError> {
    let (kafka, file) = (settings.kafka.clone(), settings.daemon.state_dir.join("log.redb"));
    let log = log.clone();
    let open = move || -> Result<Arc<dyn Log>, LogError> {
        match &kafka.brokers {
            Brokers::Embedded => Ok(Arc::new(EmbeddedLog::open(&file, Retention::default())?)),
            Brokers::Hosts(brokers) => Ok(Arc::new(KafkaLog::new(brokers, &kafka.properties, log)?)),
        }
    };
    tokio::task::spawn_blocking(open)
        .await
        .map_err(BoxError::from)
        .and_then(|opened| opened.map_err(BoxError::from))
        .map_err(refused("the log"))
}

/// What a pipeline fetches from; `None` = others fill its topic.
pub(super) fn source(pipeline: &Pipeline, logger: &Logger) -> Result<Option<api::Source>, StartError> {
    Ok(match &pipeline.source {
        Source::None => None,
        Source::Http(http) => {
            let source = HttpSource::new(http, logger.clone());
            let source = source.map_err(|error| refused("the HTTP source")(error.into()))?;
            Some(api::Source::Http(source))
        }
        Source::Exec(exec) => Some(ExecSource::new(exec, pipeline.batch, logger.clone()).into()),
    })
}

/// A pipeline's topics.
pub(super) fn spec(pipeline: &Pipeline, source: Option<&api::Source>) -> TopicSpec {
    let count = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    TopicSpec {
        pipeline: pipeline.name.clone(),
        topic: pipeline.topic.name.clone(),
        num_partitions: count(pipeline.topic.partitions),
        replication: count(pipeline.topic.replication),
        shards: source.map(|source| source.shards()).unwrap_or_default().into(),
    }
}

/// Puts together what the actors of a pipeline share.
pub(super) fn wire(
    pipeline: &Arc<Pipeline>,
    program: Program,
    log: Arc<dyn Log>,
    connect: Arc<ConnectInfo>,
    mode: Mode,
    logger: &Logger,
) -> Result<Wiring, StartError> {
    let source = source(pipeline, logger)?;
    let spec = spec(pipeline, source.as_ref());
    let frozen_now_ms = (mode == Mode::Once).then(|| chrono::Utc::now().timestamp_millis());
    let owner = process_name();
    let (pipeline, gauges) = (pipeline.clone(), Arc::new(Gauges::default()));
    Ok(Wiring {
        pipeline,
        spec,
        log,
        source,
        program,
        connect,
        owner,
        frozen_now_ms,
        gauges,
    })
}

/// How often a wait looks again.
pub(super) const LOOK: Duration = Duration::from_millis(200);
