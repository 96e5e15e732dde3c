//! The thread that polls the group and reads the partitions' queues. It never waits for anything else.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, TryRecvError, channel},
    },
    thread::Thread,
    time::Duration,
};

use futures::channel::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::{
    batching::Reading,
    news::News,
    questions::Questions,
    stalls::{Stand, Stands},
};
use crate::{
    config::settings::Batch,
    failpoint,
    log::{Cancel, LoadMember, Log, LogError, ReadLimit, ReadOutcome, TopicSpec},
    messages::{Claim, RawBatch},
    model::LogRecord,
    supervision::{Life, Progress},
};

/// The longest nap: the group is polled at least this often.
const NAP: Duration = Duration::from_millis(10);

/// How often it is asked whether the topics are still the same. Each batch asks, too, but a partition that gets no record
/// has none.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What the actor tells the reader.
pub(super) enum Order {
    /// Read this partition from here on.
    Read { claim: Arc<Claim>, next_offset: i64 },
    /// A batch of this claim is settled.
    Settled {
        partition: i32,
        epoch: i64,
        next_offset: i64,
    },
    /// Read no further; the group's question is still open.
    Leave(Vec<i32>),
    /// Answer the group: these are given back.
    Release(Vec<i32>),
}

/// Orders for the reader, and a tap on its shoulder.
pub(super) struct Orders {
    sender: Sender<Order>,
    thread: std::sync::mpsc::Receiver<Thread>,
    known: Option<Thread>,
}

impl Orders {
    pub(super) fn send(&mut self, order: Order) {
        // A thread that has ended has failed this life already, or was asked to end.
        let _ = self.sender.send(order);
        if self.known.is_none() {
            self.known = self.thread.try_recv().ok();
        }
        if let Some(thread) = &self.known {
            thread.unpark();
        }
    }
}

/// What the reader works with.
pub(super) struct ReaderSettings {
    pub(super) log: Arc<dyn Log>,
    pub(super) spec: TopicSpec,
    pub(super) limits: Batch,
    /// What may be unsettled over all partitions before one of them may read a second batch.
    pub(super) budget_bytes: usize,
    pub(super) questions: Questions,
    /// Where this thread says how far each partition is.
    pub(super) stands: Stands,
}

/// Starts the thread.
pub(super) fn spawn(life: &Life, settings: ReaderSettings, news: UnboundedSender<News>) -> Orders {
    let (sender, inbox) = channel();
    let (tell_thread, thread) = channel();
    let reading = life.clone();
    let started = life.thread("reader", move |cancel| {
        let _ = tell_thread.send(std::thread::current());
        let reader = open(&settings, &cancel).map(|member| Reader {
            settings: &settings,
            member,
            readings: HashMap::new(),
            news: &news,
        });
        let ended = reader.and_then(|reader| reader.read_for_ever(&inbox, reading.progress(), &cancel));
        if let Err(error) = ended
            && !cancel.is_cancelled()
        {
            reading.fail(error);
        }
    });
    if let Err(error) = started {
        life.fail(error);
    }
    Orders {
        sender,
        thread,
        known: None,
    }
}

fn open(settings: &ReaderSettings, cancel: &Cancel) -> Result<Box<dyn LoadMember>, LogError> {
    let thread = std::thread::current();
    settings.log.prepare(&settings.spec, cancel)?;
    settings
        .log
        .join_load(&settings.spec, Arc::new(move || thread.unpark()))
}

struct Reader<'a> {
    settings: &'a ReaderSettings,
    member: Box<dyn LoadMember>,
    readings: HashMap<i32, Reading>,
    news: &'a UnboundedSender<News>,
}

impl Reader<'_> {
    fn read_for_ever(mut self, inbox: &Receiver<Order>, progress: &Progress, cancel: &Cancel) -> Result<(), LogError> {
        let _work = progress.work();
        let mut buffer = Vec::new();
        let mut due = Instant::now() + ASK_AGAIN;
        while !cancel.is_cancelled() {
            progress.mark();
            let mut busy = false;
            loop {
                match inbox.try_recv() {
                    Ok(order) => {
                        self.obey(order)?;
                        busy = true;
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            for event in self.member.poll(Duration::ZERO)? {
                busy = true;
                if self.news.unbounded_send(News::Group(event)).is_err() {
                    return Ok(());
                }
            }
            let held_bytes = self.readings.values().map(Reading::held_bytes).sum();
            let mut free_bytes = self.settings.budget_bytes.saturating_sub(held_bytes);
            for partition in self.fullest_first() {
                busy |= self.read(partition, &mut buffer, &mut free_bytes)?;
            }
            self.settings.stands.note(self.stands());
            if Instant::now() >= due {
                due = Instant::now() + ASK_AGAIN;
                self.ask_again();
            }
            if !busy {
                std::thread::park_timeout(self.nap());
            }
        }
        Ok(())
    }

    /// What is left of the budget goes to the batch that is nearest to its end: one that is full can be worked on, and
    /// four quarters cannot.
    fn fullest_first(&self) -> Vec<i32> {
        let mut partitions: Vec<i32> = self.readings.keys().copied().collect();
        partitions.sort_by_cached_key(|partition| Reverse(self.readings[partition].gathered_bytes()));
        partitions
    }

    /// Whoever answers tells the actor where it is another topic; nobody waits here.
    fn ask_again(&self) {
        let topics: HashSet<_> = self.readings.values().map(|reading| reading.claim.topic_id).collect();
        topics
            .into_iter()
            .for_each(|topic| drop(self.settings.questions.ask(topic)));
    }

    fn stands(&self) -> impl Iterator<Item = Stand> {
        self.readings.iter().filter_map(|(partition, reading)| {
            Some(Stand {
                partition: *partition,
                epoch: reading.claim.epoch,
                at: reading.reads_from()?,
            })
        })
    }

    fn nap(&self) -> Duration {
        let now = Instant::now();
        let due = self
            .readings
            .values()
            .filter(|reading| reading.room().is_some())
            .filter_map(Reading::due)
            .min();
        due.map_or(NAP, |due| due.saturating_duration_since(now).min(NAP))
    }

    fn obey(&mut self, order: Order) -> Result<(), LogError> {
        match order {
            Order::Read { claim, next_offset } => {
                let partition = claim.key.partition;
                self.readings
                    .insert(partition, Reading::new(claim, next_offset, self.settings.limits));
                self.member.assign(&[(partition, next_offset)])
            }
            Order::Settled {
                partition,
                epoch,
                next_offset,
            } => {
                if let Some(reading) = self.readings.get_mut(&partition).filter(|r| r.claim.epoch == epoch) {
                    reading.settled();
                    self.member.note_settled(partition, next_offset);
                }
                Ok(())
            }
            Order::Leave(partitions) => {
                partitions
                    .iter()
                    .for_each(|partition| drop(self.readings.remove(partition)));
                Ok(())
            }
            Order::Release(partitions) => {
                partitions
                    .iter()
                    .for_each(|partition| drop(self.readings.remove(partition)));
                self.member.release(&partitions)
            }
        }
    }

    /// Whether anything came. `free_bytes` is what may be read, before and after.
    fn read(&mut self, partition: i32, buffer: &mut Vec<LogRecord>, free_bytes: &mut usize) -> Result<bool, LogError> {
        let Some(reading) = self.readings.get_mut(&partition) else {
            return Ok(false);
        };
        let Some(limit) = reading.room() else {
            return Ok(false);
        };
        let bytes = match reading.is_first() {
            true => limit.bytes,
            false => limit.bytes.min(*free_bytes),
        };
        let outcome = match bytes {
            // What is in hand may have become old all the same.
            0 => ReadOutcome::Empty,
            _ => self.member.read(partition, ReadLimit { bytes, ..limit }, buffer)?,
        };
        let any = !buffer.is_empty();
        let held_bytes = reading.held_bytes();
        let position = if outcome == ReadOutcome::End {
            self.member.position(partition)
        } else {
            None
        };
        let cut = reading.add(buffer, outcome, position, Instant::now());
        *free_bytes = free_bytes.saturating_sub(reading.held_bytes() - held_bytes);
        if let Some(cut) = cut {
            failpoint::reach("load-after-fetch");
            let batch = RawBatch {
                claim: reading.claim.clone(),
                expected_offset: cut.expected_offset,
                next_offset: cut.next_offset,
                records: cut.records,
                identity: self.settings.questions.ask(reading.claim.topic_id),
            };
            // The actor is gone with its life; so is this thread, soon.
            let _ = self.news.unbounded_send(News::Batch(Box::new(batch)));
        }
        if outcome == ReadOutcome::OutOfRange {
            let epoch = reading.claim.epoch;
            // Said once: reading begins anew with another claim, if there is one.
            self.readings.remove(&partition);
            let _ = self.news.unbounded_send(News::OutOfRange { partition, epoch });
        }
        Ok(any)
    }
}
