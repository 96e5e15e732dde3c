//! What an HTTP source sends: method, body, credentials; and how it prints.

use std::{fmt, path::PathBuf, time::Duration};

use super::{HttpSource, Paginate, Secret, Shards, shown_url};

/// `pipeline.source.method`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
}

impl Method {
    /// As it stands in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

/// `pipeline.source.body`. It may hold a secret, and never prints.
#[derive(Clone, PartialEq)]
pub enum Body {
    /// A text, sent as it is.
    Text(Secret),
    /// A table, sent as a JSON object.
    Json(serde_json::Map<String, serde_json::Value>),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text(***)",
            Self::Json(_) => "Json(***)",
        })
    }
}

/// `pipeline.source.paginate.place`: where the parameters of the pagination and of the shards go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Place {
    Query,
    Body,
}

/// A secret, and the file that it came from: that one is read again when the API answers 401.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The secret as it was when the configuration was read.
    pub value: Secret,
    /// Where it came from; `None` = the configuration itself.
    pub file: Option<PathBuf>,
}

/// `[pipeline.source.auth]`
#[derive(Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Auth {
    /// No credential but what `url`, `query` and `headers` hold.
    None,
    /// `Authorization: Bearer <token>`
    Bearer { token: Credential },
    /// `Authorization: Basic <user:password>`
    Basic { user: String, password: Credential },
    /// A key in a header or in a query parameter of this name.
    ApiKey {
        name: String,
        key: Credential,
        in_query: bool,
    },
    /// OAuth 2.0 client credentials (RFC 6749, section 4.4): tokens are fetched, and fetched anew when they expire.
    Oauth2 {
        token_url: url::Url,
        client_id: String,
        client_secret: Credential,
        scope: Option<String>,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bearer { .. } => "Bearer(***)",
            Self::Basic { .. } => "Basic(***)",
            Self::ApiKey { .. } => "ApiKey(***)",
            Self::Oauth2 { .. } => "Oauth2(***)",
        })
    }
}

impl HttpSource {
    /// A source with every default: one GET request, whose answer is an array of records.
    pub fn new(url: url::Url) -> Self {
        Self {
            url,
            method: Method::Get,
            query: vec![],
            headers: vec![],
            body: None,
            auth: Auth::None,
            records: serde_json_path::JsonPath::parse("$[*]").expect("a constant that is a JSONPath"),
            records_text: "$[*]".to_owned(),
            key: None,
            key_text: None,
            paginate: Paginate::Single,
            place: Place::Query,
            every: None,
            rate: None,
            timeout: Duration::from_secs(30),
            retry_after_max: Duration::from_secs(600),
            max_page_bytes: 64 << 20,
            max_pages: 1_000_000,
            shards: Shards::Stripes(1),
        }
    }
}

/// An API's key may be in the address, in a parameter or in the body: none of them prints, only parameters' names do.
impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query: Vec<(&str, &str)> = self.query.iter().map(|(name, _)| (name.as_str(), "***")).collect();
        f.debug_struct("HttpSource")
            .field("url", &shown_url(&self.url))
            .field("method", &self.method)
            .field("query", &query)
            .field("headers", &self.headers)
            .field("body", &self.body)
            .field("auth", &self.auth)
            .field("records", &self.records_text)
            .field("key", &self.key_text)
            .field("paginate", &self.paginate)
            .field("place", &self.place)
            .field("every", &self.every)
            .field("rate", &self.rate)
            .field("timeout", &self.timeout)
            .field("retry_after_max", &self.retry_after_max)
            .field("max_page_bytes", &self.max_page_bytes)
            .field("max_pages", &self.max_pages)
            .field("shards", &self.shards)
            .finish()
    }
}
