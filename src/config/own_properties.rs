//! The properties of librdkafka that aqueduct sets itself. `[kafka.properties]` may not hold them: an identity, a strategy or an
//! isolation level of the user's own would take a guarantee away in silence.

/// Each property, and what stands on it.
pub const OWN_PROPERTIES: [(&str, &str); 17] = [
    ("bootstrap.servers", "the brokers are named by `kafka.brokers`"),
    ("metadata.broker.list", "the brokers are named by `kafka.brokers`"),
    ("group.id", "the groups bear the pipeline's name"),
    ("group.protocol", "ownership is built on the classic protocol"),
    (
        "group.instance.id",
        "the members of one daemon would push each other out",
    ),
    ("transactional.id", "it is the identity of a shard's only writer"),
    ("enable.idempotence", "transactions need it"),
    ("acks", "a transaction needs every replica's acknowledgement"),
    (
        "request.required.acks",
        "a transaction needs every replica's acknowledgement",
    ),
    ("delivery.report.only.error", "commits would take 100 ms each"),
    ("enable.auto.commit", "the offsets that count are kept in PostgreSQL"),
    ("auto.commit.enable", "the offsets that count are kept in PostgreSQL"),
    ("isolation.level", "records of aborted transactions must not be read"),
    ("auto.offset.reset", "a reset would lose or double records in silence"),
    (
        "partition.assignment.strategy",
        "partitions are handed over cooperatively",
    ),
    ("enable.partition.eof", "the end of a partition must be noticed"),
    (
        "enable.auto.offset.store",
        "the offsets that count are kept in PostgreSQL",
    ),
];
