//! Where the store is and how its sessions behave.

use std::time::Duration;

use crate::config::settings::Secret;

/// The address of a PostgreSQL and the settings of every session with it. `Debug` shows no password.
#[derive(Clone, Debug)]
pub struct ConnectInfo {
    url: Secret,
    place: String,
    /// `synchronous_commit` of the sessions.
    pub synchronous_commit: bool,
    /// How long things may take.
    pub limits: SessionLimits,
}

/// How long things may take in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Establishing one connection; whole seconds, libpq takes at least 2.
    pub connect: Duration,
    /// One statement.
    pub statement: Duration,
    /// Waiting for one lock.
    pub lock: Duration,
    /// A transaction without a statement: longer than any pause of ours, shorter than a paused daemon stays away.
    pub idle_in_transaction: Duration,
    /// How often the server looks whether we are still there while it works for us (PostgreSQL 14 and later).
    pub connection_check: Duration,
    /// How long sent bytes may stay unanswered on the wire.
    pub tcp_user_timeout: Duration,
}

impl SessionLimits {
    /// The longest that a server which is there may take to answer one statement: its own limit, and the way there and
    /// back. One that is later hangs in a way that TCP does not notice, since its machine still acknowledges.
    pub fn answer(&self) -> Duration {
        self.statement + self.tcp_user_timeout
    }
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            statement: Duration::from_secs(60),
            lock: Duration::from_secs(10),
            idle_in_transaction: Duration::from_secs(30),
            connection_check: Duration::from_secs(2),
            tcp_user_timeout: Duration::from_secs(15),
        }
    }
}

impl ConnectInfo {
    /// The store at `url`: `postgres://…` (several hosts are fine), or libpq's `key=value` form.
    pub fn new(url: Secret, synchronous_commit: bool) -> Self {
        let place = place(url.expose());
        Self {
            url,
            place,
            synchronous_commit,
            limits: SessionLimits::default(),
        }
    }

    /// Hosts and database, for messages: neither user nor password.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The address as the user gave it.
    pub fn url(&self) -> &Secret {
        &self.url
    }

    /// The address with what a long-lived session needs, where the user has not said otherwise.
    pub(super) fn complete_url(&self, application_name: &str) -> Secret {
        let mut url = self.url.expose().to_owned();
        let limits = &self.limits;
        let wanted = [
            ("connect_timeout", limits.connect.as_secs().max(2).to_string()),
            ("tcp_user_timeout", limits.tcp_user_timeout.as_millis().to_string()),
            ("keepalives_idle", String::from("30")),
            ("keepalives_interval", String::from("10")),
            ("keepalives_count", String::from("3")),
            ("target_session_attrs", String::from("read-write")),
            ("application_name", application_name.to_owned()),
        ];
        for (name, value) in wanted {
            if parameter(&url, name).is_none() {
                append(&mut url, name, &value);
            }
        }
        Secret::new(url)
    }

    /// Takes everything that may be a password out of a message: libpq quotes what it cannot parse.
    pub(super) fn redact(&self, message: &str) -> String {
        let url = self.url.expose();
        let mut secrets: Vec<String> = parameter(url, "password").into_iter().map(str::to_owned).collect();
        secrets.extend(parameter(url, "sslpassword").map(str::to_owned));
        if let Some(rest) = after_scheme(url) {
            // The last `@`: a password with an unescaped `@` is the very address that libpq will quote.
            let user_info = rest.rsplit_once('@').map_or("", |(user_info, _)| user_info);
            secrets.extend(user_info.split_once(':').map(|(_, password)| password.to_owned()));
            // The first `@` too: what libpq then takes for the password.
            let user_info = rest.split_once('@').map_or("", |(user_info, _)| user_info);
            secrets.extend(user_info.split_once(':').map(|(_, password)| password.to_owned()));
        }
        secrets.retain(|secret| !secret.is_empty());
        let decoded: Vec<String> = secrets.iter().map(|secret| percent_decoded(secret)).collect();
        secrets.extend(decoded);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.iter().fold(message.trim_end().to_owned(), |text, secret| {
            text.replace(secret.as_str(), "***")
        })
    }
}

fn after_scheme(url: &str) -> Option<&str> {
    url.split_once("://").map(|(_, rest)| rest)
}

/// A parameter's value as it is written.
fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let value_in = |text: &'a str| text.strip_prefix(name)?.trim_start().strip_prefix('=').map(str::trim);
    if after_scheme(url).is_some() {
        url.split_once('?')?.1.split('&').find_map(value_in)
    } else {
        url.split_whitespace().find_map(value_in)
    }
}

fn append(url: &mut String, name: &str, value: &str) {
    if after_scheme(url).is_some() {
        let separator = if url.contains('?') { '&' } else { '?' };
        let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        // libpq decodes %20 only; `+` is a plus sign to it.
        url.push_str(&format!("{separator}{name}={}", value.replace('+', "%20")));
    } else {
        let value = value.replace('\\', "\\\\").replace('\'', "\\'");
        url.push_str(&format!(" {name}='{value}'"));
    }
}

fn place(url: &str) -> String {
    let Some(rest) = after_scheme(url) else {
        let host = parameter(url, "host").unwrap_or("localhost");
        return format!("{host}/{}", parameter(url, "dbname").unwrap_or_default());
    };
    let path = rest.split_once('?').map_or(rest, |(path, _)| path);
    let path = path.rsplit_once('@').map_or(path, |(_, path)| path);
    let (host, database) = path.split_once('/').unwrap_or((path, ""));
    let host = match host {
        "" => parameter(url, "host").map_or_else(|| String::from("localhost"), percent_decoded),
        host => host.to_owned(),
    };
    format!("{host}/{}", percent_decoded(database))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = (first == b'%').then(|| tail.get(..2)).flatten();
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(url: &str) -> ConnectInfo {
        ConnectInfo::new(Secret::new(url), true)
    }

    #[test]
    fn a_place_names_hosts_and_database_and_no_secret() {
        for (url, expected) in [
            (
                "postgres://me:pa%40ss@db.example:5433/sales?sslmode=require",
                "db.example:5433/sales",
            ),
            ("postgres://a:b@one:5432,two:5433/x", "one:5432,two:5433/x"),
            ("postgres:///x?host=%2Frun%2Fpg&user=me", "/run/pg/x"),
            ("postgres://me:p@ss/word@host/db", "host/db"),
            ("host=h dbname=d password=geheim", "h/d"),
            ("postgres://localhost", "localhost/"),
        ] {
            assert_eq!(info(url).place(), expected, "{url}");
        }
    }

    #[test]
    fn what_the_user_says_about_the_connection_is_kept() {
        let url = info("postgres://h/d?connect_timeout=60&keepalives_idle=5").complete_url("aqueduct users writer-0");
        assert_eq!(url.expose().matches("connect_timeout").count(), 1);
        assert!(
            url.expose()
                .contains("connect_timeout=60&keepalives_idle=5&tcp_user_timeout=15000&")
        );
        assert!(
            url.expose()
                .ends_with("&target_session_attrs=read-write&application_name=aqueduct%20users%20writer-0")
        );
    }

    #[test]
    fn both_forms_of_an_address_are_completed() {
        assert!(
            info("postgres://h/d")
                .complete_url("a")
                .expose()
                .starts_with("postgres://h/d?connect_timeout=5&")
        );
        let pairs = info("host=h password='x y'").complete_url("it's");
        assert!(pairs.expose().starts_with("host=h password='x y' connect_timeout='5' "));
        assert!(pairs.expose().ends_with("application_name='it\\'s'"));
    }

    #[test]
    fn debug_shows_no_password() {
        assert!(!format!("{:?}", info("postgres://me:geheim@h/d")).contains("geheim"));
    }

    #[test]
    fn messages_lose_the_password_in_every_spelling() {
        for (url, message) in [
            ("postgres://me:gehe%69m@h/d", "role gehe%69m or geheim"),
            ("postgres://me@h/d?password=geheim", "invalid token geheim"),
            ("postgres://me:ge@heim@h/d", "unexpected character in ge@heim and ge"),
            ("host=h password=geheim", "missing = after geheim"),
        ] {
            let redacted = info(url).redact(message);
            assert!(
                !redacted.contains("ge") || redacted.contains("unexpected"),
                "{redacted}"
            );
            assert!(!redacted.contains("heim"), "{redacted}");
        }
    }
}
