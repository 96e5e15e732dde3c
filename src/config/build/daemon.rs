//! `[daemon]`, `[kafka]`, `[postgres]`, `[supervision]`.

use crate::config::{
    OWN_PROPERTIES,
    keys::Kind,
    names,
    section::Section,
    settings::{
        Daemon, Kafka, LogFormat, LogLevel, OnEscalate, Postgres, PostgresPrograms, PostgresUrl, ProgramOrigin, Secret,
        Supervision,
    },
    suggest,
    tree::Node,
    values,
};

pub(super) fn daemon(section: &Section<'_>) -> Option<Daemon> {
    let state_dir = match section.is_set("state_dir") {
        true => section.path("state_dir"),
        false => {
            let by_default = section.context.environment.state_dir();
            if by_default.is_none() {
                let message = "cannot be guessed, as neither STATE_DIRECTORY nor HOME is set; write state_dir = \"/some/directory\"";
                section.problem("state_dir", message);
            }
            by_default
        }
    };
    let http = section.address("http");
    let log_level = match section.choice("log_level") {
        "error" => LogLevel::Error,
        "warning" => LogLevel::Warning,
        "debug" => LogLevel::Debug,
        "trace" => LogLevel::Trace,
        _ => LogLevel::Info,
    };
    let log_format = match section.choice("log_format") {
        "json" => LogFormat::Json,
        "journald" => LogFormat::Journald,
        _ => LogFormat::Terminal,
    };
    let probe_every = section.span("probe_every");
    Some(Daemon {
        state_dir: state_dir?,
        http,
        log_level,
        log_format,
        probe_every: probe_every?,
    })
}

pub(super) fn kafka(section: &Section<'_>) -> Option<Kafka> {
    let brokers = section.parsed("brokers", names::brokers);
    let properties = section.secret_map("properties", |name, _| match name {
        "bootstrap.servers" | "metadata.broker.list" => {
            Some("is written as brokers in [kafka]; move it there".to_owned())
        }
        _ => OWN_PROPERTIES
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, reason)| format!("is set by aqueduct itself: {reason}; remove it")),
    });
    Some(Kafka {
        brokers: brokers?,
        properties,
    })
}

pub(super) fn postgres(section: &Section<'_>) -> Option<Postgres> {
    let url = if section.is_set("url") && section.is_set("url_file") {
        section.problem("url_file", "url is there too; keep one of them");
        None
    } else if section.is_set("url_file") {
        section.secret_file("url_file").and_then(|secret| {
            checked_url(secret.expose())
                .map_err(|message| section.problem("url_file", format!("what is in it {message}")))
                .ok()
        })
    } else {
        section.parsed("url", postgres_url)
    };
    let migrate = section.flag("migrate");
    let migrations = section.parsed("migrations", |node, kind| {
        let path = values::filled(node, kind)?;
        let directory = section.context.dir.join(&path.value);
        let message = || format!("there is no directory {}; create it or remove the key", path.quoted());
        directory.is_dir().then_some(directory).ok_or_else(message)
    });
    let synchronous_commit = section.flag("synchronous_commit");
    let origin = section.parsed("binaries", |node, kind| {
        let text = values::filled(node, kind)?;
        match &*text.value {
            "auto" => Ok(ProgramOrigin::Auto),
            "system" => Ok(ProgramOrigin::System),
            "download" => Ok(ProgramOrigin::Download),
            path if path.contains('/') => Ok(ProgramOrigin::Directory(section.context.dir.join(path))),
            word => Err(match suggest::nearest(word, ["auto", "system", "download"]) {
                Some(near) => format!("{} is unknown; did you mean \"{near}\"?", text.quoted()),
                None => format!(
                    "{} is unknown; write \"auto\", \"system\", \"download\" or a directory like \"/opt/pgsql/bin\"",
                    text.quoted()
                ),
            }),
        }
    });
    let mirror = section.parsed("mirror", |node, kind| {
        let url = values::http_url(node, kind)?;
        if url.username().is_empty() && url.password().is_none() {
            Ok(url)
        } else {
            Err("holds a user or a password, which would get into logs; name a mirror that asks for none".to_owned())
        }
    });
    Some(Postgres {
        url: url?,
        migrate,
        migrations,
        synchronous_commit,
        programs: PostgresPrograms {
            origin: origin?,
            mirror,
        },
    })
}

fn postgres_url(node: &Node, kind: &Kind) -> Result<PostgresUrl, String> {
    checked_url(&values::filled(node, kind)?.value)
}

/// Only the form is checked: libpq takes more (several hosts, sockets) than a general URL parser does.
fn checked_url(text: &str) -> Result<PostgresUrl, String> {
    let text = text.trim();
    let is_url = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    match text {
        "embedded" => Ok(PostgresUrl::Embedded),
        _ if is_url && !text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) => {
            Ok(PostgresUrl::Url(Secret::new(text)))
        }
        _ => Err(
            "is not an address of PostgreSQL; write \"embedded\" or \"postgres://user@host:5432/database\"".to_owned(),
        ),
    }
}

pub(super) fn supervision(section: &Section<'_>) -> Option<Supervision> {
    let (window, backoff, backoff_max) = (
        section.span("window"),
        section.span("backoff"),
        section.span("backoff_max"),
    );
    if backoff.zip(backoff_max).is_some_and(|(first, longest)| first > longest) {
        let name = if section.is_set("backoff") {
            "backoff"
        } else {
            "backoff_max"
        };
        section.problem(
            name,
            "backoff is longer than backoff_max; make backoff_max the longer one",
        );
    }
    let (stall_after, grace) = (section.span("stall_after"), section.span("grace"));
    let on_escalate = match section.choice("on_escalate") {
        "exit" => OnEscalate::Exit,
        _ => OnEscalate::Park,
    };
    let max_restarts = section.count32("max_restarts");
    Some(Supervision {
        max_restarts,
        window: window?,
        backoff: backoff?,
        backoff_max: backoff_max?,
        stall_after: stall_after?,
        grace: grace?,
        on_escalate,
    })
}
