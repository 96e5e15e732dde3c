//! One request and its whole answer, redirects included, within one deadline and one limit of size.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use reqwest::{
    Client, Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT},
    redirect::Policy,
};
use url::Url;

use super::{
    Limits, body,
    credentials::{Credentials, Grant},
    links,
    pause::retry_after,
    question::{Question, Questions},
    redact::Redactor,
    redirect,
};
use crate::{api::ApiError, config::settings::HttpSource};

const MAX_REDIRECTS: usize = 10;

/// A successful answer.
pub(super) struct Answer {
    /// The request, without secrets.
    pub request: String,
    /// The body, decompressed; `None` = the server says that there is none (204, 205).
    pub body: Option<Bytes>,
    /// Where the page was found in the end.
    pub url: Url,
    /// The target of the header `Link` with `rel="next"`, as written.
    pub next: Option<String>,
}

/// Asks for pages.
pub(super) struct Exchange {
    client: Client,
    pub(super) questions: Questions,
    pub(super) credentials: Credentials,
    headers: HeaderMap,
    timeout: Duration,
    max_page_bytes: usize,
    retry_after_max: Duration,
    redactor: Arc<Redactor>,
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
        let headers = headers(settings)?;
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
        let redactor = Arc::new(Redactor::new(settings));
        Ok(Self {
            questions: Questions::new(settings),
            credentials: Credentials::new(settings, client.clone(), Arc::clone(&redactor))?,
            client,
            headers,
            timeout: settings.timeout,
            max_page_bytes: settings.max_page_bytes,
            retry_after_max: settings.retry_after_max,
            redactor,
        })
    }

    /// The beginning of a body as messages show it.
    pub(super) fn excerpt(&self, body: &[u8]) -> String {
        self.redactor.excerpt(body)
    }

    /// The link to the next page as a cursor keeps it. Errors are sentences.
    pub(super) fn keep(&self, link: &str, page: &Url) -> Result<String, String> {
        links::keep(link, page, self.questions.home(), self.credentials.param())
    }

    /// Fetches one page. The deadline is for everything together: a body that trickles never trips a time-out per read.
    pub(super) async fn ask(&self, question: &Question, grant: Option<&Grant>) -> Result<Answer, ApiError> {
        match tokio::time::timeout(self.timeout, self.follow(question, grant)).await {
            Ok(answer) => answer,
            Err(_) => Err(ApiError::Deadline {
                request: self.describe(&question.method, &question.url),
                limit: self.timeout,
            }),
        }
    }

    fn describe(&self, method: &Method, url: &Url) -> String {
        self.redactor.request(method.as_str(), url)
    }

    async fn follow(&self, question: &Question, grant: Option<&Grant>) -> Result<Answer, ApiError> {
        let mut next = question.clone();
        for _ in 0..=MAX_REDIRECTS {
            let request = self.describe(&next.method, &next.url);
            let response = self.send(&request, &next, grant).await?;
            if !redirect::is_redirect(response.status()) {
                return self.finish(request, next.url, response).await;
            }
            next = redirect::target(&next, self.questions.home(), &response)
                .map_err(|problem| ApiError::Redirect { request, problem })?;
        }
        let problem = format!(
            "more than {MAX_REDIRECTS} redirects; the last one leads to {}",
            self.describe(&next.method, &next.url)
        );
        Err(ApiError::Redirect {
            request: self.describe(&question.method, &question.url),
            problem,
        })
    }

    async fn send(&self, request: &str, question: &Question, grant: Option<&Grant>) -> Result<Response, ApiError> {
        let is_home = question.url.origin() == self.questions.home().origin();
        let (mut url, mut headers) = (question.url.clone(), self.headers.clone());
        if !is_home {
            if question.body.is_some() {
                return Err(ApiError::Redirect {
                    request: request.to_owned(),
                    problem: "it is at another host than `url`, which does not get the body of the request; if it may \
                              have it, write that address as `url`"
                        .to_owned(),
                });
            }
            redirect::strip(&mut headers);
        }
        if let Some(grant) = grant {
            grant.apply(&mut url, &mut headers, is_home);
        }
        if question.body.is_some() {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
        }
        let mut sending = self.client.request(question.method.clone(), url).headers(headers);
        if let Some(body) = &question.body {
            sending = sending.body(body.clone());
        }
        sending.send().await.map_err(|error| broken(request, error))
    }

    async fn finish(&self, request: String, url: Url, mut response: Response) -> Result<Answer, ApiError> {
        let status = response.status();
        if status.is_success() {
            let limit_bytes = self.max_page_bytes;
            let next = links::next_of(response.headers());
            let body = match body::read(&mut response, limit_bytes)
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
                url,
                next,
            });
        }
        let retry_after = retry_after(response.headers(), SystemTime::now(), self.retry_after_max);
        let beginning = body::beginning(&mut response).await;
        Err(ApiError::Status {
            excerpt: self.excerpt(&beginning),
            status: status.as_u16(),
            request,
            retry_after,
        })
    }
}

/// The headers of every request to the source's own host.
fn headers(settings: &HttpSource) -> Result<HeaderMap, ApiError> {
    let refuse = |problem: String| ApiError::Configure {
        place: "headers",
        problem,
    };
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("aqueduct/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, value) in &settings.headers {
        let header =
            HeaderName::try_from(name).map_err(|error| refuse(format!("`{name}` is not a header's name: {error}")))?;
        let mut value = HeaderValue::try_from(value.expose())
            .map_err(|_| refuse(format!("the value of `{name}` has characters that no header may have")))?;
        value.set_sensitive(!redirect::HARMLESS_HEADERS.contains(&header));
        headers.insert(header, value);
    }
    Ok(headers)
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
