//! Whether the API answers: judged by its use, and where a request hangs, by whether its address takes a connection.

use std::{
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    config::settings::Source,
    daemon::evidence::{DependencyStatus, Evidence, text},
    supervision::BoxError,
    telemetry::Meters,
};

/// The longest time that one connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The source's server.
pub(super) struct Api {
    place: String,
    host: String,
    port: u16,
    /// It is reached through a proxy: whether it can be reached directly says nothing.
    by_proxy: bool,
    pub(super) reached: Evidence,
}

impl Api {
    /// `None` where nothing is fetched over HTTP.
    pub(super) fn of(source: &Source) -> Option<Self> {
        let Source::Http(http) = source else { return None };
        let host = http.url.host_str()?.trim_matches(['[', ']']).to_owned();
        let port = http.url.port_or_known_default()?;
        let place = format!("{}://{}:{port}", http.url.scheme(), http.url.host_str()?);
        let is_loopback = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
        let proxies = ["http_proxy", "https_proxy", "all_proxy"];
        let is_set = |name: &str| {
            [name.to_owned(), name.to_ascii_uppercase()]
                .iter()
                .any(|name| std::env::var_os(name).is_some())
        };
        let by_proxy = !is_loopback && proxies.into_iter().any(is_set);
        Some(Self {
            reached: Evidence::new("api", place.clone(), "the request is repeated"),
            place,
            host,
            port,
            by_proxy,
        })
    }

    /// The API is asked only when a page is due, so its last answer stands until then. A request that hangs is in doubt, and
    /// then the server's address decides: a slow page is no outage.
    pub(super) fn judge(&self, meters: &Meters, every: Duration) -> DependencyStatus {
        let unanswered = meters.unanswered();
        let failing = unanswered.values().filter_map(|asking| asking.failing.clone()).min();
        let hangs = unanswered
            .values()
            .filter_map(|asking| asking.unanswered_since)
            .any(|since| since.elapsed() >= every);
        let reached = self.reached.judge(every * 2);
        let next = Some("the request is repeated with growing pauses; nothing is lost".to_owned());
        match failing {
            Some((since, reason)) => DependencyStatus {
                up: Some(false),
                since: text(since),
                reason: Some(reason),
                next,
                ..reached
            },
            None if hangs && !self.by_proxy && reached.is_down() => DependencyStatus { next, ..reached },
            None => DependencyStatus {
                up: Some(true),
                reason: None,
                next: None,
                ..reached
            },
        }
    }

    /// Whether the address takes a connection; `None` = no request is in doubt, so it is not asked. It costs the API
    /// nothing, and no request of its rate.
    pub(super) fn ask(&self, meters: &Meters, every: Duration) -> Option<Result<(), BoxError>> {
        let hangs = |since: Instant| since.elapsed() >= every / 2;
        let unanswered = meters.unanswered();
        let in_doubt = unanswered
            .values()
            .any(|asking| asking.unanswered_since.is_some_and(hangs));
        (in_doubt && !self.by_proxy).then(|| self.reach(every.min(CONNECT)))
    }

    fn reach(&self, limit: Duration) -> Result<(), BoxError> {
        let mut last = format!("{} has no address", self.host);
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, limit) {
                Ok(_) => return Ok(()),
                Err(error) => last = format!("no connection to {}: {error}", self.place),
            }
        }
        Err(last.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(5);

    fn api(port: u16) -> Api {
        Api {
            place: format!("http://127.0.0.1:{port}"),
            host: "127.0.0.1".into(),
            port,
            by_proxy: false,
            reached: Evidence::new("api", String::new(), ""),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_page_is_no_outage_and_a_server_that_takes_no_connection_is_one() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let api = api(listener.local_addr().unwrap().port());
        let meters = Meters::default();
        api.reached.answered();
        assert!(api.ask(&meters, EVERY).is_none(), "nothing is due, nobody is asked");
        let asking = meters.asking(0);
        asking.sent();
        tokio::time::advance(EVERY).await;
        assert!(api.ask(&meters, EVERY).unwrap().is_ok());
        api.reached.answered();
        assert_eq!(api.judge(&meters, EVERY).up, Some(true), "it is there, and slow");
        drop(listener);
        let refusal = api.ask(&meters, EVERY).unwrap().unwrap_err();
        api.reached.failed(refusal.to_string());
        let status = api.judge(&meters, EVERY);
        assert!(status.is_down() && status.reason.unwrap().contains("no connection to http://127.0.0.1"));
        asking.ended("2xx");
        assert_eq!(api.judge(&meters, EVERY).up, Some(true), "it has answered after all");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_request_is_an_outage_until_the_next_answer() {
        let (api, meters) = (api(9), Meters::default());
        api.reached.answered();
        let asking = meters.asking(0);
        asking.sent();
        asking.will_repeat("5xx", "status 503");
        let status = api.judge(&meters, EVERY);
        assert_eq!((status.up, status.reason.as_deref()), (Some(false), Some("status 503")));
        drop(asking);
        assert_eq!(api.judge(&meters, EVERY).up, Some(true));
    }
}
