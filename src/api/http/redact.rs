//! What may be said about a request: no passwords, keys or tokens, whether from the address, the query or a header.

use std::sync::{PoisonError, RwLock};

use url::Url;

use crate::config::settings::{Auth, HttpSource};

const HIDDEN: &str = "***";
const MAX_EXCERPT_CHARS: usize = 200;
/// A value that is longer than this is hidden whatever its name: it may be a token.
const MAX_SHOWN_VALUE: usize = 32;
/// A parameter whose name contains one of these is hidden.
const SECRET_NAMES: [&str; 10] = [
    "key", "token", "secret", "pass", "pwd", "auth", "sig", "cred", "session", "hash",
];

/// Takes secrets out of messages.
pub(super) struct Redactor {
    secrets: Vec<String>,
    /// Tokens and keys that came while it runs; the last few, as those before them have expired.
    learnt: RwLock<Vec<String>>,
    /// The query parameter of `auth`, which is hidden whatever its name.
    param: Option<String>,
}

/// Shorter ones would tear holes into ordinary words.
const MIN_SECRET: usize = 6;
const MAX_LEARNT: usize = 16;

impl Redactor {
    /// Collects what must never be shown.
    pub(super) fn new(settings: &HttpSource) -> Self {
        let mut secrets = Vec::new();
        for (_, value) in &settings.headers {
            // `Bearer abc`: the second word alone is a secret too.
            secrets.extend(value.expose().split_whitespace().map(str::to_owned));
        }
        let query = settings.query.iter().map(|(name, value)| (name.clone(), value.clone()));
        let in_url = settings
            .url
            .query_pairs()
            .map(|(name, value)| (name.into_owned(), value.into_owned()));
        secrets.extend(
            query
                .chain(in_url)
                .filter(|(name, value)| is_secret(name, value))
                .map(|(_, value)| value),
        );
        secrets.extend(settings.url.password().map(str::to_owned));
        let mut param = None;
        match &settings.auth {
            Auth::None => {}
            Auth::Bearer { token: secret } | Auth::Basic { password: secret, .. } => {
                secrets.push(secret.value.expose().to_owned());
            }
            Auth::ApiKey { name, key, in_query } => {
                secrets.push(key.value.expose().to_owned());
                param = in_query.then(|| name.clone());
            }
            Auth::Oauth2 {
                token_url,
                client_secret,
                ..
            } => {
                secrets.push(client_secret.value.expose().to_owned());
                secrets.extend(token_url.password().map(str::to_owned));
            }
        }
        secrets.retain(|secret| secret.len() >= MIN_SECRET);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self {
            secrets,
            learnt: RwLock::default(),
            param,
        }
    }

    /// Hides this one too from now on.
    pub(super) fn learn(&self, secret: &str) {
        let mut learnt = self.learnt.write().unwrap_or_else(PoisonError::into_inner);
        if secret.len() < MIN_SECRET || learnt.iter().any(|known| known == secret) {
            return;
        }
        if learnt.len() >= MAX_LEARNT {
            learnt.remove(0);
        }
        learnt.push(secret.to_owned());
    }

    /// `GET http://host/path?page=3&api_key=***`
    pub(super) fn request(&self, method: &str, url: &Url) -> String {
        let mut shown = format!("{method} {}://{}", url.scheme(), url.host_str().unwrap_or_default());
        if let Some(port) = url.port() {
            shown.push_str(&format!(":{port}"));
        }
        shown.push_str(url.path());
        for (at, (name, value)) in url.query_pairs().enumerate() {
            let is_hidden = is_secret(&name, &value) || self.param.as_deref() == Some(&*name);
            let value = if is_hidden { HIDDEN } else { &value };
            shown.push_str(&format!("{}{name}={value}", if at == 0 { '?' } else { '&' }));
        }
        self.hide(shown)
    }

    /// The beginning of a body on one line, after `: `; nothing for an empty one.
    pub(super) fn excerpt(&self, body: &[u8]) -> String {
        // Secrets are hidden before the cut, or half of one might stay.
        let beginning = &body[..body.len().min(MAX_EXCERPT_CHARS * 16)];
        let text = self.hide(String::from_utf8_lossy(beginning).into_owned());
        let words: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|w| !w.is_empty())
            .collect();
        let line = words.join(" ");
        let cut: String = line.chars().take(MAX_EXCERPT_CHARS).collect();
        match (cut.is_empty(), cut.len() < line.len()) {
            (true, _) => String::new(),
            (false, true) => format!(": {cut}…"),
            (false, false) => format!(": {cut}"),
        }
    }

    fn hide(&self, text: String) -> String {
        let learnt = self.learnt.read().unwrap_or_else(PoisonError::into_inner);
        self.secrets
            .iter()
            .chain(&*learnt)
            .fold(text, |text, secret| text.replace(secret.as_str(), HIDDEN))
    }
}

fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    value.len() > MAX_SHOWN_VALUE || SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::http::source::test_settings, config::settings::Secret};

    fn redactor(url: &str) -> (Redactor, Url) {
        let mut settings = test_settings(url);
        settings.headers = vec![("authorization".to_owned(), Secret::new("Bearer sk-1234567"))];
        (Redactor::new(&settings), settings.url)
    }

    #[test]
    fn a_request_is_shown_without_its_secrets() {
        let (redactor, url) = redactor("https://me:pass-word@api.example:8443/v1?page=3&api_key=abcdefgh&q=sk-1234567");
        assert_eq!(
            redactor.request("GET", &url),
            "GET https://api.example:8443/v1?page=3&api_key=***&q=***"
        );
    }

    #[test]
    fn an_excerpt_is_one_short_line_without_secrets() {
        let (redactor, _) = redactor("http://me:pass-word@host/?token=t0k3n-t0k3n");
        assert_eq!(redactor.excerpt(b""), "");
        assert_eq!(
            redactor.excerpt(b" bad\n\tkey \x07sk-1234567, t0k3n-t0k3n, pass-word"),
            ": bad key ***, ***, ***"
        );
        let long = redactor.excerpt("é".repeat(500).as_bytes());
        assert_eq!(long.chars().count(), 2 + 200 + 1);
    }
}
