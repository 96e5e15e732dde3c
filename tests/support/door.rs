//! The daemon's door, asked as a probe or a scraper asks it.

// Each test binary compiles this file and uses a part of it.
#![allow(dead_code)]

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value;

use crate::{
    job::{Daemon, Job, LIMIT},
    postgres::wait_for,
};

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Adds lines to the config's `[daemon]` table and replaces texts.
pub fn edit_config(job: &Job, replace: &[(&str, &str)]) {
    let path = job.dir.path().join("config.toml");
    let mut text = fs::read_to_string(&path).unwrap();
    for (from, to) in replace {
        assert!(text.contains(from), "{from} is not in {text}");
        text = text.replacen(from, to, 1);
    }
    fs::write(path, text).unwrap();
}

/// Asks the dependencies often, so that tests need not wait.
pub const IMPATIENT: (&str, &str) = ("log_format", "probe_every = \"500ms\"\nlog_format");

fn address(job: &Job) -> String {
    let text = fs::read_to_string(job.dir.path().join("config.toml")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("http = ")).unwrap();
    line.trim_matches('"').to_owned()
}

/// `None` = nobody answers.
pub fn get(job: &Job, path: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address(job)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: door\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().ok()?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

pub fn readyz(job: &Job) -> Option<(u16, Value)> {
    let answer = get(job, "/readyz")?;
    Some((answer.status, serde_json::from_str(&answer.body).unwrap()))
}

pub fn until_ready(job: &Job, daemon: &mut Daemon) {
    let mut last = None;
    wait_for("/readyz is true", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        last = readyz(job);
        last.as_ref()
            .is_some_and(|(status, answer)| *status == 200 && answer["ready"] == true)
    });
}

/// Waits until `/readyz` is false because of this, and returns the problem.
pub fn until_not_ready(job: &Job, daemon: &mut Daemon, what: &str) -> Value {
    let mut found = None;
    wait_for(&format!("/readyz is false because of {what}"), LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        let Some((status, answer)) = readyz(job) else {
            return false;
        };
        let problems = answer["pipelines"][0]["problems"].as_array().unwrap().clone();
        found = problems.into_iter().find(|problem| problem["what"] == what);
        assert_eq!(status == 200, answer["ready"] == true, "{answer:#}");
        found.is_some() && status == 503
    });
    let problem = found.unwrap();
    for key in ["place", "since", "reason", "remedy"] {
        assert!(!problem[key].as_str().unwrap().is_empty(), "{key}: {problem:#}");
    }
    problem
}
