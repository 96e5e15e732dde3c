//! How a source is split: stripes of page numbers, or declared sets of query parameters.

use serde_json::{Map, Value};

use crate::{config::settings::Shards, model::ShardId};

/// Enumerates the shards of a source, by number from 0. Their content is canonical JSON: keys sorted, no blanks.
pub fn shards(settings: &Shards) -> Vec<ShardId> {
    let contents: Vec<String> = match settings {
        Shards::Stripes(of) => (0..(*of).max(1))
            .map(|stripe| format!(r#"{{"of":{},"stripe":{stripe}}}"#, (*of).max(1)))
            .collect(),
        Shards::Declared(sets) => sets.iter().map(|set| canonical(&Value::Object(set.clone()))).collect(),
    };
    (0..)
        .zip(contents)
        .map(|(number, content)| ShardId {
            number,
            content: content.into(),
        })
        .collect()
}

/// What one shard takes of the whole. Each shard can tell this alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardScope {
    /// Its place among the shards, from 0.
    pub index: u64,
    /// How many shards there are.
    pub of: u64,
    /// The distance from one of its pages to its next.
    pub stride: u64,
    /// Query parameters of its own.
    pub params: Vec<(String, String)>,
}

impl ShardScope {
    /// Looks a shard up; `None` where the settings have no such shard.
    pub fn of(settings: &Shards, shard: &ShardId) -> Option<Self> {
        let known = shards(settings);
        let index = known.iter().position(|candidate| candidate.content == shard.content)?;
        let of = known.len() as u64;
        Some(match settings {
            Shards::Stripes(_) => Self {
                index: index as u64,
                of,
                stride: of,
                params: Vec::new(),
            },
            Shards::Declared(sets) => Self {
                index: index as u64,
                of,
                stride: 1,
                params: parameters(sets.get(index)?),
            },
        })
    }

    /// The first page of this shard.
    pub fn first(&self, first: u64) -> Option<u64> {
        if self.stride == 1 {
            Some(first)
        } else {
            first.checked_add(self.index)
        }
    }

    /// This shard's fair share of `total` records: the shares of all shards add up to it.
    pub fn share(&self, total: u64) -> u64 {
        total / self.of + u64::from(self.index < total % self.of)
    }
}

fn parameters(set: &Map<String, Value>) -> Vec<(String, String)> {
    let mut names: Vec<_> = set.iter().collect();
    names.sort_by_key(|(name, _)| *name);
    let mut params = Vec::new();
    for (name, value) in names {
        match value {
            Value::Array(values) => params.extend(values.iter().map(|value| (name.clone(), text(value)))),
            value => params.push((name.clone(), text(value))),
        }
    }
    params
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declared(sets: &[Value]) -> Shards {
        Shards::Declared(sets.iter().map(|set| set.as_object().expect("a set").clone()).collect())
    }

    #[test]
    fn stripes_have_canonical_content_and_share_the_pages() {
        let settings = Shards::Stripes(4);
        let shards = shards(&settings);
        let contents: Vec<&str> = shards.iter().map(|shard| &*shard.content).collect();
        assert_eq!(contents[0], r#"{"of":4,"stripe":0}"#);
        assert_eq!(contents[3], r#"{"of":4,"stripe":3}"#);
        assert_eq!(
            shards.iter().map(|shard| shard.number).collect::<Vec<_>>(),
            [0, 1, 2, 3]
        );
        let firsts: Vec<_> = shards
            .iter()
            .map(|shard| ShardScope::of(&settings, shard).expect("known").first(1))
            .collect();
        assert_eq!(firsts, [Some(1), Some(2), Some(3), Some(4)]);
    }

    #[test]
    fn declared_sets_become_query_parameters_in_a_fixed_order() {
        let settings = declared(&[
            json!({"nat": "fr", "adult": true, "ids": [7, 8]}),
            json!({"nat": "de \"x\""}),
        ]);
        let shards = shards(&settings);
        assert_eq!(&*shards[0].content, r#"{"adult":true,"ids":[7,8],"nat":"fr"}"#);
        assert_eq!(&*shards[1].content, r#"{"nat":"de \"x\""}"#);
        let scope = ShardScope::of(&settings, &shards[0]).expect("known");
        let pairs: Vec<(&str, &str)> = scope.params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("adult", "true"), ("ids", "7"), ("ids", "8"), ("nat", "fr")]);
        assert_eq!((scope.first(1), scope.stride), (Some(1), 1));
    }

    #[test]
    fn fair_shares_add_up_to_the_whole() {
        for (of, total) in [(1, 10_000), (3, 10_000), (4, 3), (7, 0), (7, u64::MAX)] {
            let shares = (0..of).map(|index| {
                ShardScope {
                    index,
                    of,
                    stride: of,
                    params: vec![],
                }
                .share(total)
            });
            assert_eq!(shares.clone().sum::<u64>(), total);
            assert!(shares.clone().max().expect("some") - shares.min().expect("some") <= 1);
        }
    }

    #[test]
    fn a_shard_of_other_settings_is_unknown() {
        let old = shards(&Shards::Stripes(2));
        assert_eq!(ShardScope::of(&Shards::Stripes(4), &old[1]), None);
    }
}
