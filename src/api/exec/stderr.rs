//! What the program says to people: into the log, line by line.

use std::sync::{Arc, Mutex, PoisonError};

use slog::Logger;
use tokio::{io::AsyncReadExt, process::ChildStderr, task::JoinHandle};

use super::redact::Redactor;

/// A longer line is cut into several.
const LINE_BYTES: usize = 8 * 1024;
const LINE_CHARS: usize = 2_000;
const LAST_WORDS_CHARS: usize = 200;

/// Reads stderr to its end.
pub(super) struct Listener {
    last_words: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Listener {
    pub(super) fn start(stderr: ChildStderr, redactor: Redactor, log: Logger) -> Self {
        let last_words = Arc::new(Mutex::new(String::new()));
        let words = last_words.clone();
        let task = tokio::spawn(async move {
            let mut stderr = stderr;
            let mut buffer = Vec::with_capacity(LINE_BYTES);
            let say = |line: &[u8]| {
                let shown = redactor.show(line, LINE_CHARS);
                if !shown.is_empty() {
                    slog::info!(log, "the program says"; "line" => shown);
                    *lock(&words) = redactor.excerpt(line, LAST_WORDS_CHARS);
                }
            };
            loop {
                let is_over = !matches!(stderr.read_buf(&mut buffer).await, Ok(1..));
                while let Some(at) = buffer.iter().position(|byte| *byte == b'\n') {
                    say(&buffer[..at]);
                    buffer.drain(..=at);
                }
                if is_over || buffer.len() >= LINE_BYTES {
                    say(&buffer);
                    buffer.clear();
                }
                if is_over {
                    return;
                }
            }
        });
        Self { last_words, task }
    }

    /// The last line, after `: `, once all of it has been read; nothing where the program said nothing.
    pub(super) async fn last_words(&mut self) -> String {
        // Something that the program has started may keep its stderr open.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), &mut self.task).await;
        lock(&self.last_words).clone()
    }
}

fn lock(words: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    words.lock().unwrap_or_else(PoisonError::into_inner)
}
