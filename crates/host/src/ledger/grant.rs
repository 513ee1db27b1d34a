//! What the machine and the control group of the process grant it.

use std::path::Path;

const MB: u64 = 1 << 20;

/// The memory that this process may use by default, in bytes: what the machine has, or less where its control group
/// (or one above it) grants less, without a reserve for everything but guests. `None` where the system does not tell.
pub(crate) fn granted() -> Option<u64> {
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    let groups = read("/proc/self/cgroup");
    let grant = machine(&read("/proc/meminfo"))
        .into_iter()
        .chain(control_groups(Path::new("/sys/fs/cgroup"), &groups));
    grant.min().map(without_reserve)
}

/// A tenth, or 256 MB if that is more, is for the program itself, the page tables, and the system around it. Of
/// little, half.
fn without_reserve(grant: u64) -> u64 {
    grant - (grant / 10).max(256 * MB).min(grant / 2)
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn machine(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The limits of the groups that `/proc/self/cgroup` names, and of all above them, in the hierarchies under `root`:
/// version 2's single one, and version 1's for memory. A group may be named as its host sees it, while the container
/// sees only its own part: what is not there says nothing.
fn control_groups(root: &Path, groups: &str) -> Vec<u64> {
    let mut limits = Vec::new();
    for line in groups.lines() {
        // hierarchy:controllers:path
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (folder, file) = if controllers.is_empty() {
            (root.to_owned(), "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            (root.join("memory"), "memory.limit_in_bytes")
        } else {
            continue;
        };
        for group in Path::new(path.trim_start_matches('/')).ancestors() {
            let limit = std::fs::read_to_string(folder.join(group).join(file));
            // `max`, or a number beyond any memory, is none; the machine's own is less than that.
            limits.extend(limit.ok().and_then(|text| text.trim().parse::<u64>().ok()));
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read() {
        assert_eq!(machine("MemFree: 1 kB\nMemTotal:       24683884 kB\n"), Some(24_683_884 * 1024));
        assert_eq!(machine("MemTotal: much\n"), None);
        assert_eq!(machine(""), None);
    }

    #[test]
    fn the_reserve_is_a_tenth_or_256_megabytes_or_half() {
        assert_eq!(without_reserve(10_240 * MB), 9216 * MB);
        assert_eq!(without_reserve(1024 * MB), 768 * MB);
        assert_eq!(without_reserve(256 * MB), 128 * MB);
        assert_eq!(without_reserve(0), 0);
    }

    #[test]
    fn the_groups_of_both_versions_and_those_above_them_are_read() {
        let root = std::env::temp_dir().join(format!("nexus-cgroup-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let file = root.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write("apps/nexus/memory.max", "max\n");
        write("apps/memory.max", "1000\n");
        write("memory/a/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/memory.limit_in_bytes", "2000\n");
        assert_eq!(control_groups(&root, "0::/apps/nexus\n"), [1000]);
        assert_eq!(
            control_groups(&root, "4:memory:/a\n2:cpu,cpuacct:/b\n"),
            [9_223_372_036_854_771_712, 2000]
        );
        assert_eq!(control_groups(&root, "4:hugetlb,memory:/not/here\n"), [2000]);
        assert!(control_groups(&root, "nonsense\n0::/gone\n").is_empty());
        std::fs::remove_dir_all(root).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_grants_something() {
        assert!(granted() > Some(16 * MB));
    }
}
