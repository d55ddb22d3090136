//! How much memory another process takes.

use std::time::Duration;

const SHORT: Duration = Duration::from_micros(100);
const LONG: Duration = Duration::from_millis(2);

/// The most memory a process held, asked for until it is gone, in megabytes. What `wait4` tells
/// counts the program that started it too, as it was before the other's began.
#[must_use]
pub fn peak_of(process: u32) -> f64 {
    let mut peak_kib = 0;
    // A process that lives for milliseconds is looked at as often as it takes to see it.
    let mut pauses = std::iter::repeat_n(SHORT, 100).chain(std::iter::repeat(LONG));
    while let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) {
        let high_water = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let Some(high_water) = high_water else { break };
        peak_kib = high_water
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap_or(peak_kib);
        std::thread::sleep(pauses.next().unwrap_or(LONG));
    }
    f64::from(peak_kib) * 1024.0 / 1e6
}
