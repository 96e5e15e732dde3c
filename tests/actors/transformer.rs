//! The transformer: order, and what becomes of records that fail.

use actix::Actor;
use aqueduct::{
    actors::transformer::{Transformer, TransformerSettings},
    log::IdentityCheck,
    messages::{Refused, Settled, Transform, Write},
    model::{Header, IngestReject, LogRecord, Stage},
    sql::{
        LINEAGE,
        arrow::{
            array::AsArray,
            datatypes::{Int64Type, UInt32Type},
        },
    },
    supervision::Placement,
};

use crate::{
    clock::{on_real_time, until},
    neighbours::{Inbox, Neighbour},
    pipeline::{claim, program, raw},
    room::Room,
    scripted_load::record,
};

struct Scene {
    room: Room<Transformer>,
    writes: Inbox<Write>,
}

impl Scene {
    async fn new() -> Self {
        let writes = Inbox::default();
        let writer = Neighbour(writes.clone()).start().recipient();
        let settings = TransformerSettings {
            program: program(),
            tables: vec!["people".to_owned()].into(),
        };
        let make = move |life| Ok(Transformer::new(life, settings.clone(), vec![writer.clone()])?);
        let room = Room::open("transformer", Placement::Own, false, make).await;
        Self { room, writes }
    }

    fn send(&self, records: Vec<LogRecord>) -> actix::dev::Request<Transformer, Transform> {
        let batch = raw(&claim(1), records, IdentityCheck::certain());
        self.room.address().send(Transform(batch))
    }

    /// The rows and letters of one batch.
    async fn written(&self, records: Vec<LogRecord>) -> aqueduct::messages::RowBatch {
        let answer = self.send(records);
        until("it comes to the writer", || self.writes.len() == 1).await;
        let settled = Settled {
            next_offset: 99,
            num_dead: 7,
        };
        let batch = self.writes.take().answer(Ok(settled)).0;
        assert_eq!(
            answer.await.unwrap(),
            Ok(settled),
            "the writer's reply is the transformer's"
        );
        batch
    }
}

fn with(offset: i64, payload: &str) -> LogRecord {
    LogRecord {
        value: Some(payload.as_bytes().to_vec().into()),
        ..record(offset)
    }
}

fn envelope(offset: i64, reason: &str) -> LogRecord {
    let header = |name: &str, value: &str| Header {
        name: name.into(),
        value: Some(value.as_bytes().to_vec().into()),
    };
    LogRecord {
        headers: vec![
            header(IngestReject::REASON_HEADER, reason),
            header(IngestReject::SIZE_HEADER, "5000"),
        ],
        ..with(offset, "[1,2")
    }
}

#[test]
fn envelopes_become_dead_letters_of_ingest_and_failures_are_those_of_their_own_records() {
    on_real_time(async {
        let scene = Scene::new().await;
        let records = vec![
            envelope(10, "not an object"),
            record(11),
            envelope(12, "too large"),
            with(13, "{broken"),
            record(14),
            with(15, r#"{"id":1.7,"name":"inexact"}"#),
            envelope(16, "not an object"),
            record(17),
        ];
        let batch = scene.written(records.clone()).await;
        assert_eq!((batch.expected_offset, batch.next_offset), (10, 18));
        assert_eq!(batch.records, records);
        let letters: Vec<_> = batch
            .rejected
            .iter()
            .map(|letter| (letter.position.offset, letter.stage))
            .collect();
        let expected = [
            (10, Stage::Ingest),
            (12, Stage::Ingest),
            (13, Stage::Decode),
            (15, Stage::Decode),
            (16, Stage::Ingest),
        ];
        assert_eq!(letters, expected);
        assert_eq!(batch.rejected[1].reason, "too large");
        assert_eq!(batch.rejected[2].payload.as_deref(), Some(b"{broken".as_slice()));
        assert_eq!(batch.rejected[0].headers.len(), 2, "the headers are kept");

        let rows = &batch.rows.tables[0];
        let ids = rows.column_by_name("id").unwrap().as_primitive::<Int64Type>();
        let lineage = rows.column_by_name(LINEAGE[0]).unwrap().as_primitive::<UInt32Type>();
        assert_eq!(ids.values().as_ref(), [11, 14, 17]);
        assert_eq!(lineage.values().as_ref(), [1, 4, 7], "rows point at their records");
        let failures: Vec<_> = batch.rows.failures.iter().map(|failure| failure.record).collect();
        assert_eq!(failures, [3, 5]);
        assert!(scene.room.is_in_its_first_life(), "bad data ends no actor");
        scene.room.stop().await;
    });
}

#[test]
fn a_batch_of_envelopes_alone_and_one_without_records_go_through() {
    on_real_time(async {
        let scene = Scene::new().await;
        let batch = scene.written(vec![envelope(0, "a"), envelope(1, "b")]).await;
        assert_eq!((batch.rejected.len(), batch.rows.tables[0].num_rows()), (2, 0));

        let mut empty = raw(&claim(1), vec![record(2)], IdentityCheck::certain());
        empty.records.clear();
        let _answer = scene.room.address().send(Transform(empty));
        until("it comes to the writer", || scene.writes.len() == 1).await;
        let batch = scene.writes.take().message.0;
        assert_eq!(
            (batch.expected_offset, batch.next_offset, batch.records.len()),
            (2, 3, 0)
        );
        scene.room.stop().await;
    });
}

#[test]
fn batches_leave_in_the_order_in_which_they_came_without_waiting_for_the_writer() {
    on_real_time(async {
        let scene = Scene::new().await;
        // The first is the largest: whatever could overtake it would.
        let sizes = [2_000, 1, 50, 1, 300];
        let mut next = 0;
        let mut answers = Vec::new();
        for size in sizes {
            answers.push(scene.send((next..next + size).map(record).collect()));
            next += size;
        }
        until("all come to the writer", || scene.writes.len() == sizes.len()).await;
        let starts: Vec<_> = scene
            .writes
            .all()
            .iter()
            .map(|write| write.message.0.expected_offset)
            .collect();
        assert_eq!(starts, [0, 2_000, 2_001, 2_051, 2_052]);
        // Each reply finds its own batch, whatever the order of the replies.
        while scene.writes.len() > 0 {
            let last = scene.writes.all().pop().unwrap();
            let reply = match last.message.0.expected_offset {
                2_001 => Err(Refused::Lost),
                2_051 => Err(Refused::WentBack),
                _ => Ok(Settled {
                    next_offset: last.message.0.next_offset,
                    num_dead: 0,
                }),
            };
            last.answer(reply);
        }
        let mut replies = Vec::new();
        for answer in answers {
            replies.push(answer.await.unwrap().map(|settled| settled.next_offset));
        }
        assert_eq!(
            replies,
            [
                Ok(2_000),
                Ok(2_001),
                Err(Refused::Lost),
                Err(Refused::WentBack),
                Ok(2_352)
            ]
        );
        scene.room.stop().await;
    });
}
