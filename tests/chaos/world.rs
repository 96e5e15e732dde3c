//! Everything that is there: a broker, a server, an API, a proxy before each, and two daemons.

use std::{fs, path::Path, sync::Arc, time::Duration};

use aqueduct::demo::simulator::{Corrupt, Options, Simulator};
use tokio::time::Instant;

use crate::{
    form::Form,
    job::{Brokers, Job, LIMIT, PipelineText},
    kafka::{TestKafka, unique},
    postgres::TestPostgres,
    proxy::{Proxy, Upstream},
    slot::Slot,
};

pub const RESULTS: u64 = 100;
/// So many more rows, and records flow.
const FLOW: i64 = 500;
/// From when everything is well again to the last row.
const DRAIN: Duration = Duration::from_secs(300);

/// A record that the schema does not take: each hundredth page has one.
pub fn is_bad(page: u64, index: usize) -> bool {
    page % 100 == 3 && index == 50
}

fn spoil() -> Corrupt {
    Arc::new(|page, index, record| {
        is_bad(page, index).then(|| record.replacen("\"age\":", "\"age\":\"x\",\"was\":", 1))
    })
}

/// Lets time go by: how long a fault lasts is part of it.
pub fn pass(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::thread::park_timeout(end - Instant::now());
    }
}

pub struct World {
    pub seed: u64,
    pub pages: u64,
    pub name: String,
    pub table: String,
    // Before what they need: the daemons end first.
    pub slots: [Slot; 2],
    pub job: Job,
    pub simulator: Simulator,
    pub api_link: Proxy,
    pub kafka_link: Proxy,
    pub postgres_link: Proxy,
    pub kafka: TestKafka,
    pub postgres: TestPostgres,
    proxied: String,
    began: Instant,
}

impl World {
    pub fn new(form: &Form) -> Self {
        let kafka_link = Proxy::start(Upstream::Tcp(String::new()));
        let advertised = format!("advertised.listeners=PLAINTEXT://{}", kafka_link.address());
        let kafka = TestKafka::private_with(&[&advertised]);
        kafka_link.lead_to(Upstream::Tcp(kafka.address().to_owned()));
        let postgres = TestPostgres::private();
        // It fails one request in ten all by itself.
        let simulator = Simulator::start(Options {
            delay: Duration::from_millis(200),
            flaky: Some(form.seed),
            corrupt: Some(spoil()),
            ..Options::default()
        })
        .unwrap();
        let api_link = Proxy::start(Upstream::Tcp(simulator.addr.to_string()));
        let name = unique("chaos");
        let url = format!("http://{}/api/", api_link.address());
        let text = || PipelineText {
            rows: 300,
            ..PipelineText::users(&name, &url, RESULTS, form.pages)
        };
        let brokers = Brokers::Kafka(kafka_link.address().to_string());
        let job = Job::new(postgres.database(), &brokers, &[text()]);
        job.write_config("second.toml", &brokers, &[text()]);
        let (postgres_link, proxied) = Proxy::before_postgres(job.database.url().expose());
        let table = text().table;
        let mut world = Self {
            seed: form.seed,
            pages: form.pages,
            slots: [
                Slot::new("config.toml", "first.log"),
                Slot::new("second.toml", "second.log"),
            ],
            began: Instant::now(),
            name,
            table,
            job,
            simulator,
            api_link,
            kafka_link,
            postgres_link,
            kafka,
            postgres,
            proxied,
        };
        world.start(0, None);
        world.start(1, None);
        world
    }

    pub fn start(&mut self, daemon: usize, failpoint: Option<&str>) {
        let mut variables = vec![("AQUEDUCT__POSTGRES__URL", self.proxied.as_str())];
        variables.extend(failpoint.map(|failpoint| ("AQUEDUCT_FAILPOINT", failpoint)));
        self.slots[daemon].start(&self.job, &variables);
    }

    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    fn records(&self) -> i64 {
        let bad = (1..=self.pages).filter(|page| is_bad(*page, 50)).count() as u64;
        (RESULTS * self.pages - bad).cast_signed()
    }

    /// Rows that are there, asked past the proxy; `None` while the server is away.
    fn rows(&self) -> Option<i64> {
        self.job.try_count(&format!("SELECT count(*) FROM {}", self.table))
    }

    pub fn is_loaded(&self) -> bool {
        self.rows().is_some_and(|rows| rows >= self.records())
    }

    /// Waits until records flow, and returns how long that took.
    pub fn wait_for_more(&mut self, after: &str) -> Duration {
        let start = Instant::now();
        let goal = self.rows().unwrap_or(0) + FLOW;
        self.reach(&format!("records flow again after: {after}"), LIMIT, goal);
        start.elapsed()
    }

    /// The faults are over: waits for the last row, and returns how long that took. The rest is fetched fast.
    pub fn drain(&mut self) -> Duration {
        let start = Instant::now();
        let fast = Options {
            corrupt: Some(spoil()),
            ..Options::default()
        };
        let slow = std::mem::replace(&mut self.simulator, Simulator::start(fast).unwrap());
        self.api_link.lead_to(Upstream::Tcp(self.simulator.addr.to_string()));
        drop(slow);
        self.reach("the last row", DRAIN, i64::MAX);
        start.elapsed()
    }

    fn reach(&mut self, what: &str, limit: Duration, goal: i64) {
        let (goal, seed, end) = (goal.min(self.records()), self.seed, Instant::now() + limit);
        let mut rows = None;
        while rows.is_none_or(|rows| rows < goal) {
            for slot in &mut self.slots {
                if let Some(obituary) = slot.obituary() {
                    panic!("seed {seed}, {what}: {obituary}");
                }
            }
            assert!(
                Instant::now() < end,
                "seed {seed}: waited {limit:?} in vain for {what}: {rows:?} rows of {goal}\n{}\n{}",
                self.statuses(),
                self.tails()
            );
            pass(Duration::from_millis(50));
            rows = self.rows();
        }
    }

    /// What the daemons say about themselves.
    fn statuses(&self) -> String {
        let status = |config: &str| {
            self.job
                .status(config)
                .map_or("no status".into(), |status| format!("{status:#}"))
        };
        format!("{}\n{}", status("config.toml"), status("second.toml"))
    }

    pub fn tails(&self) -> String {
        format!("{}\n{}", self.slots[0].tail(), self.slots[1].tail())
    }
}

impl Drop for World {
    /// The logs of a run that has failed are kept.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chaos-{}", self.seed));
        let _ = fs::create_dir_all(&kept);
        for name in ["first.log", "second.log", "once.log", "once.out", "config.toml"] {
            let _ = fs::copy(self.job.dir.path().join(name), kept.join(name));
        }
        eprintln!("the logs are in {}", kept.display());
    }
}
