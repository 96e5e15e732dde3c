//! What a request is authorised by, and where a new one comes from when the API refuses it.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use reqwest::{
    Client,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use tokio::time::Instant;
use url::Url;

use super::{links, oauth2::TokenServer, redact::Redactor};
use crate::{
    api::ApiError,
    config::{
        read_secret,
        settings::{Auth, Credential, HttpSource, Secret},
    },
};

/// What one request bears.
#[derive(Clone)]
pub(super) struct Grant {
    /// Which one it is, from 1: what was refused is replaced once, however many requests bore it.
    number: u64,
    header: Option<(HeaderName, HeaderValue)>,
    param: Option<(String, Secret)>,
    expires: Option<Instant>,
}

impl Grant {
    /// Adds the credential to a request to its own API; takes it out of one that leads elsewhere, where a server may have
    /// copied it from the request before.
    pub(super) fn apply(&self, url: &mut Url, headers: &mut HeaderMap, is_home: bool) {
        if let (Some((name, value)), true) = (&self.header, is_home) {
            headers.insert(name, value.clone());
        }
        if let Some((name, secret)) = &self.param {
            if is_home {
                links::remove_param(url, |other, _| other == name);
                url.query_pairs_mut().append_pair(name, secret.expose());
            } else {
                links::remove_param(url, |other, value| other == name || value == secret.expose());
            }
        }
    }
}

/// What became of a refused credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// There is another one now, or there will be with the next request.
    Another,
    /// Its file still holds the same one; somebody may be about to write it.
    Same,
    /// It is in the configuration: there will be no other.
    Fixed,
}

/// The credentials of one source.
pub(super) struct Credentials {
    auth: Auth,
    server: Option<TokenServer>,
    client: Client,
    redactor: Arc<Redactor>,
    current: Mutex<Option<Grant>>,
    /// One token at a time is asked for, and all wait for that one.
    renewing: tokio::sync::Mutex<()>,
}

impl Credentials {
    pub(super) fn new(settings: &HttpSource, client: Client, redactor: Arc<Redactor>) -> Result<Self, ApiError> {
        let credentials = Self {
            auth: settings.auth.clone(),
            server: TokenServer::of(settings, client.clone(), Arc::clone(&redactor)),
            client,
            redactor,
            current: Mutex::new(None),
            renewing: tokio::sync::Mutex::new(()),
        };
        if let Some(secret) = credentials.credential() {
            let grant = credentials.grant_of(1, &secret.value).ok_or(ApiError::Configure {
                place: "auth",
                problem: "the credential has characters that no header may have".to_owned(),
            })?;
            credentials.set(Some(grant));
        }
        Ok(credentials)
    }

    /// The name of the query parameter that is a secret.
    pub(super) fn param(&self) -> Option<&str> {
        match &self.auth {
            Auth::ApiKey {
                name, in_query: true, ..
            } => Some(name),
            _ => None,
        }
    }

    /// What the next request bears. Asks for a token where there is none, or none that will last.
    pub(super) async fn grant(&self) -> Result<Option<Grant>, ApiError> {
        let Some(server) = &self.server else {
            return Ok(self.current());
        };
        if let Some(grant) = self.current() {
            return Ok(Some(grant));
        }
        let _one_at_a_time = self.renewing.lock().await;
        if let Some(grant) = self.current() {
            return Ok(Some(grant));
        }
        let token = server.ask().await?;
        let number = self.lock().as_ref().map_or(0, |grant| grant.number) + 1;
        let mut grant = self
            .grant_of(number, &token.secret)
            .ok_or_else(|| server.refuse("it has characters that no header may have"))?;
        grant.expires = token.expires;
        self.set(Some(grant.clone()));
        Ok(Some(grant))
    }

    /// Looks for another credential after the API has refused this one.
    pub(super) async fn renew(&self, refused: &Grant) -> Renewal {
        if self.lock().as_ref().is_some_and(|grant| grant.number != refused.number) {
            return Renewal::Another;
        }
        if self.server.is_some() {
            if let Some(grant) = self.lock().as_mut() {
                grant.expires = Some(Instant::now());
            }
            return Renewal::Another;
        }
        let Some(path) = self.credential().and_then(|credential| credential.file.clone()) else {
            return Renewal::Fixed;
        };
        // A file that cannot be read just now is like one that has not changed: the 401 tells it better.
        let read = tokio::task::spawn_blocking(move || read_secret(Path::new(&path))).await;
        let Ok(Ok(secret)) = read else {
            return Renewal::Same;
        };
        match self.grant_of(refused.number + 1, &secret) {
            Some(grant) if grant.header != refused.header || grant.param != refused.param => {
                self.set(Some(grant));
                Renewal::Another
            }
            _ => Renewal::Same,
        }
    }

    fn credential(&self) -> Option<&Credential> {
        match &self.auth {
            Auth::Bearer { token } => Some(token),
            Auth::Basic { password, .. } => Some(password),
            Auth::ApiKey { key, .. } => Some(key),
            Auth::None | Auth::Oauth2 { .. } => None,
        }
    }

    /// Makes what a request bears; `None` where no header can hold it.
    fn grant_of(&self, number: u64, secret: &Secret) -> Option<Grant> {
        let secret_value = |text: &str| {
            let mut value = HeaderValue::try_from(text).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        let (mut header, mut param) = (None, None);
        match &self.auth {
            Auth::None => {}
            Auth::Bearer { .. } | Auth::Oauth2 { .. } => {
                header = Some((AUTHORIZATION, secret_value(&format!("Bearer {}", secret.expose()))?));
            }
            Auth::Basic { user, .. } => {
                // reqwest has Base64; the address of this request is of no meaning.
                let request = self
                    .client
                    .get("http://localhost/")
                    .basic_auth(user, Some(secret.expose()));
                let value = request.build().ok()?.headers().get(AUTHORIZATION)?.clone();
                let encoded = value.to_str().ok()?.trim_start_matches("Basic ").to_owned();
                self.redactor.learn(&encoded);
                header = Some((AUTHORIZATION, value));
            }
            Auth::ApiKey {
                name, in_query: true, ..
            } => param = Some((name.clone(), secret.clone())),
            Auth::ApiKey { name, .. } => {
                header = Some((HeaderName::try_from(name).ok()?, secret_value(secret.expose())?));
            }
        }
        self.redactor.learn(secret.expose());
        Some(Grant {
            number,
            header,
            param,
            expires: None,
        })
    }

    fn current(&self) -> Option<Grant> {
        let current = self.lock().clone();
        current.filter(|grant| grant.expires.is_none_or(|expires| Instant::now() < expires))
    }

    fn set(&self, grant: Option<Grant>) {
        *self.lock() = grant;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Grant>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
