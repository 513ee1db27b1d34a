//! What the system says about the process and its threads.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What every Prometheus client tells about its process. What cannot be found out is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct ProcessSnapshot {
    /// CPU time of all threads, user and system.
    pub(super) cpu: Duration,
    /// Resident memory in bytes.
    pub(super) resident_bytes: Option<u64>,
    /// Virtual memory in bytes.
    pub(super) virtual_bytes: Option<u64>,
    /// Open file descriptors.
    pub(super) open_fds: Option<u64>,
    /// Threads.
    pub(super) threads: Option<u64>,
    /// When the process started, in seconds since 1970.
    pub(super) start_seconds: Option<f64>,
}

impl ProcessSnapshot {
    /// The process as it is now. Reads a few files of `/proc` where there is one.
    pub(super) fn take() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = Duration::new(
            u64::try_from(cpu.tv_sec).unwrap_or_default(),
            u32::try_from(cpu.tv_nsec).unwrap_or_default(),
        );
        let stat = std::fs::read_to_string("/proc/self/stat").ok();
        let stat = stat.as_deref().and_then(Stat::parse);
        let page = rustix::param::page_size() as u64;
        let start_seconds = stat.as_ref().and_then(|stat| {
            let boot = boot_seconds(&std::fs::read_to_string("/proc/stat").ok()?)?;
            Some(boot as f64 + stat.start_ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
        });
        Self {
            cpu,
            resident_bytes: stat.as_ref().map(|stat| stat.resident_pages * page),
            virtual_bytes: stat.as_ref().map(|stat| stat.virtual_bytes),
            // Reading the folder takes a descriptor of its own.
            open_fds: std::fs::read_dir("/proc/self/fd")
                .ok()
                .map(|fds| (fds.count() as u64).saturating_sub(1)),
            threads: stat.as_ref().map(|stat| stat.threads),
            start_seconds,
        }
    }
}

/// Some fields of `/proc/self/stat`; see proc_pid_stat(5).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field, the program's name in parentheses, may itself hold spaces and parentheses.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The first field after the name is number 3.
        let field = |number: usize| fields.get(number - 3)?.parse().ok();
        Some(Self {
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

fn boot_seconds(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The calling thread's id, as [`thread_cpu_nanos`] takes it; 0 where there is none.
pub(super) fn current_thread() -> u32 {
    #[cfg(target_os = "linux")]
    return rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
    #[cfg(not(target_os = "linux"))]
    return 0;
}

/// The CPU time of a thread of this process in nanoseconds, where the system tells it (Linux with scheduler
/// statistics).
pub(super) fn thread_cpu_nanos(thread: u32) -> Option<u64> {
    if thread == 0 {
        return None;
    }
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    // Time on a CPU, time waiting for one, slices run. All zero where the kernel does not keep them.
    text.split_ascii_whitespace().next()?.parse().ok().filter(|nanos| *nanos > 0)
}

/// The CPU time of a thread of this process, where the system tells it.
pub(crate) fn thread_cpu(thread: i32) -> Option<Duration> {
    thread_cpu_nanos(u32::try_from(thread).ok()?).map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_named_with_parentheses_and_spaces_is_read_right() {
        let text = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 5 6 0 0 20 0 9 0 12345 1000000 250 18446744073709551615\n";
        let expected = Stat { threads: 9, start_ticks: 12345, virtual_bytes: 1_000_000, resident_pages: 250 };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("7 (a"), None);
        assert_eq!(boot_seconds("cpu 1 2\nbtime 1700000000\nprocesses 3\n"), Some(1_700_000_000));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_threads_and_a_start_in_the_past() {
        let process = ProcessSnapshot::take();
        assert!(process.resident_bytes > Some(100_000));
        assert!(process.virtual_bytes > process.resident_bytes);
        assert!(process.open_fds >= Some(1) && process.threads >= Some(1));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let start = process.start_seconds.unwrap();
        assert!(start > 1.5e9 && start <= now + 2.0, "{start} {now}");
    }

    #[test]
    fn a_thread_that_is_none_has_no_cpu_time() {
        assert_eq!(thread_cpu_nanos(0), None);
        assert_eq!(thread_cpu_nanos(u32::MAX), None);
    }
}
