//! The transform without an actor. It lives in a crate of its own (`crates/sql`), because whoever names DataFusion's
//! generics pays for them at every optimised rebuild.

pub use aqueduct_sql::*;
