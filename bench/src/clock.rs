//! Wall time and CPU time of this process between two moments.

#![expect(
    clippy::disallowed_types,
    reason = "wall time is what is measured; no virtual clock runs here"
)]

use std::{fs, io, time::Instant};

/// `/proc` counts in hundredths on every Linux that we know of (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) struct Clock {
    started: Instant,
    cpu: f64,
}

impl Clock {
    pub(crate) fn start() -> io::Result<Self> {
        let cpu = cpu_seconds()?;
        Ok(Self {
            started: Instant::now(),
            cpu,
        })
    }

    /// Seconds of wall time and of CPU time since the start.
    pub(crate) fn stop(&self) -> io::Result<(f64, f64)> {
        let wall = self.started.elapsed().as_secs_f64();
        Ok((wall, cpu_seconds()? - self.cpu))
    }
}

/// `utime + stime` of `/proc/self/stat`, the fields 14 and 15 (proc(5)); the second one, the name, may contain blanks.
fn cpu_seconds() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    Ok(ticks / TICKS_PER_SECOND)
}
