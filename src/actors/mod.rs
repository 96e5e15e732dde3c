//! The cast: five rooms that do not know each other. Neighbours are `Recipient`s given at birth.

pub mod consumer;
pub mod fetcher;
pub mod producer;
pub mod transformer;
pub mod writer;
