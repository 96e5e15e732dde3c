//! The real server's rate limit: it counts users, not requests.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use tokio::time::{Duration, Instant};

/// Users that a client may have within [`WINDOW`].
pub(super) const MAX_USERS: u64 = 20_000;
/// From a client's first request to when its count starts anew.
pub(super) const WINDOW: Duration = Duration::from_secs(300);

/// Who has had how many users, since when.
#[derive(Default)]
pub(super) struct Quota(Mutex<HashMap<IpAddr, (Instant, u64)>>);

impl Quota {
    /// Counts a request, or refuses it because the client has had enough.
    pub(super) fn take(&self, client: IpAddr, users: u64) -> bool {
        let now = Instant::now();
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
        let (_, had) = clients.entry(client).or_insert((now, 0));
        let allowed = *had < MAX_USERS;
        if allowed {
            *had += users;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_has_twenty_thousand_users_in_five_minutes() {
        let (quota, one, other) = (
            Quota::default(),
            IpAddr::from([127, 0, 0, 1]),
            IpAddr::from([127, 0, 0, 2]),
        );
        assert!((0..4).all(|_| quota.take(one, 5_000)));
        assert!(!quota.take(one, 1));
        assert!(quota.take(other, 1));
        tokio::time::advance(Duration::from_secs(299)).await;
        assert!(!quota.take(one, 1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(quota.take(one, 1));
    }
}
