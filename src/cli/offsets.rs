//! `aqueduct offsets show` and `skip`: through the daemon's door, or without it where no daemon runs.

use std::time::Duration;

use comfy_table::{Table, presets};
use slog::Logger;

use super::args::{Offsets, ShowOffsets, SkipOffsets};
use crate::{
    config::{host_name, settings::Settings},
    daemon::{self, ChangeError, PartitionPosition, SkipRequest, SkipTo, Skipped},
    service::{Exit, ledger::thousands},
    supervision::{BoxError, chain},
};

/// A skip reads what it leaves out, to count it.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Does what was asked for.
pub async fn offsets(settings: &Settings, args: &Offsets, log: &Logger) -> Exit {
    match args {
        Offsets::Show(args) => show(settings, args, log).await,
        Offsets::Skip(args) => skip(settings, args, log).await,
    }
}

/// What came of a question to the door.
enum Door {
    Answered(reqwest::StatusCode, String),
    /// Nobody listens: no daemon runs, or it has no door.
    Closed,
}

async fn ask(
    settings: &Settings,
    method: reqwest::Method,
    path: &str,
    query: &[(&str, String)],
) -> Result<Door, String> {
    let Some(address) = settings.daemon.http else {
        return Ok(Door::Closed);
    };
    let mut url = url::Url::parse(&format!("http://{address}{path}")).map_err(|error| error.to_string())?;
    url.query_pairs_mut().extend_pairs(query);
    let asked = async {
        // No proxy: the door is on this machine, or where the operator put it.
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        let answer = client.request(method, url).send().await?;
        let status = answer.status();
        Ok::<_, reqwest::Error>(Door::Answered(status, answer.text().await?))
    };
    match asked.await {
        Err(error) if error.is_connect() => Ok(Door::Closed),
        Err(error) => Err(format!("the daemon at {address} (daemon.http): {}", chain(&error))),
        Ok(answered) => Ok(answered),
    }
}

fn unavailable(reason: &str) -> Exit {
    eprintln!("{}", reason.trim_end());
    Exit::Unavailable
}

async fn show(settings: &Settings, args: &ShowOffsets, log: &Logger) -> Exit {
    let positions: Vec<PartitionPosition> = match ask(settings, reqwest::Method::GET, "/offsets", &[]).await {
        Ok(Door::Answered(status, body)) if status.is_success() => match serde_json::from_str(&body) {
            Ok(positions) => positions,
            Err(error) => return unavailable(&format!("the daemon is of another version: {error}")),
        },
        Ok(Door::Answered(_, reason)) => return unavailable(&reason),
        Ok(Door::Closed) => match show_without_daemon(settings, log).await {
            Ok(positions) => positions,
            Err(error) => return unavailable(&chain(error.as_ref())),
        },
        Err(reason) => return unavailable(&reason),
    };
    if args.json {
        println!("{:#}", serde_json::json!(positions));
    } else {
        println!("{}", render(&positions));
    }
    Exit::Done
}

async fn show_without_daemon(settings: &Settings, log: &Logger) -> Result<Vec<PartitionPosition>, BoxError> {
    let (pipelines, _server) = daemon::positions(settings, log).await?;
    let read = move || {
        let mut positions = Vec::new();
        for pipeline in pipelines {
            positions.extend(pipeline.show()?);
        }
        Ok(positions)
    };
    actix_rt::task::spawn_blocking(read).await?
}

async fn skip(settings: &Settings, args: &SkipOffsets, log: &Logger) -> Exit {
    let to = match args.to {
        Some(offset) => SkipTo::Offset(offset),
        None if args.to_low => SkipTo::Low,
        None => SkipTo::End,
    };
    let by = who();
    let query = [
        ("pipeline", args.pipeline.clone()),
        ("partition", args.partition.to_string()),
        ("to", to.to_string()),
        ("by", by.clone()),
    ];
    let skipped: Skipped = match ask(settings, reqwest::Method::POST, "/offsets/skip", &query).await {
        Ok(Door::Answered(status, body)) if status.is_success() => match serde_json::from_str(&body) {
            Ok(skipped) => skipped,
            Err(error) => return unavailable(&format!("skipped, but the daemon is of another version: {error}")),
        },
        Ok(Door::Answered(status, sentence)) => {
            eprintln!("nothing was skipped: {}", sentence.trim_end());
            return if status.is_client_error() {
                Exit::BadConfig
            } else {
                Exit::Unavailable
            };
        }
        Ok(Door::Closed) => {
            let (partition, request) = (
                args.partition,
                SkipRequest {
                    partition: args.partition,
                    to,
                    by,
                },
            );
            match skip_without_daemon(settings, &args.pipeline, request, log).await {
                Ok(skipped) => skipped,
                Err(error) => {
                    let place = format!("partition {partition} of pipeline {}", args.pipeline);
                    eprintln!("nothing was skipped: {place}: {}", chain(error.as_ref()));
                    let refused = matches!(error.downcast_ref(), Some(ChangeError::Refused(_)));
                    return if refused { Exit::BadConfig } else { Exit::Unavailable };
                }
            }
        }
        Err(reason) => return unavailable(&format!("nothing is known about the skip: {reason}")),
    };
    if args.json {
        println!("{:#}", serde_json::json!(skipped));
    } else {
        println!("{}", said(&skipped));
    }
    Exit::Done
}

async fn skip_without_daemon(
    settings: &Settings,
    pipeline: &str,
    request: SkipRequest,
    log: &Logger,
) -> Result<Skipped, BoxError> {
    let (pipelines, _server) = daemon::positions(settings, log).await?;
    let named = pipelines.into_iter().find(|known| known.pipeline() == pipeline);
    let positions =
        named.ok_or_else(|| ChangeError::Refused("the configuration has no pipeline of that name".into()))?;
    Ok(actix_rt::task::spawn_blocking(move || positions.skip(&request)).await??)
}

fn who() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    let user = user.map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name);
    format!("{user}@{}", host_name())
}

fn said(skipped: &Skipped) -> String {
    let Skipped {
        pipeline,
        topic,
        partition,
        from,
        to,
        num_records,
        num_uncounted_offsets,
    } = skipped;
    let uncounted = match num_uncounted_offsets {
        Some(0) => String::new(),
        Some(num) => format!("; {num} offsets were gone, and nobody knows how many records they held"),
        None => "; nobody knows how many records were lost besides".to_owned(),
    };
    format!(
        "pipeline {pipeline}: partition {partition} of topic {topic} stood at offset {from} and goes on at {to}: {} records \
         skipped{uncounted}",
        thousands(*num_records)
    )
}

fn render(positions: &[PartitionPosition]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header([
        "pipeline",
        "topic",
        "partition",
        "topic id",
        "next",
        "low",
        "last stable",
        "lag",
        "epoch",
        "owner",
        "state",
    ]);
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    for position in positions {
        table.add_row([
            position.pipeline.clone(),
            position.topic.clone(),
            position.partition.to_string(),
            text(&position.topic_id),
            number(position.next_offset),
            number(position.low),
            number(position.last_stable),
            number(position.lag),
            number(position.epoch),
            text(&position.owner),
            position.state.clone(),
        ]);
    }
    let lost = positions.iter().filter_map(|position| position.lost.as_ref());
    let lines = lost.map(|lost| {
        format!(
            "\nlost: topic {}, partition {}, {}; to go on: {}",
            lost.topic,
            lost.partition,
            lost.offsets(),
            lost.remedy
        )
    });
    format!("{table}{}", lines.collect::<String>())
}
