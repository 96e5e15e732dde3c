//! A real Apache Kafka for tests: one a test binary, or the one that `AQUEDUCT_TEST_KAFKA=host:port` names.
//!
//! `AQUEDUCT_TEST_KAFKA=zookeeper` makes every broker one of Kafka 3.9 with ZooKeeper: `make test-zookeeper`.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part; a helper that fails fails its test"
)]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Members that fall silent and transactions that are left behind must be noticed in seconds.
const FAST: [&str; 2] = [
    "group.min.session.timeout.ms=2000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
];

/// The value of `AQUEDUCT_TEST_KAFKA` that asks for Kafka 3.9.
const ZOOKEEPER: &str = "zookeeper";

/// Runs the broker, and removes its folder when it has ended: also when this process was killed, because then its end of
/// the pipe is closed, which ends `scripts/kafka run`.
const RUN: &str = r#"script=$1 dir=$2 keep=$3; shift 3; "$script" run --dir "$dir" --port auto --until-stdin-closes "$@"
    [ -e "$keep" ] || rm -rf "$dir""#;

/// A broker that ends with this process, or with the value.
pub struct TestKafka {
    address: String,
    /// `None` for a broker that somebody else started.
    own: Option<Own>,
}

struct Own {
    dir: PathBuf,
    zookeeper: bool,
    settings: Vec<String>,
    child: Option<Child>,
}

impl TestKafka {
    /// The broker that all tests of this binary share. Topics and pipelines need names of their own: [`unique`].
    pub fn shared() -> &'static TestKafka {
        static SHARED: OnceLock<TestKafka> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var("AQUEDUCT_TEST_KAFKA") {
            Ok(address) if !address.is_empty() && address != ZOOKEEPER => TestKafka { address, own: None },
            _ => TestKafka::private(),
        })
    }

    /// A broker of the test's own, which it may stop, kill and freeze.
    pub fn private() -> TestKafka {
        Self::private_with(&[])
    }

    /// The same, with broker settings of its own (`KEY=VALUE`).
    pub fn private_with(settings: &[&str]) -> TestKafka {
        Self::started(
            settings,
            std::env::var("AQUEDUCT_TEST_KAFKA").is_ok_and(|kind| kind == ZOOKEEPER),
        )
    }

    /// A broker of Kafka 3.9 with ZooKeeper, whatever the others are.
    pub fn zookeeper() -> TestKafka {
        Self::started(&[], true)
    }

    /// A broker of Kafka 4 with KRaft and settings of its own, whatever the others are.
    pub fn kraft_with(settings: &[&str]) -> TestKafka {
        Self::started(settings, false)
    }

    fn started(settings: &[&str], zookeeper: bool) -> TestKafka {
        let dir = tempfile::Builder::new()
            .prefix("aqueduct-kafka-")
            .tempdir()
            .unwrap()
            .keep();
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut own = Own {
            dir,
            zookeeper,
            settings,
            child: None,
        };
        let address = own.start();
        TestKafka {
            address,
            own: Some(own),
        }
    }

    /// `host:port`; the same for all lives of the broker.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends it in order.
    pub fn stop(&mut self) {
        let own = self.own_mut();
        own.keep(true);
        own.run_script("stop");
        own.wait();
    }

    /// Ends it as a power failure would.
    pub fn kill9(&mut self) {
        let own = self.own_mut();
        own.keep(true);
        own.signal(Signal::SIGKILL);
        own.wait();
    }

    /// Begins its next life, with the same data and at the same address.
    pub fn start_again(&mut self) {
        let own = self.own_mut();
        let address = own.start();
        own.keep(false);
        assert_eq!(address, self.address, "another program took its port");
    }

    /// SIGSTOP: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.own.as_ref().expect("not ours").signal(Signal::SIGSTOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.own.as_ref().expect("not ours").signal(Signal::SIGCONT);
    }

    fn own_mut(&mut self) -> &mut Own {
        self.own.as_mut().expect("only a private broker is stopped")
    }
}

impl Own {
    fn script() -> PathBuf {
        // From where cargo runs the tests. A path that is compiled in is that of the clone that was built first in this
        // target directory.
        std::path::absolute("scripts/kafka").unwrap()
    }

    /// Ports are chosen before they are listened on, and on a busy machine somebody may come in between: a second try.
    fn start(&mut self) -> String {
        let started = self.try_start().or_else(|| self.try_start());
        started.expect("scripts/kafka started no broker; it says above why")
    }

    fn try_start(&mut self) -> Option<String> {
        let mut command = Command::new("bash");
        command
            .args(["-c", RUN, "bash"])
            .arg(Self::script())
            .arg(&self.dir)
            .arg(self.dir.with_extension("keep"));
        for setting in FAST.into_iter().chain(self.settings.iter().map(String::as_str)) {
            command.args(["--set", setting]);
        }
        if self.zookeeper {
            command.arg("--zookeeper");
        }
        // A process group of its own: ^C ends the tests, and the closed pipe then ends the broker in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut address)
            .unwrap();
        let address = address.trim().to_owned();
        if address.is_empty() {
            eprintln!("scripts/kafka started no broker: {}", child.wait().unwrap());
            return None;
        }
        self.child = Some(child);
        Some(address)
    }

    /// Whether the folder outlives the broker's end.
    fn keep(&self, keep: bool) {
        let marker = self.dir.with_extension("keep");
        if keep {
            fs::write(marker, "").unwrap();
        } else {
            let _ = fs::remove_file(marker);
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = fs::read_to_string(self.dir.join("kafka.pid")).unwrap();
        kill(Pid::from_raw(pid.trim().parse().unwrap()), signal).unwrap();
    }

    fn run_script(&self, command: &str) {
        let status = Command::new(Self::script())
            .arg(command)
            .arg("--dir")
            .arg(&self.dir)
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn wait(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.wait().unwrap();
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.keep(false);
        match self.child.take() {
            Some(mut child) => {
                drop(child.stdin.take());
                let _ = child.wait();
            }
            // It was stopped or killed and not started again.
            None => drop(fs::remove_dir_all(&self.dir)),
        }
    }
}

/// A name that no other test, process or run uses.
pub fn unique(prefix: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{}-{number}", &uuid::Uuid::new_v4().simple().to_string()[..12])
}
