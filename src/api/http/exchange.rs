//! One request and its whole answer, redirects included, within one deadline and one limit of size.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, Method, Response, StatusCode,
    header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
    redirect::Policy,
};
use url::Url;

use super::{Limits, pause::retry_after, redact::Redactor, redirect};
use crate::{api::ApiError, config::settings::HttpSource};

const MAX_REDIRECTS: usize = 10;
/// Of an answer that is not a success only this much is read.
const MAX_ERROR_BODY: usize = 16 * 1024;

/// A successful answer.
pub(super) struct Answer {
    /// The request, without secrets.
    pub request: String,
    /// The body, decompressed; `None` = the server says that there is none (204, 205).
    pub body: Option<Bytes>,
}

/// Asks for pages.
pub(super) struct Exchange {
    client: Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
    limits: Limits,
    redactor: Redactor,
}

impl Exchange {
    pub(super) fn new(settings: &HttpSource, limits: Limits) -> Result<Self, ApiError> {
        let refuse = |place: &'static str, problem: String| ApiError::Configure { place, problem };
        if !matches!(settings.url.scheme(), "http" | "https") || settings.url.host().is_none() {
            return Err(refuse(
                "url",
                "it must begin with http:// or https:// and a host".to_owned(),
            ));
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("aqueduct/", env!("CARGO_PKG_VERSION"))),
        );
        for (name, value) in &settings.headers {
            let header = HeaderName::try_from(name)
                .map_err(|error| refuse("headers", format!("`{name}` is not a header's name: {error}")))?;
            let mut value = HeaderValue::try_from(value.expose()).map_err(|_| {
                refuse(
                    "headers",
                    format!("the value of `{name}` has characters that no header may have"),
                )
            })?;
            value.set_sensitive(!redirect::HARMLESS_HEADERS.contains(&header));
            headers.insert(header, value);
        }
        // Redirects are followed in here: reqwest would drop Authorization and cookies at the border to another host, but
        // not `X-Api-Key` and its like.
        let mut client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(limits.connect_timeout.min(settings.timeout))
            .referer(false);
        if is_loopback(&settings.url) {
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|error| refuse("url", format!("no client can be made: {error}")))?;
        Ok(Self {
            client,
            method: Method::GET,
            url: settings.url.clone(),
            headers,
            timeout: settings.timeout,
            limits,
            redactor: Redactor::new(settings),
        })
    }

    /// The address of a page.
    pub(super) fn url<'a>(&self, params: impl Iterator<Item = &'a (String, String)>) -> Url {
        let mut url = self.url.clone();
        let mut params = params.peekable();
        if params.peek().is_some() {
            url.query_pairs_mut().extend_pairs(params);
        }
        url
    }

    /// The request as messages name it.
    pub(super) fn describe(&self, url: &Url) -> String {
        self.redactor.request(self.method.as_str(), url)
    }

    /// The beginning of a body as messages show it.
    pub(super) fn excerpt(&self, body: &[u8]) -> String {
        self.redactor.excerpt(body)
    }

    /// Fetches one page. The deadline is for everything together: a body that trickles never trips a time-out per read.
    pub(super) async fn ask(&self, url: &Url) -> Result<Answer, ApiError> {
        match tokio::time::timeout(self.timeout, self.follow(url)).await {
            Ok(answer) => answer,
            Err(_) => Err(ApiError::Deadline {
                request: self.describe(url),
                limit: self.timeout,
            }),
        }
    }

    async fn follow(&self, start: &Url) -> Result<Answer, ApiError> {
        let mut url = start.clone();
        for _ in 0..=MAX_REDIRECTS {
            let request = self.describe(&url);
            let headers = redirect::headers(&self.headers, &url, start);
            let sent = self
                .client
                .request(self.method.clone(), url.clone())
                .headers(headers)
                .send()
                .await;
            let response = sent.map_err(|error| broken(&request, error))?;
            if !redirect::is_redirect(response.status()) {
                return self.finish(request, response).await;
            }
            url =
                redirect::target(&url, start, &response).map_err(|problem| ApiError::Redirect { request, problem })?;
        }
        let problem = format!(
            "more than {MAX_REDIRECTS} redirects; the last one leads to {}",
            self.describe(&url)
        );
        Err(ApiError::Redirect {
            request: self.describe(start),
            problem,
        })
    }

    async fn finish(&self, request: String, mut response: Response) -> Result<Answer, ApiError> {
        let status = response.status();
        if status.is_success() {
            let limit_bytes = self.limits.page_bytes;
            let body = match read(&mut response, limit_bytes)
                .await
                .map_err(|error| broken(&request, error))?
            {
                Some(body) => body,
                None => return Err(ApiError::PageTooLarge { request, limit_bytes }),
            };
            let has_none = matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) && body.is_empty();
            return Ok(Answer {
                request,
                body: (!has_none).then_some(body),
            });
        }
        let retry_after = retry_after(response.headers(), SystemTime::now(), self.limits.longest_retry_after);
        // What the body says is only for the message: that it broke or is long changes nothing.
        let mut body = BytesMut::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() >= MAX_ERROR_BODY {
                break;
            }
        }
        Err(ApiError::Status {
            excerpt: self.excerpt(&body),
            status: status.as_u16(),
            request,
            retry_after,
        })
    }
}

/// Reads a body; `None` when it is larger than the limit.
async fn read(response: &mut Response, limit_bytes: usize) -> Result<Option<Bytes>, reqwest::Error> {
    let announced = response
        .content_length()
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or(0);
    if announced > limit_bytes {
        return Ok(None);
    }
    let mut body = BytesMut::with_capacity(announced);
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit_bytes {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}

fn broken(request: &str, error: reqwest::Error) -> ApiError {
    ApiError::Exchange {
        request: request.to_owned(),
        source: error.without_url(),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
