//! `aqueduct status`: asks the daemon's door.

use std::time::Duration;

use comfy_table::{Table, presets};
use serde_json::Value;

use crate::{
    config::settings::Settings,
    service::{Exit, ledger::thousands},
    supervision::chain,
};

const TIMEOUT: Duration = Duration::from_secs(15);

/// Tells the daemon to try what is parked, now.
pub async fn resume(settings: &Settings, pipeline: Option<&str>) -> Exit {
    let Some(address) = settings.daemon.http else {
        eprintln!("the daemon has no door: daemon.http is empty; set it, and restart the daemon");
        return Exit::Unavailable;
    };
    let query = pipeline.map(|name| format!("?pipeline={name}")).unwrap_or_default();
    let asked = async {
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        let answer = client.post(format!("http://{address}/resume{query}")).send().await?;
        let (status, said) = (answer.status(), answer.text().await?);
        reqwest::Result::Ok((status, said))
    };
    match asked.await {
        Ok((status, _)) if status.is_success() => Exit::Done,
        Ok((status, said)) => {
            eprintln!(
                "the daemon at {address} (daemon.http) did not take it: {}: {}",
                status.as_u16(),
                said.trim()
            );
            Exit::Unavailable
        }
        Err(error) => {
            eprintln!(
                "the daemon at {address} (daemon.http) did not take it: {}",
                chain(&error)
            );
            Exit::Unavailable
        }
    }
}

/// Prints what the daemon says about itself; `json` as it came.
pub async fn status(settings: &Settings, json: bool) -> Exit {
    let Some(address) = settings.daemon.http else {
        eprintln!("the daemon has no door: daemon.http is empty; set it, and restart the daemon");
        return Exit::Unavailable;
    };
    let status = match ask(&format!("http://{address}/status")).await {
        Ok(status) => status,
        Err(error) => {
            eprintln!("no daemon answers at {address} (daemon.http): {}", chain(&error));
            return Exit::Unavailable;
        }
    };
    let status = match status {
        Ok(status) => status,
        Err(not_yet) => {
            eprintln!("{not_yet}");
            return Exit::Unavailable;
        }
    };
    if json {
        println!("{status:#}");
    } else {
        println!("{}", render(&status));
    }
    Exit::Done
}

/// The status, or what a daemon says that still starts.
async fn ask(url: &str) -> Result<Result<Value, String>, reqwest::Error> {
    // No proxy: the door is on this machine, or where the operator put it.
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
    let answer = client.get(url).send().await?;
    if answer.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE {
        return Ok(Err(answer.text().await?.trim().to_owned()));
    }
    let body = answer.error_for_status()?.bytes().await?;
    Ok(Ok(serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

fn render(status: &Value) -> String {
    let mut text = format!("aqueduct {} (pid {})", plain(&status["version"]), plain(&status["pid"]));
    for pipeline in status["pipelines"].as_array().into_iter().flatten() {
        text.push_str(&format!("\n\npipeline {}\n", plain(&pipeline["name"])));
        if let Some(reason) = pipeline["unreadable"].as_str() {
            text.push_str(&format!("the ledger cannot be read: {reason}\n"));
        }
        for problem in pipeline["problems"].as_array().into_iter().flatten() {
            let [what, place, since, reason, remedy] =
                ["what", "place", "since", "reason", "remedy"].map(|of| plain(&problem[of]));
            text.push_str(&format!(
                "NOT READY: {what} {place} since {since}: {reason}\n  {remedy}\n"
            ));
        }
        if let Some(ledger) = pipeline["ledger"].as_object() {
            let names = [
                "fetched", "produced", "consumed", "applied", "filtered", "dead", "skipped", "pending",
            ];
            let numbers = names.map(|name| ledger.get(name).and_then(Value::as_u64).map_or("-".into(), thousands));
            text.push_str(&format!("{}\n", table(&names, [numbers.to_vec()])));
        }
        for lost in pipeline["lost"].as_array().into_iter().flatten() {
            text.push_str(&format!(
                "PARTITION {} HAS STOPPED: {}\n  topic {}, offsets {} to {}\n  to go on: {}\n",
                plain(&lost["partition"]),
                plain(&lost["found"]),
                plain(&lost["topic"]),
                plain(&lost["from"]),
                lost["to"].as_i64().map_or("unknown".into(), |to| to.to_string()),
                plain(&lost["remedy"]),
            ));
        }
        if pipeline["ledger"]["uncounted_skips"]
            .as_u64()
            .is_some_and(|num| num > 0)
        {
            text.push_str(&format!(
                "{} records were skipped uncounted, because they were gone: concluded from what is missing\n",
                plain(&pipeline["ledger"]["lost"]),
            ));
        }
        if let Some(gap) = pipeline["gap"].as_str() {
            text.push_str(&format!("THE LEDGER HAS A GAP: {gap}\n"));
        }
        let actors = pipeline["branches"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|branch| {
                let name = format!("{} ({})", plain(&branch["name"]), plain(&branch["state"]));
                let left = plain(&branch["restarts_left"]);
                let actors = branch["children"].as_array().cloned().unwrap_or_default();
                actors.into_iter().map(move |actor| {
                    let waits = actor["waiting"].as_array().cloned().unwrap_or_default();
                    let waits = waits
                        .iter()
                        .map(|wait| format!("{} since {}", plain(&wait["what"]), plain(&wait["since"])));
                    let failure = actor["last_failure"]["reason"].as_str().unwrap_or_default().to_owned();
                    let columns = [&actor["name"], &actor["state"], &actor["life"]].map(plain);
                    let [actor, state, life] = columns;
                    vec![
                        name.clone(),
                        actor,
                        state,
                        life,
                        left.clone(),
                        waits.collect::<Vec<_>>().join("; "),
                        failure,
                    ]
                })
            });
        let header = [
            "branch",
            "actor",
            "state",
            "life",
            "restarts left",
            "waiting for",
            "last failure",
        ];
        text.push_str(&format!("{}\n", table(&header, actors)));
        let lags = pipeline["partitions"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|partition| {
                let of = |name: &str| plain(&partition[name]);
                let live = &pipeline["live"]["partitions"][of("partition")]["state"];
                vec![
                    of("partition"),
                    of("next_offset"),
                    of("end_offset"),
                    of("lag"),
                    of("owner"),
                    plain(live),
                ]
            });
        let header = ["partition", "next", "end", "lag", "claimed by", "state here"];
        text.push_str(&table(&header, lags).to_string());
        let members = pipeline["members"].as_array().cloned().unwrap_or_default();
        if members.len() > 1 {
            let list = |numbers: &Value| {
                let numbers = numbers.as_array().into_iter().flatten().map(plain);
                numbers.collect::<Vec<_>>().join(", ")
            };
            let rows = members.iter().map(|member| {
                vec![
                    plain(&member["name"]),
                    list(&member["shards"]),
                    list(&member["partitions"]),
                ]
            });
            text.push_str(&format!("\n{}", table(&["daemon", "shards", "partitions"], rows)));
        }
    }
    text
}

fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_FULL_CONDENSED)
        .set_header(header)
        .add_rows(rows);
    table
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
