//! Who is in a pipeline's two groups, and what each of them has been assigned.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{consumer::Consumer, groups::GroupMemberInfo};

use super::{client::Observer, error};
use crate::{
    config::process_name,
    log::{LogError, TopicSpec},
    model::GroupMember,
};

/// How long the brokers may take for an answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Before a member's own name, in its `client.id`.
const PREFIX: &str = "aqueduct@";

/// The `client.id` of this process's members: brokers know a member by nothing else.
pub(super) fn client_id() -> String {
    format!("{PREFIX}{}", process_name())
}

/// All members of both groups, by name.
pub(super) fn members(observer: &Observer, spec: &TopicSpec) -> Result<Vec<GroupMember>, LogError> {
    let mut members: BTreeMap<String, GroupMember> = BTreeMap::new();
    for (group, is_ingest) in [
        (format!("{}.ingest", spec.pipeline), true),
        (spec.pipeline.to_string(), false),
    ] {
        if is_ingest && spec.shards.is_empty() {
            continue;
        }
        let list = observer
            .client()
            .fetch_group_list(Some(&group), LIMIT)
            .map_err(|problem| error::call("list group", &group, problem))?;
        for found in list.groups().iter().flat_map(|group| group.members()) {
            let name = name(found);
            let member = members.entry(name.clone()).or_insert_with(|| GroupMember {
                name,
                shards: Vec::new(),
                partitions: Vec::new(),
            });
            let assigned = if is_ingest {
                &mut member.shards
            } else {
                &mut member.partitions
            };
            assigned.extend(assigned_partitions(found.assignment().unwrap_or_default()).unwrap_or_default());
            assigned.sort_unstable();
        }
    }
    Ok(members.into_values().collect())
}

/// Where the user has set a `client.id`, it says little: the host is added, as the broker sees it.
fn name(member: &GroupMemberInfo) -> String {
    match member.client_id().strip_prefix(PREFIX) {
        Some(name) => name.to_owned(),
        None => format!(
            "{}@{}",
            member.client_id(),
            member.client_host().trim_start_matches('/')
        ),
    }
}

/// The partitions in a consumer's assignment, of whatever topic: version, then topics, each with its partitions.
/// <https://kafka.apache.org/protocol> calls it `ConsumerProtocolAssignment`.
fn assigned_partitions(bytes: &[u8]) -> Option<Vec<i32>> {
    let mut rest = bytes.get(2..)?;
    let mut partitions = Vec::new();
    for _ in 0..number(&mut rest)? {
        let (len, tail) = rest.split_first_chunk::<2>()?;
        rest = tail.get(usize::from(u16::from_be_bytes(*len))..)?;
        for _ in 0..number(&mut rest)? {
            partitions.push(number(&mut rest)?);
        }
    }
    Some(partitions)
}

fn number(rest: &mut &[u8]) -> Option<i32> {
    let (number, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(i32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_and_a_broken_one_is_none() {
        let bytes = [
            &[0, 3][..],
            &[0, 0, 0, 2],
            &[0, 2, b'a', b'b'],
            &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7],
            &[0, 1, b'c'],
            &[0, 0, 0, 1, 0, 0, 1, 0],
            // User data.
            &[0xFF, 0xFF, 0xFF, 0xFF],
        ]
        .concat();
        assert_eq!(assigned_partitions(&bytes), Some(vec![0, 7, 256]));
        assert_eq!(assigned_partitions(&[]), None);
        for len in 2..bytes.len() - 4 {
            assert_eq!(assigned_partitions(&bytes[..len]), None, "{len}");
        }
        assert_eq!(assigned_partitions(&[0, 1, 0x7F, 0xFF, 0xFF, 0xFF]), None);
    }
}
