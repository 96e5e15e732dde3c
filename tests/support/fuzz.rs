//! Random inputs for a promise: a few in the ordinary run, and for `AQUEDUCT_FUZZ_SECONDS` where that is set.

use std::time::Duration;

use proptest::{
    strategy::Strategy,
    test_runner::{Config, FileFailurePersistence, TestCaseResult, TestRunner},
};
use tokio::time::Instant;

/// So many cases between two looks at the clock.
const ROUND: u32 = 64;

/// Checks `cases` random inputs, or as many as there is time for. What fails is made small, and its seed is kept in a folder
/// `proptest-regressions` to be tried first the next time; `source_file` is the caller's `file!()`.
pub fn fuzz<S: Strategy>(
    source_file: &'static str,
    cases: u32,
    strategy: &S,
    check: impl Fn(S::Value) -> TestCaseResult,
) {
    let variable = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let seconds = variable("AQUEDUCT_FUZZ_SECONDS");
    let cases = variable("PROPTEST_CASES").unwrap_or(cases);
    let config = Config {
        cases: if seconds.is_some() { ROUND } else { cases },
        max_shrink_iters: 20_000,
        source_file: Some(source_file),
        failure_persistence: Some(Box::new(FileFailurePersistence::SourceParallel("proptest-regressions"))),
        ..Config::default()
    };
    let start = Instant::now();
    let end = Duration::from_secs(seconds.unwrap_or(0).into());
    let mut rounds = 0_u64;
    loop {
        // A runner that has had its successes has no more to do.
        if let Err(failure) = TestRunner::new(config.clone()).run(strategy, &check) {
            panic!("{failure}");
        }
        rounds += 1;
        if start.elapsed() >= end {
            break;
        }
    }
    if seconds.is_some() {
        println!("{source_file}: {} inputs", rounds * u64::from(ROUND));
    }
}

/// Bytes that decide what a generator makes, one choice after the other. When they are used up every choice is the first
/// one, so that shorter bytes make simpler inputs: a failure shrinks by itself.
#[derive(Debug)]
pub struct Tape<'a> {
    bytes: &'a [u8],
}

impl<'a> Tape<'a> {
    #[allow(missing_docs)]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next byte; 0 at the end.
    pub fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            None => 0,
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
        }
    }

    /// A number below `count`, which is at most 65,536.
    pub fn below(&mut self, count: usize) -> usize {
        match count {
            0 | 1 => 0,
            2..=256 => usize::from(self.byte()) * count / 256,
            _ => usize::from(u16::from_be_bytes([self.byte(), self.byte()])) * count / 65_536,
        }
    }

    /// Whether something that happens once in `times` happens here.
    pub fn once_in(&mut self, times: usize) -> bool {
        times > 0 && self.below(times) + 1 == times
    }

    /// One of these.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Changes some bytes: puts in, takes out, repeats, overwrites. `pieces` are what is put in besides single bytes.
    pub fn mutate(&mut self, text: &mut Vec<u8>, pieces: &[&[u8]]) {
        for _ in 0..=self.below(4) {
            let at = self.below(text.len() + 1).min(text.len());
            match self.below(5) {
                0 => drop(text.drain(at..(at + 1 + self.below(3)).min(text.len()))),
                1 => text.insert(at, self.byte()),
                2 if at < text.len() => text[at] = self.byte(),
                3 => {
                    let end = (at + self.below(24)).min(text.len());
                    let again = text[at..end].to_vec();
                    drop(text.splice(at..at, again));
                }
                _ if pieces.is_empty() => text.truncate(at),
                _ => drop(text.splice(at..at, self.one(pieces).to_vec())),
            }
        }
    }
}

/// Pieces of JSON texts: letters, escapes, and escapes that are no character.
const TEXT: [&str; 16] = [
    "a",
    "Z",
    " ",
    "é",
    "😀",
    "\\n",
    "\\\"",
    "\\\\",
    "\\/",
    "\\u00e9",
    "\\ud83d\\ude00",
    "\\u0000",
    "\\ud800",
    "\\udc00",
    "\u{feff}",
    "{[",
];

/// Whole numbers, broken ones, the borders of the types, and some beyond every type.
const NUMBERS: [&str; 30] = [
    "127",
    "128",
    "-128",
    "-129",
    "32767",
    "-32769",
    "2147483647",
    "9223372036854775807",
    "9223372036854775807.0",
    "-9223372036854775809",
    "0",
    "7",
    "-1",
    "1.5",
    "-0.0",
    "1e3",
    "12.50",
    "2147483648",
    "-9223372036854775808",
    "9223372036854775808",
    "1e400",
    "-1E-400",
    "0.1e1",
    "1E+2",
    "123456789012345678901234567890",
    "100000000000000000000e-20",
    "0e999999",
    "1.0000",
    "99999999.99",
    "255",
];

/// Appends the JSON text of a text.
pub fn json_text(tape: &mut Tape<'_>, out: &mut Vec<u8>) {
    out.push(b'"');
    for _ in 0..tape.below(6) {
        out.extend_from_slice(tape.one(&TEXT).as_bytes());
    }
    out.push(b'"');
}

/// Appends a number.
pub fn json_number(tape: &mut Tape<'_>, out: &mut Vec<u8>) {
    if tape.once_in(3) {
        let digits = |tape: &mut Tape<'_>, most: usize| -> String {
            let len = 1 + tape.below(most);
            (0..len).map(|_| char::from(b'0' + tape.below(10) as u8)).collect()
        };
        let mut text = if tape.once_in(3) { "-".to_owned() } else { String::new() };
        match digits(tape, 22).trim_start_matches('0') {
            "" => text.push('0'),
            whole => text.push_str(whole),
        }
        if tape.once_in(2) {
            text.push('.');
            text.push_str(&digits(tape, 20));
        }
        if tape.once_in(4) {
            text.push_str(tape.one(&["e", "E", "e-", "E+"]));
            text.push_str(&digits(tape, 3));
        }
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend_from_slice(tape.one(&NUMBERS).as_bytes());
    }
}

/// Appends blanks, or nothing.
pub fn json_blanks(tape: &mut Tape<'_>, out: &mut Vec<u8>) {
    if tape.once_in(8) {
        out.extend_from_slice(tape.one(&[" ", "\n", "\t ", "\r\n"]).as_bytes());
    }
}

/// Appends any JSON value, `depth` levels deep at most.
pub fn json_value(tape: &mut Tape<'_>, depth: usize, out: &mut Vec<u8>) {
    json_blanks(tape, out);
    match tape.below(if depth == 0 { 5 } else { 7 }) {
        0 => out.extend_from_slice(b"null"),
        1 => json_number(tape, out),
        2 => json_text(tape, out),
        3 => out.extend_from_slice(b"true"),
        4 => out.extend_from_slice(b"false"),
        5 => {
            out.push(b'[');
            for index in 0..tape.below(4) {
                if index > 0 {
                    out.push(b',');
                }
                json_value(tape, depth - 1, out);
            }
            out.push(b']');
        }
        _ => json_object(tape, &["a", "b", "id", "", "\\u0061", "\\ud800"], depth - 1, out),
    }
    json_blanks(tape, out);
}

/// Appends an object with some of these names, each with any value.
pub fn json_object(tape: &mut Tape<'_>, names: &[&str], depth: usize, out: &mut Vec<u8>) {
    out.push(b'{');
    for index in 0..tape.below(5) {
        if index > 0 {
            out.push(b',');
        }
        json_blanks(tape, out);
        out.push(b'"');
        out.extend_from_slice(tape.one(names).as_bytes());
        out.extend_from_slice(b"\":");
        json_value(tape, depth, out);
    }
    out.push(b'}');
}
