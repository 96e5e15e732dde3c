//! The OIDs of PostgreSQL's built-in types that can be written; they are fixed (`pg_type.dat`).

/// `boolean`
pub const BOOL: u32 = 16;
/// `bytea`
pub const BYTEA: u32 = 17;
/// `name`
pub const NAME: u32 = 19;
/// `bigint`
pub const INT8: u32 = 20;
/// `smallint`
pub const INT2: u32 = 21;
/// `integer`
pub const INT4: u32 = 23;
/// `text`
pub const TEXT: u32 = 25;
/// `json`
pub const JSON: u32 = 114;
/// `real`
pub const FLOAT4: u32 = 700;
/// `double precision`
pub const FLOAT8: u32 = 701;
/// `character(n)`
pub const BPCHAR: u32 = 1042;
/// `character varying`
pub const VARCHAR: u32 = 1043;
/// `date`
pub const DATE: u32 = 1082;
/// `timestamp without time zone`
pub const TIMESTAMP: u32 = 1114;
/// `timestamp with time zone`
pub const TIMESTAMPTZ: u32 = 1184;
/// `numeric`
pub const NUMERIC: u32 = 1700;
/// `uuid`
pub const UUID: u32 = 2950;
/// `jsonb`
pub const JSONB: u32 = 3802;
/// `cidr`
pub const CIDR: u32 = 650;
/// `inet`
pub const INET: u32 = 869;
/// `time without time zone`
pub const TIME: u32 = 1083;
/// `interval`
pub const INTERVAL: u32 = 1186;
/// `time with time zone`
pub const TIMETZ: u32 = 1266;
/// The pseudo-type that stands for a composite type.
pub const RECORD: u32 = 2249;
/// The pseudo-type that stands for an enum.
pub const ANYENUM: u32 = 3500;
/// The pseudo-type that stands for a range or a multirange.
pub const ANYRANGE: u32 = 3831;
