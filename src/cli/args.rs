//! The command line. Wrong usage exits with 64, as a wrong configuration does.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args as ClapArgs, Parser, Subcommand, error::ErrorKind};

/// Moves records from HTTP JSON APIs through Kafka and SQL into PostgreSQL, exactly once, under supervision.
#[derive(Clone, Debug, Parser)]
#[command(name = "aqueduct", version, propagate_version = true, disable_help_subcommand = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the user can ask for.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the pipelines of a configuration until SIGTERM or SIGINT
    Run(Run),
    /// Show all of it at work: a simulated API, a log, SQL and a PostgreSQL, on this machine
    Demo(Demo),
    /// Check a configuration and its SQL, and say everything that is wrong
    Check(Check),
    /// Ask the running daemon how it is: its actors, the lag, the ledger
    Status(Status),
    /// Bring the schema `aqueduct`, and your own migrations, up to date
    Migrate(Migrate),
    /// Serve a simulated Random User API, well-behaved or not
    Simulate(Simulate),
    /// Tell the running daemon to try what is parked, now
    Resume(Resume),
    /// Show where each partition stands, or lead one on past records that are lost
    #[command(subcommand)]
    Offsets(Offsets),
    /// Look at records that could not be loaded, load them again, or give them up
    DeadLetters(DeadLetters),
    /// Carry the sources' cursors to another log, so that the pipelines go on there
    Move(Move),
}

/// Which configuration.
#[derive(Clone, Debug, ClapArgs)]
pub struct ConfigFile {
    /// The configuration; without it ./config.toml, then /etc/aqueduct/config.toml
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `aqueduct run`
#[derive(Clone, Debug, ClapArgs)]
pub struct Run {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub file: ConfigFile,
    /// Fetch to the end of each source, load everything, print the ledger and exit
    #[arg(long)]
    pub once: bool,
}

/// `aqueduct demo`
#[derive(Clone, Debug, ClapArgs)]
pub struct Demo {
    /// How many records
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub records: u64,
    /// Stay up afterwards, for a look around, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// Kafka's brokers, instead of the embedded log
    #[arg(long, value_name = "HOST:PORT")]
    pub kafka: Option<String>,
    /// A PostgreSQL, instead of the embedded one
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
}

/// `aqueduct check`
#[derive(Clone, Debug, ClapArgs)]
pub struct Check {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub file: ConfigFile,
    /// Also ask the API, Kafka and PostgreSQL
    #[arg(long)]
    pub live: bool,
}

/// `aqueduct status`
#[derive(Clone, Debug, ClapArgs)]
pub struct Status {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub file: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `aqueduct migrate`
#[derive(Clone, Debug, ClapArgs)]
pub struct Migrate {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub file: ConfigFile,
}

/// `aqueduct simulate`
#[derive(Clone, Debug, ClapArgs)]
pub struct Simulate {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8980")]
    pub listen: SocketAddr,
    /// Refuse, as the real server does, more than 20,000 records a client in 300 s
    #[arg(long)]
    pub rate_limit: bool,
    /// Fail every N-th request
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub fail_every: Option<u64>,
    /// The status of failed requests
    #[arg(long, value_name = "STATUS", default_value_t = 503, value_parser = clap::value_parser!(u16).range(400..600), requires = "fail_every")]
    pub fail_status: u16,
    /// Make every N-th record one that the users table's schema does not take
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub bad_record_every: Option<u64>,
    /// Wait before each answer, for example 200ms
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub delay: Option<Duration>,
}

/// `aqueduct resume`
#[derive(Clone, Debug, ClapArgs)]
pub struct Resume {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub file: ConfigFile,
    /// The pipeline; without it all of them
    pub pipeline: Option<String>,
}

/// `aqueduct move`
#[derive(Clone, Debug, ClapArgs)]
pub struct Move {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub file: ConfigFile,
    /// The configuration that the pipelines ran with until now
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
}

/// `aqueduct offsets`
#[derive(Clone, Debug, Subcommand)]
pub enum Offsets {
    /// Show where each partition stands, who has it, and what it has lost
    Show(ShowOffsets),
    /// Lead a partition on at a later offset; what lies between is not loaded, and the ledger says so
    Skip(SkipOffsets),
}

impl Offsets {
    pub(super) fn file(&self) -> &ConfigFile {
        match self {
            Self::Show(args) => &args.file,
            Self::Skip(args) => &args.file,
        }
    }
}

/// `aqueduct offsets show`
#[derive(Clone, Debug, ClapArgs)]
pub struct ShowOffsets {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub file: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `aqueduct offsets skip`
#[derive(Clone, Debug, ClapArgs)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["to", "to_low", "to_end"]))]
pub struct SkipOffsets {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub file: ConfigFile,
    /// The pipeline
    #[arg(long)]
    pub pipeline: String,
    /// The partition of its topic
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: i32,
    /// Go on at this offset
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    pub to: Option<i64>,
    /// Go on at the first offset that the log holds
    #[arg(long)]
    pub to_low: bool,
    /// Go on at the end of the log
    #[arg(long)]
    pub to_end: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `aqueduct dead-letters`
#[derive(Clone, Debug, ClapArgs)]
pub struct DeadLetters {
    /// What to do with them.
    #[command(subcommand)]
    pub action: LettersAction,
}

/// What can be done with dead letters.
#[derive(Clone, Debug, Subcommand)]
pub enum LettersAction {
    /// List them: number, position, stage, reason
    List {
        #[command(flatten)]
        #[allow(missing_docs)]
        file: ConfigFile,
        #[command(flatten)]
        #[allow(missing_docs)]
        which: LettersFilter,
        /// Show at most this many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one of them whole, with payload and headers
    Show {
        #[command(flatten)]
        #[allow(missing_docs)]
        file: ConfigFile,
        /// Its number, as `list` shows it
        id: i64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Load them again: through the SQL as it is now, each at most once
    Replay {
        #[command(flatten)]
        #[allow(missing_docs)]
        file: ConfigFile,
        #[command(flatten)]
        #[allow(missing_docs)]
        which: LettersFilter,
        /// All of them
        #[arg(long)]
        all: bool,
        /// Replace rows of the same key that are there already; without it they stay, unless `order_by` says that the
        /// replayed one is newer
        #[arg(long)]
        overwrite: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove them: their records count as skipped
    Purge {
        #[command(flatten)]
        #[allow(missing_docs)]
        file: ConfigFile,
        #[command(flatten)]
        #[allow(missing_docs)]
        which: LettersFilter,
        /// All of them
        #[arg(long)]
        all: bool,
        /// Do it; without it nothing is removed
        #[arg(long)]
        yes: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which dead letters.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct LettersFilter {
    /// These numbers, as `list` shows them
    #[arg(long = "id", value_name = "ID", value_delimiter = ',')]
    pub ids: Vec<i64>,
    /// Those of this pipeline
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// Those whose reason has this text in it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Those that were refused at this stage
    #[arg(long, value_name = "STAGE", value_parser = ["ingest", "decode", "transform", "write"])]
    pub stage: Option<String>,
    /// Those refused since then: a duration like 1h, or a time like 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<DateTime<Utc>>,
    /// Those refused before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<DateTime<Utc>>,
}

/// A time, or how long ago it was.
fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let ago = humantime::parse_duration(text)
        .ok()
        .and_then(|ago| TimeDelta::from_std(ago).ok());
    ago.and_then(|ago| Utc::now().checked_sub_signed(ago))
        .ok_or_else(|| "write how long ago it was, like 1h or 2days, or a time like 2026-01-31T12:00:00Z".to_owned())
}

/// Reads the command line, the program's name first. `Err` is a request for help or the version as well as wrong usage:
/// print it with [`clap::Error::print`] and exit with [`exit_code`].
pub fn parse(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Args, clap::Error> {
    Args::try_parse_from(args)
}

/// 0 after help and version, 64 (EX_USAGE) after wrong usage.
pub fn exit_code(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        _ => 64,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn command(line: &str) -> Command {
        parse(line.split(' ')).unwrap().command
    }

    fn code(line: &str) -> u8 {
        exit_code(&parse(line.split(' ')).unwrap_err())
    }

    #[test]
    fn the_declaration_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn each_command_takes_its_options() {
        assert!(
            matches!(command("aqueduct run --once"), Command::Run(Run { once: true, file }) if file.config.is_none())
        );
        assert!(
            matches!(command("aqueduct check -c a.toml --live"), Command::Check(Check { live: true, file })
            if file.config.as_deref() == Some(std::path::Path::new("a.toml")))
        );
        assert!(matches!(
            command("aqueduct demo"),
            Command::Demo(Demo {
                records: 10_000,
                keep: false,
                ..
            })
        ));
        assert!(matches!(
            command("aqueduct demo --records 5 --kafka h:9092"),
            Command::Demo(Demo {
                records: 5,
                kafka: Some(_),
                ..
            })
        ));
        assert!(matches!(
            command("aqueduct status --json"),
            Command::Status(Status { json: true, .. })
        ));
        assert!(matches!(command("aqueduct migrate"), Command::Migrate(_)));
        assert!(matches!(
            command("aqueduct resume users"),
            Command::Resume(Resume { pipeline: Some(_), .. })
        ));
        assert!(matches!(
            command("aqueduct offsets show --json"),
            Command::Offsets(Offsets::Show(ShowOffsets { json: true, .. }))
        ));
        assert!(matches!(
            command("aqueduct offsets skip --pipeline users --partition 2 --to 17"),
            Command::Offsets(Offsets::Skip(SkipOffsets {
                partition: 2,
                to: Some(17),
                ..
            }))
        ));
        assert!(matches!(
            command("aqueduct move --from old.toml -c new.toml"),
            Command::Move(Move { from, .. }) if from.ends_with("old.toml")
        ));
        let Command::Simulate(simulate) = command("aqueduct simulate --listen [::1]:0 --fail-every 3 --delay 200ms")
        else {
            panic!("simulate is simulate")
        };
        assert_eq!(
            (simulate.fail_every, simulate.fail_status, simulate.rate_limit),
            (Some(3), 503, false)
        );
        assert_eq!(simulate.delay, Some(Duration::from_millis(200)));
    }

    #[test]
    fn dead_letters_are_chosen_by_number_text_and_time() {
        let line =
            "aqueduct dead-letters list --id 3,4 --stage decode --since 1h --until 2030-01-31T12:00:00Z --limit 5";
        let Command::DeadLetters(DeadLetters {
            action: LettersAction::List { which, limit, .. },
        }) = command(line)
        else {
            panic!("list is list")
        };
        assert_eq!((which.ids, limit), (vec![3, 4], 5));
        assert!(which.since < Some(Utc::now()) && which.until > Some(Utc::now()));
        for wrong in [
            "aqueduct dead-letters",
            "aqueduct dead-letters list --since yesterday",
            "aqueduct dead-letters list --stage nowhere",
            "aqueduct dead-letters show",
        ] {
            assert_eq!(code(wrong), 64, "{wrong}");
        }
    }

    #[test]
    fn wrong_usage_exits_64_and_help_exits_0() {
        for wrong in [
            "aqueduct",
            "aqueduct fly",
            "aqueduct run --twice",
            "aqueduct demo --records 0",
            "aqueduct demo --records x",
            "aqueduct offsets",
            "aqueduct offsets skip --pipeline p --partition 0",
            "aqueduct offsets skip --pipeline p --partition 0 --to-low --to-end",
            "aqueduct offsets skip --pipeline p --to-low",
        ] {
            assert_eq!(code(wrong), 64, "{wrong}");
        }
        for asked in ["aqueduct --help", "aqueduct --version", "aqueduct run --help"] {
            assert_eq!(code(asked), 0, "{asked}");
        }
    }
}
