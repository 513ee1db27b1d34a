//! How much an upload may hold.

/// What an upload may hold at most. Whoever uploads is not trusted with the disk: each of these is checked
/// before anything that would pass it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimits {
    /// Files and folders, together. By default 10,000.
    pub entries: usize,
    /// One file's bytes. By default 64 MB.
    pub file: u64,
    /// All files' bytes, together. By default 256 MB.
    pub total: u64,
    /// A path's bytes. By default 512.
    pub path: usize,
    /// A path's names. By default 32.
    pub depth: usize,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self { entries: 10_000, file: 64 << 20, total: 256 << 20, path: 512, depth: 32 }
    }
}

impl UploadLimits {
    /// What is wrong with one more file or folder where there are so many already.
    pub(super) fn entry_over(&self, there: usize) -> Option<String> {
        (there >= self.entries).then(|| format!("more than {} files and folders", self.entries))
    }

    /// What is wrong with a file of so many bytes beside others with `before` bytes.
    pub(super) fn file_over(&self, bytes: u64, before: u64) -> Option<String> {
        if bytes > self.file {
            return Some(format!("a file of more than {}", shown(self.file)));
        }
        (bytes > self.total.saturating_sub(before)).then(|| format!("more than {} in all", shown(self.total)))
    }
}

fn shown(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MB", bytes >> 20),
        bytes => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_the_most_that_is_allowed() {
        let limits = UploadLimits { entries: 2, file: 10, total: 1 << 20, ..UploadLimits::default() };
        assert_eq!(limits.entry_over(1), None);
        assert_eq!(limits.entry_over(2).unwrap(), "more than 2 files and folders");
        assert_eq!(limits.file_over(10, (1 << 20) - 10), None);
        assert_eq!(limits.file_over(11, 0).unwrap(), "a file of more than 10 bytes");
        assert_eq!(limits.file_over(10, (1 << 20) - 9).unwrap(), "more than 1 MB in all");
        assert!(limits.file_over(u64::MAX, u64::MAX).is_some() && limits.file_over(1, u64::MAX).is_some());
    }
}
