//! The process of a run, its group, and the guard that outlives this daemon.
//!
//! A program that is started by a daemon which is then killed with -9 must not live on. `PR_SET_PDEATHSIG` would have to be
//! set between fork and exec (unsafe), hangs on the thread that forked, and reaches no grandchild. So each run has a
//! guard: a shell that leads the run's process group and waits for the end of a pipe that this daemon holds. However the
//! daemon ends, the pipe closes, and the guard ends the whole group.

use std::{ffi::OsStr, io, path::Path, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::RunError;
use crate::config::settings::ExecSource;

/// What a program has after SIGTERM before SIGKILL; the guard's script says the same.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// `kill 0` is the whole group, the guard with it.
const GUARD: &str = "trap '' TERM INT HUP QUIT; read -r _; kill -TERM 0; sleep 5; kill -KILL 0";

/// Variables of this daemon that are nobody else's business.
const OWN: [&str; 5] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "CREDENTIALS_DIRECTORY",
];

/// A running program. Dropping it ends it, by its guard.
pub(super) struct Program {
    child: Child,
    guard: Child,
    /// The guard acts when this closes.
    lifeline: Option<ChildStdin>,
    group: Pid,
    /// The program's process id.
    pub(super) pid: u32,
}

/// What it prints.
pub(super) struct Pipes {
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

impl Program {
    /// Starts the program with these further arguments and variables.
    pub(super) fn start(
        settings: &ExecSource,
        args: &[&OsStr],
        variables: &[(String, String)],
    ) -> Result<(Self, Pipes), RunError> {
        let prepare = |what| {
            let program = settings.program.clone();
            move |source| RunError::Prepare { program, what, source }
        };
        let mut guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "aqueduct-guard"])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(prepare("start /bin/sh, which would end it with this daemon"))?;
        let (lifeline, group) = (guard.stdin.take(), pid_of(&guard));
        let start_error = |source| RunError::Start {
            program: settings.program.clone(),
            source,
        };
        let (Some(lifeline), Some(group)) = (lifeline, group) else {
            return Err(prepare("start /bin/sh, which would end it with this daemon")(
                io::Error::other("it ended at once"),
            ));
        };
        let mut command = Command::new(path_of(settings));
        command
            .args(settings.command.iter().skip(1).map(|arg| arg.expose()))
            .args(args)
            .current_dir(&settings.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(group.as_raw());
        for (name, _) in std::env::vars_os() {
            let is_ours = name
                .to_str()
                .is_some_and(|name| name.starts_with("AQUEDUCT_") || OWN.contains(&name));
            if is_ours {
                command.env_remove(name);
            }
        }
        command.envs(settings.env.iter().map(|(name, value)| (name, value.expose())));
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        // On an error the guard's pipe closes here, and it ends itself.
        let mut child = command.spawn().map_err(start_error)?;
        let pipes = child.stdout.take().zip(child.stderr.take());
        let (Some((stdout, stderr)), Some(pid)) = (pipes, child.id()) else {
            return Err(start_error(io::Error::other("it ended at once")));
        };
        let program = Self {
            child,
            guard,
            lifeline: Some(lifeline),
            group,
            pid,
        };
        Ok((program, Pipes { stdout, stderr }))
    }

    /// Waits until the program ends by itself; says how, `None` = with 0.
    pub(super) async fn wait(&mut self) -> io::Result<Option<String>> {
        let status = self.child.wait().await?;
        Ok((!status.success()).then(|| match status.code() {
            Some(code) => format!("exit code {code}"),
            None => status.to_string(),
        }))
    }

    /// Ends the program and whatever it has started, in order if it will.
    pub(super) async fn end(mut self) {
        drop(self.lifeline.take());
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
        // The guard leads the group and is not reaped yet, so the group's number is nobody else's.
        let _ = killpg(self.group, Signal::SIGKILL);
        // What the kernel cannot end at once is not waited for.
        let _ = tokio::time::timeout(GRACE, async {
            let _ = self.child.wait().await;
            let _ = self.guard.wait().await;
        })
        .await;
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw)
}

/// A name is looked up in PATH; a relative path begins at the program's directory.
fn path_of(settings: &ExecSource) -> std::path::PathBuf {
    let path = Path::new(settings.command.first().map_or("", |program| program.expose()));
    if path.components().count() > 1 && path.is_relative() {
        settings.dir.join(path)
    } else {
        path.to_owned()
    }
}
