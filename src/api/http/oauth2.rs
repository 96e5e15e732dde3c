//! Tokens by OAuth 2.0 client credentials (RFC 6749, section 4.4).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use reqwest::{
    Client,
    header::{ACCEPT, CONTENT_TYPE},
};
use serde::Deserialize;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use super::{body, pause::retry_after, redact::Redactor};
use crate::{
    api::ApiError,
    config::settings::{Auth, HttpSource, Secret},
};

const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// A token is renewed this long before it expires, or a tenth of its life where that is shorter.
const MARGIN: Duration = Duration::from_secs(30);
/// No token is believed to last longer; it also keeps the arithmetic of time from overflowing.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// A token, and when it is no longer good for a request.
pub(super) struct Token {
    pub secret: Secret,
    pub expires: Option<Instant>,
}

/// The server that gives out the tokens of one source.
pub(super) struct TokenServer {
    url: Url,
    client_id: String,
    client_secret: Secret,
    scope: Option<String>,
    timeout: Duration,
    retry_after_max: Duration,
    client: Client,
    redactor: Arc<Redactor>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
}

impl TokenServer {
    pub(super) fn of(settings: &HttpSource, client: Client, redactor: Arc<Redactor>) -> Option<Self> {
        let Auth::Oauth2 {
            token_url,
            client_id,
            client_secret,
            scope,
        } = &settings.auth
        else {
            return None;
        };
        Some(Self {
            url: token_url.clone(),
            client_id: client_id.clone(),
            client_secret: client_secret.value.clone(),
            scope: scope.clone(),
            timeout: settings.timeout,
            retry_after_max: settings.retry_after_max,
            client,
            redactor,
        })
    }

    /// Asks for a token. An outage of this server is one of the API.
    pub(super) async fn ask(&self) -> Result<Token, ApiError> {
        match tokio::time::timeout(self.timeout, self.exchange()).await {
            Ok(token) => token,
            Err(_) => Err(ApiError::Deadline {
                request: self.describe(),
                limit: self.timeout,
            }),
        }
    }

    /// The error for an answer that holds no token.
    pub(super) fn refuse(&self, problem: impl Into<String>) -> ApiError {
        ApiError::Token {
            request: self.describe(),
            problem: problem.into(),
        }
    }

    fn describe(&self) -> String {
        self.redactor.request("POST", &self.url)
    }

    fn form(&self) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = &self.scope {
            form.append_pair("scope", scope);
        }
        form.finish()
    }

    async fn exchange(&self) -> Result<Token, ApiError> {
        let broken = |error: reqwest::Error| ApiError::Exchange {
            request: self.describe(),
            source: error.without_url(),
        };
        // Section 2.3.1: both are encoded like a form before they are joined.
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let sent = self
            .client
            .post(self.url.clone())
            .basic_auth(encoded(&self.client_id), Some(encoded(self.client_secret.expose())))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(self.form())
            .send()
            .await;
        let asked = Instant::now();
        let mut response = sent.map_err(broken)?;
        let status = response.status();
        if !status.is_success() {
            // Redirects too: a secret goes where it was meant to go, or nowhere.
            let beginning = body::beginning(&mut response).await;
            return Err(ApiError::Status {
                request: self.describe(),
                status: status.as_u16(),
                excerpt: self.redactor.excerpt(&beginning),
                retry_after: retry_after(response.headers(), SystemTime::now(), self.retry_after_max),
            });
        }
        let Some(body) = body::read(&mut response, MAX_ANSWER_BYTES).await.map_err(broken)? else {
            return Err(self.refuse("the answer is larger than 64 KiB"));
        };
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| self.refuse("the answer is no JSON object with an `access_token`; check `auth.token_url`"))?;
        let is_bearer = |kind: &String| kind.eq_ignore_ascii_case("bearer");
        if !answer.token_type.as_ref().is_none_or(is_bearer) || answer.access_token.is_empty() {
            return Err(self.refuse("the answer has another `token_type` than Bearer, or an empty token"));
        }
        Ok(Token {
            secret: Secret::new(answer.access_token),
            expires: answer.expires_in.and_then(|life| seconds(&life)).map(|life| {
                let life = life.min(LONGEST_LIFE);
                asked + life.saturating_sub(MARGIN.min(life / 10))
            }),
        })
    }
}

/// Some servers write the number as a text.
fn seconds(value: &serde_json::Value) -> Option<Duration> {
    let seconds = value
        .as_u64()
        .or_else(|| value.as_f64().map(|seconds| seconds as u64))
        .or_else(|| value.as_str()?.trim().parse().ok())?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_life_is_read_as_a_number_and_as_a_text() {
        for (value, life) in [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(1.5), Some(1)),
            (json!(1e300), Some(u64::MAX)),
            (json!(null), None),
            (json!("soon"), None),
        ] {
            assert_eq!(seconds(&value), life.map(Duration::from_secs), "{value}");
        }
    }
}
