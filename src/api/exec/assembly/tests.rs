use std::time::Duration;

use super::*;
use crate::api::exec::cursor::CursorKind;

const LIMITS: Batch = Batch {
    rows: 4,
    bytes: 1_000,
    age: Duration::from_millis(200),
};

fn start() -> RunCursor {
    RunCursor {
        kind: CursorKind::Exec,
        run: 1,
        started_ms: 0,
        state: None,
        since: Prefix::default(),
        records: 0,
        done: false,
    }
}

/// A run whose output is played: a number is a record, `=text` a state.
struct Play {
    assembly: Assembly,
    pages: Vec<Fetched>,
}

impl Play {
    fn new(waits: bool, cursor: &RunCursor) -> Self {
        Self {
            assembly: Assembly::new(LIMITS, waits, cursor.clone()),
            pages: Vec::new(),
        }
    }

    fn print(&mut self, output: &str) -> Result<(), Diverged> {
        let now = Instant::now();
        for word in output.split_whitespace() {
            match word.strip_prefix('=') {
                Some(state) => self.assembly.state(state.to_owned(), now),
                None => self.assembly.record(record(word), now)?,
            }
            while let Some(page) = self.assembly.page(now) {
                self.pages.push(page);
            }
        }
        Ok(())
    }

    /// What is committed after `LIMITS.age`.
    fn wait(&mut self) {
        while let Some(page) = self.assembly.page(Instant::now() + LIMITS.age) {
            self.pages.push(page);
        }
    }

    /// Ends with 0.
    fn end(&mut self) -> Result<(), Diverged> {
        let last = self.assembly.last_page()?;
        self.pages.push(last);
        Ok(())
    }

    /// Fails.
    fn fail(&mut self) {
        if self.assembly.has_ready() {
            let page = self.assembly.ready_page();
            self.pages.push(page);
        }
    }

    /// The records of all pages.
    fn records(&self) -> String {
        let texts: Vec<String> = self.pages.iter().flat_map(|page| &page.records).map(text).collect();
        texts.join(" ")
    }

    fn cursor(&self) -> RunCursor {
        serde_json::from_value(self.pages.last().expect("a page").cursor_after.clone()).expect("a cursor")
    }

    fn state(&self) -> Option<String> {
        self.cursor().state
    }
}

fn record(text: &str) -> PageRecord {
    PageRecord {
        key: None,
        payload: text.to_owned().into(),
        reject: None,
    }
}

fn text(record: &PageRecord) -> String {
    String::from_utf8_lossy(&record.payload).into_owned()
}

#[tokio::test]
async fn records_wait_for_the_state_that_follows_them() {
    let mut run = Play::new(true, &start());
    run.print("1 2").expect("known");
    run.wait();
    assert_eq!(run.records(), "", "no state follows them");
    run.print("=b 3").expect("known");
    run.wait();
    assert_eq!((run.records().as_str(), run.state().as_deref()), ("1 2", Some("b")));
    run.fail();
    assert_eq!(run.records(), "1 2", "3 comes again when a run begins at b");
    assert!(!run.cursor().done);
}

#[tokio::test]
async fn a_run_that_ends_well_commits_all_of_it_and_the_next_one_knows_what_came_after_the_last_state() {
    let mut run = Play::new(true, &start());
    run.print("1 =a 2 3").expect("known");
    run.end().expect("known");
    assert_eq!((run.records().as_str(), run.cursor().done), ("1 2 3", true));
    let mut next = Play::new(true, &run.cursor());
    next.print("2 3 4 =b").expect("the same");
    next.end().expect("the same");
    assert_eq!((next.records().as_str(), next.state().as_deref()), ("4", Some("b")));
}

#[tokio::test]
async fn a_failure_commits_what_had_its_state() {
    let mut run = Play::new(true, &start());
    run.print("1 2 =a 3").expect("known");
    run.fail();
    assert_eq!((run.records().as_str(), run.state().as_deref()), ("1 2", Some("a")));
    let mut silent = Play::new(true, &start());
    silent.print("1 2").expect("known");
    silent.fail();
    assert_eq!(silent.pages.len(), 0);
}

#[tokio::test]
async fn more_records_than_a_page_holds_go_and_a_repeat_leaves_them_out() {
    let mut run = Play::new(true, &start());
    run.print("1 =a 2 3 4 5 6 7").expect("known");
    assert_eq!(run.records(), "1 2 3 4 5", "two pages, 6 and 7 wait");
    assert_eq!((run.state().as_deref(), run.cursor().since.records), (Some("a"), 4));
    let mut repeat = Play::new(true, &run.cursor());
    repeat.print("2 3 4 5 6 7 =b").expect("the same");
    repeat.end().expect("the same");
    assert_eq!(
        (repeat.records().as_str(), repeat.state().as_deref()),
        ("6 7", Some("b"))
    );
}

#[tokio::test]
async fn a_repeat_may_print_its_states_elsewhere() {
    let mut run = Play::new(true, &start());
    run.print("=a 1 2 3 4 5").expect("known");
    assert_eq!(run.records(), "1 2 3 4");
    let mut repeat = Play::new(true, &run.cursor());
    repeat.print("1 2 =b 3 4 5").expect("the same");
    repeat.fail();
    assert_eq!((repeat.records().as_str(), repeat.state().as_deref()), ("", Some("b")));
    assert_eq!(repeat.cursor().since.records, 2, "3 and 4 are in");
    let mut third = Play::new(true, &repeat.cursor());
    third.print("3 4 5 =c").expect("the same");
    third.end().expect("the same");
    assert_eq!(third.records(), "5");
}

#[tokio::test]
async fn a_repeat_that_prints_something_else_is_found_out() {
    let mut run = Play::new(true, &start());
    run.print("=a 1 2 3 4").expect("known");
    for other in ["1 2 3 x", "x 2 3 4", "2 1 3 4"] {
        let mut repeat = Play::new(true, &run.cursor());
        assert_eq!(repeat.print(other), Err(Diverged { num_left_out: 4 }), "{other}");
        assert_eq!(repeat.pages.len(), 0);
    }
    let mut short = Play::new(true, &run.cursor());
    short.print("1 2").expect("so far");
    assert_eq!(short.end(), Err(Diverged { num_left_out: 2 }));
}

#[tokio::test]
async fn without_states_records_go_as_they_come_and_the_next_run_begins_anew() {
    let mut run = Play::new(false, &start());
    run.print("1").expect("known");
    run.wait();
    assert_eq!(run.records(), "1");
    run.print("2 3 4 5 6").expect("known");
    run.end().expect("known");
    assert_eq!(run.records(), "1 2 3 4 5 6");
    assert_eq!(
        (run.state(), run.cursor().since.records, run.cursor().records),
        (None, 0, 6)
    );
    let mut next = Play::new(false, &run.cursor());
    next.print("1 2").expect("nothing is known");
    next.end().expect("nothing is known");
    assert_eq!(next.records(), "1 2");
}

#[tokio::test]
async fn declared_states_that_never_come_are_the_end_of_the_run() {
    let mut run = Play::new(true, &start());
    run.print("1 2 3 4 5").expect("known");
    assert_eq!((run.records().as_str(), run.cursor().since.records), ("1 2 3 4", 4));
    let mut repeat = Play::new(true, &run.cursor());
    repeat.print("1 2 3 4 5").expect("the same");
    repeat.end().expect("the same");
    assert_eq!((repeat.records().as_str(), repeat.cursor().since.records), ("5", 0));
}

#[tokio::test]
async fn the_first_state_makes_records_wait_from_then_on() {
    let mut run = Play::new(false, &start());
    run.print("1 =a 2").expect("known");
    run.wait();
    run.wait();
    assert_eq!(run.records(), "1");
    let mut resumed = Play::new(false, &run.cursor());
    resumed.print("2").expect("known");
    resumed.wait();
    assert_eq!(resumed.records(), "");
}

#[tokio::test]
async fn a_state_alone_moves_the_cursor_and_the_same_state_moves_nothing() {
    let mut run = Play::new(true, &start());
    run.print("=a").expect("known");
    run.wait();
    assert_eq!((run.pages.len(), run.state().as_deref()), (1, Some("a")));
    run.print("1 =a").expect("known");
    run.wait();
    run.fail();
    assert_eq!(
        (run.pages.len(), run.records().as_str()),
        (1, ""),
        "1 would be printed again"
    );
}

#[tokio::test]
async fn an_empty_run_is_over_too() {
    let mut run = Play::new(false, &start());
    run.end().expect("known");
    assert_eq!((run.records().as_str(), run.cursor().done), ("", true));
}
