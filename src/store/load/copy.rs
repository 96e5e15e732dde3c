//! COPY into a table that is known only at run time.
//!
//! diesel's [`CopyTarget`] has no `self`: the target's text reaches `walk_target` through a thread-local. The trait's
//! method is hidden from diesel's documentation, which is why diesel's version is pinned.

use std::{cell::RefCell, io::Write};

use diesel::{
    PgConnection, QueryResult,
    pg::{CopyFormat, CopyTarget, Pg},
    query_builder::AstPass,
    result::{DatabaseErrorKind, Error},
};

use crate::sql::encode;

/// How much is gathered before libpq is called: it copies what it gets, and a call a row would cost more than that.
const CHUNK_BYTES: usize = 128 << 10;

/// No more than this at a time: a connection keeps a buffer as large as the largest piece for as long as it lives.
const PIECE_BYTES: usize = 2 * CHUNK_BYTES;

thread_local! {
    static TARGET: RefCell<String> = const { RefCell::new(String::new()) };
}

mod dummy {
    diesel::table! {
        /// Stands for any table; never read.
        aqueduct_copy_target (id) {
            id -> Integer,
        }
    }
}

struct RuntimeTarget;

impl CopyTarget for RuntimeTarget {
    type Table = dummy::aqueduct_copy_target::table;
    type SqlType = diesel::sql_types::Integer;

    fn walk_target(mut pass: AstPass<'_, '_, Pg>) -> QueryResult<()> {
        TARGET.with_borrow(|target| pass.push_sql(target));
        Ok(())
    }
}

/// Sends tuples to `target`, which is `"schema"."table" ("column", …)`, and returns how many rows the server took.
/// `append(index, out)` appends the `index`-th of `num_tuples`.
pub(super) fn copy_in(
    conn: &mut PgConnection,
    target: &str,
    num_tuples: usize,
    append: impl Fn(usize, &mut Vec<u8>),
) -> QueryResult<usize> {
    use diesel::ExecuteCopyFromDsl;

    TARGET.set(target.to_owned());
    diesel::copy_from(dummy::aqueduct_copy_target::table)
        .from_raw_data(RuntimeTarget, |sink| -> QueryResult<()> {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
            chunk.extend_from_slice(encode::HEADER);
            for index in 0..num_tuples {
                append(index, &mut chunk);
                if chunk.len() >= CHUNK_BYTES {
                    send(sink, &chunk)?;
                    chunk.clear();
                    // One huge row is no reason to keep its memory until the end of the batch.
                    chunk.shrink_to(PIECE_BYTES);
                }
            }
            chunk.extend_from_slice(&encode::TRAILER);
            send(sink, &chunk)
        })
        .with_format(CopyFormat::Binary)
        .execute(conn)
}

/// Sends a chunk, which one huge row may have made larger than the others.
fn send(sink: &mut dyn Write, chunk: &[u8]) -> QueryResult<()> {
    chunk
        .chunks(PIECE_BYTES)
        .try_for_each(|piece| sink.write_all(piece).map_err(unsent))
}

/// libpq takes data for as long as there is a connection; it tells what the server thinks of them at the end.
fn unsent(error: std::io::Error) -> Error {
    Error::DatabaseError(DatabaseErrorKind::UnableToSendCommand, Box::new(error.to_string()))
}
