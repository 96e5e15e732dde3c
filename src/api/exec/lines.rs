//! Bytes into lines, within a limit.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

const CHUNK_BYTES: usize = 64 * 1024;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A line without its end; the last one may have had none.
    Line(Bytes),
    /// A line is longer than the limit. Nothing can be read any more.
    TooLong,
    /// The output is closed.
    End,
}

/// Reads lines. A call that is dropped loses nothing.
pub(super) struct Lines<R> {
    input: R,
    buffer: BytesMut,
    /// No line ends within so many bytes of the buffer.
    searched: usize,
    limit_bytes: usize,
    is_closed: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(input: R, limit_bytes: usize) -> Self {
        Self {
            input,
            buffer: BytesMut::new(),
            searched: 0,
            limit_bytes,
            is_closed: false,
        }
    }

    pub(super) async fn next(&mut self) -> io::Result<Read> {
        loop {
            let found = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
            if let Some(at) = found.map(|at| self.searched + at) {
                self.searched = 0;
                if at > self.limit_bytes {
                    return Ok(Read::TooLong);
                }
                let mut line = self.buffer.split_to(at + 1);
                line.truncate(at);
                return Ok(Read::Line(line.freeze()));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > self.limit_bytes {
                return Ok(Read::TooLong);
            }
            if self.is_closed {
                self.searched = 0;
                let rest = self.buffer.split().freeze();
                return Ok(if rest.is_empty() { Read::End } else { Read::Line(rest) });
            }
            if self.buffer.capacity() - self.buffer.len() < CHUNK_BYTES / 8 {
                self.buffer.reserve(CHUNK_BYTES);
            }
            self.is_closed = self.input.read_buf(&mut self.buffer).await? == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(input: &[u8], limit_bytes: usize) -> Vec<Read> {
        let mut lines = Lines::new(input, limit_bytes);
        let mut all = Vec::new();
        loop {
            let read = lines.next().await.expect("memory can be read");
            let is_last = !matches!(read, Read::Line(_));
            all.push(read);
            if is_last {
                return all;
            }
        }
    }

    fn line(text: &'static str) -> Read {
        Read::Line(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn lines_come_one_by_one_also_the_last_one_without_an_end() {
        assert_eq!(
            all(b"a\n\nbc\r\nd", 10).await,
            [line("a"), line(""), line("bc\r"), line("d"), Read::End]
        );
        assert_eq!(all(b"a\n", 10).await, [line("a"), Read::End]);
        assert_eq!(all(b"", 10).await, [Read::End]);
    }

    #[tokio::test]
    async fn a_line_beyond_the_limit_is_not_kept_in_memory() {
        assert_eq!(all(b"123\n1234\n", 3).await, [line("123"), Read::TooLong]);
        let endless = vec![b'x'; 1 << 20];
        let mut lines = Lines::new(&endless[..], 100_000);
        assert_eq!(lines.next().await.expect("memory can be read"), Read::TooLong);
        assert!(lines.buffer.len() < 100_000 + 2 * CHUNK_BYTES);
    }
}
