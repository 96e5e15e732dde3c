//! Kafka: grants, on a broker with its StandardAuthorizer.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::{
    Said,
    kafka::{TestKafka, unique},
    topics::{fetching, on_kafka, prepare},
};

/// What an entry is about: Kafka's `ResourceType`.
#[derive(Clone, Copy)]
enum Resource {
    Topic = 2,
    Group = 3,
    TransactionalId = 5,
}

/// Kafka's `AclOperation`.
#[derive(Clone, Copy)]
enum Operation {
    All = 2,
    Read = 3,
    Describe = 8,
    DescribeConfigs = 10,
}

/// Who connects without a password.
const US: &str = "User:ANONYMOUS";

/// Adds entries, by a `CreateAcls` request (version 1, <https://kafka.apache.org/protocol>): rdkafka has no call for it.
fn allow(address: &str, entries: &[(Resource, &str, &str, Operation)]) {
    let text = |text: &str| [&i16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
    let mut request = Vec::new();
    request.extend(30_i16.to_be_bytes());
    request.extend(1_i16.to_be_bytes());
    request.extend(7_i32.to_be_bytes());
    request.extend(text("acls"));
    request.extend(i32::try_from(entries.len()).unwrap().to_be_bytes());
    for (resource, name, principal, operation) in entries {
        let (literal, allow) = (3, 3);
        request.push(*resource as u8);
        request.extend(text(name));
        request.push(literal);
        request.extend(text(principal));
        request.extend(text("*"));
        request.extend([*operation as u8, allow]);
    }
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(&i32::try_from(request.len()).unwrap().to_be_bytes())
        .unwrap();
    stream.write_all(&request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    // Correlation, throttle time, number of results, and of each the code 0 and a message that is empty.
    assert_eq!(&answer[8..12], &i32::try_from(entries.len()).unwrap().to_be_bytes());
    let is_done = |result: &[u8]| [[0, 0, 0, 0], [0, 0, 0xff, 0xff]].iter().any(|done| done == result);
    assert!(answer[12..].chunks(4).all(is_done), "{answer:?}");
}

/// The entries take a moment to reach the authorizer.
fn until(address: &str, pipelines: &str, sign: &str) -> Said {
    let mut said = on_kafka(address, pipelines);
    for _ in 0..10 {
        if said.text.contains(sign) {
            break;
        }
        said = on_kafka(address, pipelines);
    }
    said
}

#[test]
fn each_missing_grant_is_named_with_the_command_that_gives_it() {
    // The StandardAuthorizer is KRaft's, so this broker is one, whatever the others are.
    let kafka = TestKafka::kraft_with(&[
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found=true",
    ]);
    let address = kafka.address();
    let (unread, unwritten, unjoined, fenced) = (
        unique("unread"),
        unique("unwritten"),
        unique("unjoined"),
        unique("fenced"),
    );
    for name in [&unread, &unwritten, &unjoined, &fenced] {
        prepare(address, name, 2, 1);
    }
    // What has an entry is closed to all whom no entry names.
    let ids = format!("{fenced}-check");
    allow(
        address,
        &[
            (Resource::Topic, &unread, US, Operation::Describe),
            (Resource::Topic, &unwritten, US, Operation::Describe),
            (Resource::Topic, &unwritten, US, Operation::DescribeConfigs),
            (Resource::Topic, &unwritten, US, Operation::Read),
            (
                Resource::Topic,
                &format!("{unwritten}.cursors"),
                "User:somebody",
                Operation::All,
            ),
            (Resource::Group, &unjoined, US, Operation::Describe),
            (Resource::TransactionalId, &ids, "User:somebody", Operation::All),
        ],
    );
    let pipelines = [&unread, &unwritten, &unjoined, &fenced]
        .map(|name| fetching(name))
        .concat();
    let said = until(address, &pipelines, "TransactionalIdAuthorizationFailed");
    assert_eq!(said.code, Some(64), "{}", said.text);
    said.has_problem(&[&format!("topic {unread}:"), "--operation Read --topic"]);
    said.has_problem(&[&format!("topic {unwritten}:"), "--operation Write --topic"]);
    said.has_problem(&[
        &format!("topic {unwritten}.cursors:"),
        "describe it",
        "--operation Describe",
    ]);
    said.has_problem(&[&format!("group {unjoined}:"), "--operation Read", "--group"]);
    said.has_problem(&[
        &format!("transactions of {fenced}:"),
        &format!("--transactional-id {fenced}- --resource-pattern-type prefixed"),
    ]);
    assert!(
        !said.text.contains(&format!("PROBLEM: pipeline {fenced}: topic")),
        "{}",
        said.text
    );
}
