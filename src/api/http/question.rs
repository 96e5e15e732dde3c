//! What is sent for one page: the address and the body.

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Map, Value};
use url::Url;

use super::links;
use crate::{
    api::pagination::PageRequest,
    config::settings::{self, Body, HttpSource, Place},
};

/// A request for one page, without its headers and credentials.
#[derive(Clone)]
pub(super) struct Question {
    pub method: Method,
    pub url: Url,
    pub body: Option<Bytes>,
}

/// Makes the requests of one source.
pub(super) struct Questions {
    method: Method,
    url: Url,
    query: Vec<(String, String)>,
    body: Option<Body>,
    place: Place,
}

impl Questions {
    pub(super) fn new(settings: &HttpSource) -> Self {
        Self {
            method: match settings.method {
                settings::Method::Get => Method::GET,
                settings::Method::Post => Method::POST,
                settings::Method::Put => Method::PUT,
                settings::Method::Patch => Method::PATCH,
            },
            url: settings.url.clone(),
            query: settings.query.clone(),
            body: settings.body.clone(),
            place: settings.place,
        }
    }

    /// The address of the source: what may have its credentials.
    pub(super) fn home(&self) -> &Url {
        &self.url
    }

    /// The request for a page. Errors are sentences.
    pub(super) fn page(&self, request: &PageRequest) -> Result<Question, String> {
        let url = match &request.link {
            // A link is complete: it is followed as it is.
            Some(link) => links::address(link, &self.url)?,
            None => {
                let mut url = self.url.clone();
                let mut params = self.query.iter().chain(&request.params).peekable();
                if params.peek().is_some() {
                    url.query_pairs_mut().extend_pairs(params);
                }
                url
            }
        };
        Ok(Question {
            method: self.method.clone(),
            url,
            body: self.body(&request.members),
        })
    }

    fn body(&self, members: &[(String, Value)]) -> Option<Bytes> {
        let mut object = match (&self.body, self.place) {
            (Some(Body::Text(text)), _) => return Some(Bytes::copy_from_slice(text.expose().as_bytes())),
            (Some(Body::Json(object)), _) => object.clone(),
            (None, Place::Body) => Map::new(),
            (None, Place::Query) => return None,
        };
        for (name, value) in members {
            put(&mut object, name, value.clone());
        }
        Some(Value::Object(object).to_string().into())
    }
}

/// Puts a value where a name with dots leads; objects on the way are made.
fn put(object: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            object.insert(name.to_owned(), value);
        }
        Some((head, rest)) => {
            let below = object.entry(head).or_insert_with(|| Value::Object(Map::new()));
            // The configuration refuses a name that leads through anything else.
            if let Value::Object(below) = below {
                put(below, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_with_dots_leads_into_objects() {
        let mut object = json!({"variables": {"first": 5}})
            .as_object()
            .expect("an object")
            .clone();
        put(&mut object, "variables.after", json!("abc"));
        put(&mut object, "page.size", json!(7));
        put(&mut object, "x", json!([1]));
        assert_eq!(
            Value::Object(object),
            json!({"variables": {"first": 5, "after": "abc"}, "page": {"size": 7}, "x": [1]})
        );
    }
}
