//! The guided run: everything embedded unless given, progress to watch, the ledger, some rows, how to look further.

use comfy_table::{Table, presets};
use diesel::{RunQueryDsl, sql_query, sql_types::Text};
use slog::Logger;

use super::{progress, simulator::Simulator};
use crate::{
    config,
    daemon::{Daemon, Mode},
    service::{Ended, Exit, compile, ledger, serve},
    store::Session,
    supervision::BoxError,
};

/// What `aqueduct demo` was told.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// How many records to move.
    pub records: u64,
    /// Stay up afterwards, until a signal.
    pub keep: bool,
    /// Bootstrap address of an Apache Kafka; `None` = the embedded log.
    pub kafka: Option<String>,
    /// URL of a PostgreSQL; `None` = an embedded server.
    pub postgres: Option<String>,
}

/// Runs it.
pub async fn guided(options: DemoOptions, log: &Logger) -> Exit {
    match try_guided(options, log).await {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("the demo cannot run: {}", crate::supervision::chain(error.as_ref()));
            Exit::Unavailable
        }
    }
}

async fn try_guided(options: DemoOptions, log: &Logger) -> Result<Exit, BoxError> {
    // The embedded server runs as another user when we are root: it has to get through to its data.
    let state = tempfile::Builder::new()
        .prefix("aqueduct-demo-")
        .permissions(shared_folder())
        .tempdir()?;
    let simulator = Simulator::start(Default::default())?;
    let DemoOptions {
        records,
        keep,
        kafka,
        postgres,
    } = options;
    let place = |given: &Option<String>, embedded: &str| given.clone().unwrap_or_else(|| embedded.to_owned());
    println!(
        "moving {} records: {} -> {} -> {}",
        ledger::thousands(records),
        simulator.url(),
        place(&kafka, "the embedded log"),
        if postgres.is_some() {
            "your PostgreSQL"
        } else {
            "an embedded PostgreSQL"
        },
    );
    let settings = config::demo(
        records,
        &simulator.url(),
        kafka.as_deref(),
        postgres.as_deref(),
        state.path(),
    )
    .map_err(all_problems)?;
    let programs = compile(&settings, &config::Places::default()).map_err(all_problems)?;
    let during = async |daemon: &Daemon| progress::show(daemon, records).await;
    let exit = serve(
        &settings,
        programs,
        Mode::Once,
        log,
        during,
        async |daemon, ended, signals| {
            let exit = match ended {
                Ended::Asked => return Exit::Done,
                Ended::Escalated(reason) => {
                    eprintln!("the demo gave up: {reason}");
                    Exit::Escalated
                }
                Ended::Drained(reports) => {
                    for report in reports {
                        println!("\n{}", ledger::render(report));
                    }
                    match sample(daemon) {
                        Ok(table) => println!("\nsome of the rows:\n{table}"),
                        Err(error) => eprintln!(
                            "cannot read the rows back: {}",
                            crate::supervision::chain(error.as_ref())
                        ),
                    }
                    if reports.iter().all(|report| report.gap.is_none()) {
                        Exit::Done
                    } else {
                        Exit::Escalated
                    }
                }
            };
            println!("\n{}", look_further(daemon, keep));
            if keep {
                signals.stop.cancelled().await;
            }
            exit
        },
    )
    .await;
    Ok(exit)
}

fn shared_folder() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o755)
}

fn all_problems(problems: Vec<config::Problem>) -> BoxError {
    problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
        .into()
}

#[derive(diesel::QueryableByName)]
struct Sample {
    #[diesel(sql_type = Text)]
    uuid: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    email: String,
    #[diesel(sql_type = Text)]
    place: String,
    #[diesel(sql_type = Text)]
    born: String,
}

fn sample(daemon: &Daemon) -> Result<Table, BoxError> {
    let mut session = Session::connect(daemon.connect_info(), "demo")?;
    let rows: Vec<Sample> = sql_query(
        "SELECT uuid::text AS uuid, concat_ws(' ', first_name, last_name) AS name, coalesce(email, '') AS email, \
         concat_ws(', ', city, country) AS place, coalesce(born_at::date::text, '') AS born FROM users ORDER BY uuid LIMIT 5",
    )
    .load(session.conn())?;
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .set_header(["uuid", "name", "email", "place", "born"]);
    for row in rows {
        table.add_row([row.uuid, row.name, row.email, row.place, row.born]);
    }
    Ok(table)
}

fn look_further(daemon: &Daemon, keep: bool) -> String {
    match daemon.embedded_postgres() {
        Some(server) if keep => format!(
            "look further:\n  {}\nit stays up until you press Ctrl-C",
            server.psql_line()
        ),
        Some(server) => format!(
            "look further: with --keep (make demo ARGS=--keep) it stays up, and this line leads in:\n  {}",
            server.psql_line()
        ),
        None => {
            "look further:\n  psql YOUR_URL -c 'SELECT * FROM users LIMIT 5' -c 'SELECT * FROM aqueduct.offsets'".into()
        }
    }
}
