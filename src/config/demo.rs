//! The shipped configuration, turned to the simulated API and to what the demo has at hand.

use std::{path::Path, sync::Arc};

use super::{
    Environment, Loaded, Problem, SHIPPED, parse,
    settings::{Settings, Source},
};

/// The main job with `num_records` records of the simulated API at `simulator_url`.
///
/// `kafka` (`host:port,…`) and `postgres` (`postgres://…`) are the user's own; `None` = embedded, in `state_dir`. The HTTP
/// door takes any free port, so that a demo runs beside a daemon. `Err` is about what the user gave.
pub fn demo(
    num_records: u64,
    simulator_url: &str,
    kafka: Option<&str>,
    postgres: Option<&str>,
    state_dir: &Path,
) -> Result<Settings, Vec<Problem>> {
    let process = Environment::of_process();
    let of_process = |name: &'static str| Some((name, process.get(name)?.to_owned()));
    let environment = Environment::of(
        [
            ("AQUEDUCT__DAEMON__STATE_DIR", state_dir.display().to_string()),
            ("AQUEDUCT__DAEMON__HTTP", "127.0.0.1:0".to_owned()),
            ("AQUEDUCT__KAFKA__BROKERS", kafka.unwrap_or("embedded").to_owned()),
            ("AQUEDUCT__POSTGRES__URL", postgres.unwrap_or("embedded").to_owned()),
            ("AQUEDUCT__PIPELINE__0__SOURCE__URL", simulator_url.to_owned()),
            (
                "AQUEDUCT__PIPELINE__0__SOURCE__PAGINATE__MAX_RECORDS",
                num_records.to_string(),
            ),
        ]
        .into_iter()
        // How the embedded server is had is the machine's affair, not the demo's.
        .chain(
            ["AQUEDUCT__POSTGRES__BINARIES", "AQUEDUCT__POSTGRES__MIRROR"]
                .into_iter()
                .filter_map(of_process),
        ),
    );
    let Loaded { mut settings, .. } = parse(Path::new("config.toml"), SHIPPED, &environment).map_err(options)?;
    // Once more, as it is: a path need not be text.
    settings.daemon.state_dir = state_dir.to_owned();
    for pipeline in &mut settings.pipelines {
        // The real server's limit; the simulated one has none unless it is asked for.
        if let Source::Http(http) = &mut Arc::make_mut(pipeline).source {
            http.rate = None;
        }
    }
    Ok(settings)
}

/// The user knows options, not the variables behind them.
fn options(mut problems: Vec<Problem>) -> Vec<Problem> {
    for problem in &mut problems {
        let option = match problem.key.as_str() {
            "AQUEDUCT__KAFKA__BROKERS" => "--kafka",
            "AQUEDUCT__POSTGRES__URL" => "--postgres",
            "AQUEDUCT__PIPELINE__0__SOURCE__PAGINATE__MAX_RECORDS" => "--records",
            _ => continue,
        };
        problem.file = "aqueduct demo".to_owned();
        problem.key = option.to_owned();
    }
    problems
}
