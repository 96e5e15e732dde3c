//! The body of an answer, decompressed as it comes, and never more of it than may be.

use bytes::{Bytes, BytesMut};
use reqwest::Response;

/// Of an answer that is not a success only this much is read.
const MAX_ERROR_BODY: usize = 16 * 1024;
/// What a server announces is set aside only up to this size; the rest has to come first.
const MAX_RESERVED: usize = 1024 * 1024;

/// Reads a body; `None` when it is larger than the limit. What counts is its size after decompression: a small body that
/// unpacks into a huge one is cut at the limit.
pub(super) async fn read(response: &mut Response, limit_bytes: usize) -> Result<Option<Bytes>, reqwest::Error> {
    let announced = response
        .content_length()
        .map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > limit_bytes {
        return Ok(None);
    }
    let mut body = BytesMut::with_capacity(announced.min(MAX_RESERVED));
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit_bytes {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.freeze()))
}

/// The beginning of a body that is only for a message: that it broke or is long changes nothing.
pub(super) async fn beginning(response: &mut Response) -> BytesMut {
    let mut body = BytesMut::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= MAX_ERROR_BODY {
            break;
        }
    }
    body
}
