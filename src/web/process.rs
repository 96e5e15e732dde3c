//! What the operating system says of this process.

use std::fs;

/// The unit of times in `/proc`: USER_HZ, which is 100 on every architecture that Linux has left (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// See proc(5). What cannot be read is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    /// User and system time, in seconds.
    pub(super) cpu_seconds: Option<f64>,
    /// Memory that is in RAM, in bytes.
    pub(super) resident_bytes: Option<u64>,
    /// Address space, in bytes.
    pub(super) virtual_bytes: Option<u64>,
    /// When it started, in seconds since 1970.
    pub(super) started_seconds: Option<f64>,
    /// Files, sockets and pipes that are open.
    pub(super) open_fds: Option<u64>,
    /// OS threads.
    pub(super) threads: Option<u64>,
}

impl Process {
    /// This process now.
    pub(super) fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut process = Self::parse(
            &text("/proc/self/stat"),
            &text("/proc/self/status"),
            &text("/proc/stat"),
        );
        process.open_fds = fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count() as u64);
        process
    }

    fn parse(stat: &str, status: &str, system: &str) -> Self {
        // The name stands in parentheses and may hold blanks and parentheses itself.
        let fields: Vec<f64> = stat
            .rsplit_once(')')
            .map(|(_, rest)| {
                rest.split_whitespace()
                    .map(|field| field.parse().unwrap_or(0.0))
                    .collect()
            })
            .unwrap_or_default();
        // Counted from the state, which is field 3 of the manual.
        let field = |number: usize| fields.get(number - 3).copied();
        let kilobytes = |name: &str| -> Option<u64> {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse().ok()
        };
        let booted: Option<f64> = system
            .lines()
            .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
        Self {
            cpu_seconds: field(14)
                .zip(field(15))
                .map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            resident_bytes: kilobytes("VmRSS:").map(|size| size * 1024),
            virtual_bytes: kilobytes("VmSize:").map(|size| size * 1024),
            started_seconds: booted
                .zip(field(22))
                .map(|(booted, ticks)| booted + ticks / TICKS_PER_SECOND),
            open_fds: None,
            threads: kilobytes("Threads:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_proc_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 9 0 1000 5000 6 1 1";
        let status = "Name:\ta\nVmSize:\t  2048 kB\nVmRSS:\t   1024 kB\nThreads:\t9\n";
        let process = Process::parse(stat, status, "cpu 1\nbtime 100\n");
        let expected = Process {
            cpu_seconds: Some(3.0),
            resident_bytes: Some(1 << 20),
            virtual_bytes: Some(2 << 20),
            started_seconds: Some(110.0),
            open_fds: None,
            threads: Some(9),
        };
        assert_eq!(process, expected);
        assert_eq!(Process::parse("", "", ""), Process::default());
    }

    #[test]
    fn this_process_takes_memory() {
        let process = Process::read();
        assert!(
            process.resident_bytes.is_some_and(|bytes| bytes > 1 << 20),
            "{process:?}"
        );
        assert!(process.open_fds.is_some_and(|fds| fds >= 3));
    }
}
