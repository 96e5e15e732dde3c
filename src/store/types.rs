//! What diesel does not map by itself with the features that are on.

use std::io::Write;

use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    serialize::{self, IsNull, Output, ToSql},
    sql_types,
};

use crate::model::TopicId;

/// A `uuid` column. diesel's own mapping is a feature whose change would rebuild everything above it.
#[derive(Clone, Copy, Debug, AsExpression, FromSqlRow)]
#[diesel(sql_type = sql_types::Uuid)]
pub(super) struct PgUuid(pub(super) uuid::Uuid);

impl From<TopicId> for PgUuid {
    fn from(id: TopicId) -> Self {
        Self(id.0)
    }
}

impl From<PgUuid> for TopicId {
    fn from(id: PgUuid) -> Self {
        Self(id.0)
    }
}

impl ToSql<sql_types::Uuid, Pg> for PgUuid {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<sql_types::Uuid, Pg> for PgUuid {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(uuid::Uuid::from_slice(value.as_bytes())?))
    }
}
