//! How much memory another process takes.

use std::time::{Duration, Instant};

/// Between two looks at most: looking takes CPU time from what is measured.
const LONGEST: Duration = Duration::from_millis(20);
/// And at least.
const SHORTEST: Duration = Duration::from_micros(100);

/// The most memory a process held, asked for until it is gone, in megabytes. What it took up in the
/// last fiftieth of its life, or in its last 20 ms, may be missing. What `wait4` tells counts the
/// program that started it too, as it was before the other's began.
#[must_use]
pub fn peak_of(process: u32) -> f64 {
    let began = Instant::now();
    let mut peak_kib = 0;
    while let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) {
        let high_water = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let Some(high_water) = high_water else { break };
        peak_kib = high_water
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap_or(peak_kib);
        std::thread::sleep((began.elapsed() / 50).clamp(SHORTEST, LONGEST));
    }
    f64::from(peak_kib) * 1024.0 / 1e6
}
