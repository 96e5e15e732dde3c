//! One shard's thread: opens the shard, gathers pages into transactions, and after a fence lets the cursor say whether
//! the pages went in.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use futures::channel::mpsc::UnboundedSender;
use serde_json::Value;
use tokio::sync::oneshot;

use super::{
    envelope,
    news::News,
    settings::{ProducerSettings, Transaction},
};
use crate::{
    failpoint,
    log::{Cancel, LogError, Ownership, ShardWriter},
    messages::{Delivered, Refused},
    model::{CursorRecord, Page, ShardId, Verdict},
    supervision::Progress,
};

/// How often a waiting thread looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// What the producer asks of a shard's thread, in order.
pub(super) enum Job {
    Commit {
        page: Page,
        answer: oneshot::Sender<Result<Delivered, Refused>>,
    },
    /// Everything before is settled when this is answered with [`News::Idle`].
    TellCursor,
}

pub(super) struct ShardThread {
    pub(super) settings: ProducerSettings,
    pub(super) shard: ShardId,
    pub(super) own: Ownership,
    pub(super) heartbeat: Duration,
    pub(super) grant: u64,
    pub(super) progress: Progress,
    pub(super) log: slog::Logger,
}

/// Pages that share a transaction, and who waits for them.
#[derive(Default)]
struct Gathered {
    pages: Vec<Page>,
    answers: Vec<oneshot::Sender<Result<Delivered, Refused>>>,
    num_records: usize,
    size_bytes: usize,
    /// A `TellCursor` came after these pages.
    tell_cursor: bool,
}

impl Gathered {
    fn push(&mut self, page: Page, answer: oneshot::Sender<Result<Delivered, Refused>>) {
        self.num_records += page.records.len();
        self.size_bytes += page.size_bytes();
        self.pages.push(page);
        self.answers.push(answer);
    }

    /// Answers all pages and forgets them.
    fn settle(&mut self, delivered: bool) {
        (self.num_records, self.size_bytes) = (0, 0);
        for (page, answer) in self.pages.drain(..).zip(self.answers.drain(..)) {
            let reply = if delivered {
                Ok(Delivered {
                    num_records: page.records.len(),
                })
            } else {
                Err(Refused::Lost)
            };
            // A fetcher that is gone reads the cursor when it comes back.
            let _ = answer.send(reply);
        }
    }
}

impl ShardThread {
    /// Serves the shard until it is lost, the producer lets go of it, or `cancel`.
    pub(super) fn run(
        self,
        inbox: &Receiver<Job>,
        news: &UnboundedSender<News>,
        cancel: &Cancel,
    ) -> Result<(), LogError> {
        let wanted = || self.own.holds() && !cancel.is_cancelled();
        let mut gathered = Gathered {
            tell_cursor: true,
            ..Gathered::default()
        };
        while wanted() {
            let opened = {
                let _waiting = self.progress.wait("the log to open the shard");
                let ShardThread {
                    settings, shard, own, ..
                } = &self;
                settings.log.open_shard(&settings.spec, shard, own, cancel)
            };
            let served = opened.and_then(|mut writer| {
                self.refuse_stale(writer.as_ref())?;
                self.serve(writer.as_mut(), &mut gathered, inbox, news, cancel)
            });
            match served {
                Ok(()) => break,
                Err(error) if error.verdict() == Verdict::Lost => {
                    slog::info!(self.log, "the shard was fenced"; "shard" => %self.shard, "reason" => %error);
                    self.wait_for_fresh_knowledge(&wanted);
                }
                Err(error) => return Err(error),
            }
        }
        gathered.settle(false);
        Ok(())
    }

    /// Whoever goes on from a cursor that is older than what was committed appends pages twice. The log is not to show
    /// one; if it does, its cluster has lost data (an unclean leader election does that), and somebody has to know.
    fn refuse_stale(&self, writer: &dyn ShardWriter) -> Result<(), LogError> {
        let known = self.settings.gauges.committed_pages(self.shard.number);
        let found = writer.committed().map_or(0, |committed| committed.pages);
        if found >= known {
            return Ok(());
        }
        Err(LogError::Mismatch {
            place: format!("shard {}", self.shard),
            problem: format!(
                "the log has lost what it had confirmed: its cursor is after {found} pages, and {known} were committed. \
                 To go on from that cursor, and fetch those pages again, restart aqueduct"
            ),
        })
    }

    /// A fenced writer re-opens only after a heartbeat, and when the group has been polled since the fence: a process that
    /// was stopped for a while would otherwise push the rightful owner out.
    fn wait_for_fresh_knowledge(&self, wanted: &dyn Fn() -> bool) {
        let (started, num_polls) = (tokio::time::Instant::now(), self.own.num_polls());
        while wanted() && (started.elapsed() < self.heartbeat || self.own.num_polls() == num_polls) {
            std::thread::park_timeout(LOOK.min(self.heartbeat));
        }
    }

    /// `Ok` = nobody wants the shard served any more.
    fn serve(
        &self,
        writer: &mut dyn ShardWriter,
        gathered: &mut Gathered,
        inbox: &Receiver<Job>,
        news: &UnboundedSender<News>,
        cancel: &Cancel,
    ) -> Result<(), LogError> {
        // Pages from before a fence: the transaction is in as a whole, or not at all, or somebody else has gone on.
        let committed = committed_cursor(writer);
        if gathered.pages.last().is_some_and(|last| last.cursor_after == committed) {
            gathered.settle(true);
        } else if gathered
            .pages
            .first()
            .is_some_and(|first| first.cursor_before != committed)
        {
            gathered.settle(false);
        }
        loop {
            if !gathered.pages.is_empty() {
                self.commit(writer, gathered, cancel)?;
            }
            if std::mem::take(&mut gathered.tell_cursor) {
                let cursor = writer.committed().map(|committed| committed.cursor.clone());
                let idle = News::Idle {
                    shard: self.shard.number,
                    grant: self.grant,
                    cursor,
                };
                if news.unbounded_send(idle).is_err() {
                    return Ok(());
                }
            }
            if !self.gather(writer, gathered, inbox, cancel) {
                return Ok(());
            }
        }
    }

    /// Waits for pages and takes all that are there, up to a transaction's size. `false` = not wanted any more.
    ///
    /// There is no linger: while one transaction commits the next pages queue up, so a busy shard fills its
    /// transactions by itself and an idle one commits at once.
    fn gather(
        &self,
        writer: &dyn ShardWriter,
        gathered: &mut Gathered,
        inbox: &Receiver<Job>,
        cancel: &Cancel,
    ) -> bool {
        let mut job = loop {
            if cancel.is_cancelled() || !self.own.holds() {
                return false;
            }
            match inbox.recv_timeout(LOOK) {
                Ok(job) => break job,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        };
        let mut cursor = committed_cursor(writer);
        loop {
            match job {
                Job::TellCursor => {
                    gathered.tell_cursor = true;
                    return true;
                }
                Job::Commit { page, answer } => {
                    // A page of an earlier borrower, or one after a page that was refused: its fetcher starts over.
                    if page.cursor_before == cursor {
                        cursor = page.cursor_after.clone();
                        gathered.push(page, answer);
                    } else {
                        let _ = answer.send(Err(Refused::Lost));
                    }
                }
            }
            let Transaction { records, bytes } = self.settings.transaction;
            if gathered.num_records >= records || gathered.size_bytes >= bytes {
                return true;
            }
            match inbox.try_recv() {
                Ok(next) => job = next,
                Err(_) => return true,
            }
        }
    }

    fn commit(&self, writer: &mut dyn ShardWriter, gathered: &mut Gathered, cancel: &Cancel) -> Result<(), LogError> {
        // Not work in hand: while the log is away the commit is repeated, for as long as it takes, in bounded calls.
        let _waiting = self.progress.wait("the log to commit");
        let max_record_bytes = writer.max_record_bytes();
        let oversized = gathered.pages.iter_mut().flat_map(|page| &mut page.records);
        for record in oversized.filter(|record| envelope::is_too_large(record, max_record_bytes)) {
            envelope::wrap_too_large(record, max_record_bytes);
        }
        loop {
            let after = cursor_after(writer.committed(), &gathered.pages);
            let started = tokio::time::Instant::now();
            match writer.commit(&gathered.pages, &after, &self.own, cancel) {
                Ok(()) => {
                    failpoint::reach("ingest-before-delivered");
                    self.progress.mark();
                    self.settings.gauges.meters().appended(started.elapsed());
                    self.settings
                        .gauges
                        .produced(self.shard.number, &after, gathered.num_records);
                    gathered.settle(true);
                    return Ok(());
                }
                Err(LogError::RecordTooLarge { page, record }) => {
                    let refused = gathered
                        .pages
                        .get_mut(page)
                        .and_then(|page| page.records.get_mut(record));
                    match refused.filter(|record| record.reject.is_none()) {
                        Some(record) => envelope::wrap_too_large(record, max_record_bytes.min(128 * 1024)),
                        None => return Err(LogError::RecordTooLarge { page, record }),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn committed_cursor(writer: &dyn ShardWriter) -> Value {
    writer
        .committed()
        .map_or(Value::Null, |committed| committed.cursor.clone())
}

/// The cursor record that goes with these pages: the last page's cursor, and the shard's counts so far.
fn cursor_after(committed: Option<&CursorRecord>, pages: &[Page]) -> CursorRecord {
    let mut after = committed.cloned().unwrap_or_default();
    for page in pages {
        after.cursor = page.cursor_after.clone();
        after.fetched += page.records.len() as u64;
        after.produced += page.records.len() as u64;
        after.rejected += page.records.iter().filter(|record| record.reject.is_some()).count() as u64;
        after.pages += 1;
    }
    after
}
