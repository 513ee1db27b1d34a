//! A large file as a body.

use std::fs::File;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use nexus_guest::{BodyError, BodySource};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::read::{ReadError, read};
use crate::beneath::Wait;

/// How much is read at a time, in bytes.
pub(super) const CHUNK: usize = 64 * 1024;

/// A part of a file in chunks. What the kernel has cached is read at once; for the rest a job on
/// the pool reads, one chunk ahead of the reader and no more. Reads nothing before it is polled.
pub(super) struct FileSource {
    file: Arc<File>,
    /// Where the next read starts.
    offset: u64,
    /// Bytes that no read was started for.
    unread: u64,
    /// Bytes that the reader has still to get.
    remaining: u64,
    ahead: Option<JoinHandle<Result<Bytes, ReadError>>>,
    pool: Handle,
}

impl FileSource {
    pub(super) fn new(file: File, offset: u64, length: u64, pool: Handle) -> Self {
        Self { file: Arc::new(file), offset, unread: length, remaining: length, ahead: None, pool }
    }

    fn next_length(&self) -> usize {
        self.unread.min(CHUNK as u64) as usize
    }

    fn start_read(&mut self) {
        let (file, offset, length) = (self.file.clone(), self.offset, self.next_length());
        self.advance(length);
        self.ahead = Some(self.pool.spawn_blocking(move || read(&file, offset, length, Wait::Allowed)));
    }

    fn advance(&mut self, read: usize) {
        self.offset += read as u64;
        self.unread -= read as u64;
    }

    /// Nothing more comes after an error.
    fn fail(&mut self) -> Poll<Option<Result<Bytes, BodyError>>> {
        (self.unread, self.remaining, self.ahead) = (0, 0, None);
        Poll::Ready(Some(Err(BodyError::Aborted)))
    }
}

impl BodySource for FileSource {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.ahead.is_none() {
            if self.unread == 0 {
                return Poll::Ready(None);
            }
            match read(&self.file, self.offset, self.next_length(), Wait::Never) {
                Ok(chunk) => {
                    self.advance(chunk.len());
                    self.remaining -= chunk.len() as u64;
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Err(ReadError::WouldWait) => self.start_read(),
                Err(_) => return self.fail(),
            }
        }
        let Some(job) = &mut self.ahead else { return Poll::Ready(None) };
        match ready!(Pin::new(job).poll(cx)) {
            Ok(Ok(chunk)) => {
                self.ahead = None;
                self.remaining -= chunk.len() as u64;
                if self.unread > 0 {
                    self.start_read();
                }
                Poll::Ready(Some(Ok(chunk)))
            }
            // The file was cut short or the disk failed, or the pool has ended.
            Ok(Err(_)) | Err(_) => self.fail(),
        }
    }

    fn exact_length(&self) -> Option<u64> {
        Some(self.remaining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::tests::Tree;
    use std::future::poll_fn;

    fn source(tree: &Tree, offset: u64, length: u64) -> FileSource {
        FileSource::new(File::open(tree.path("f")).unwrap(), offset, length, Handle::current())
    }

    async fn collect(mut source: FileSource) -> Result<Vec<u8>, BodyError> {
        let mut all = Vec::new();
        while let Some(chunk) = poll_fn(|cx| source.poll_chunk(cx)).await {
            all.extend_from_slice(&chunk?);
            assert!(!all.is_empty());
        }
        assert_eq!(source.exact_length(), Some(0));
        Ok(all)
    }

    #[tokio::test]
    async fn a_part_of_a_file_comes_whole_by_the_cache_and_by_the_pool() {
        let content: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let tree = Tree::empty();
        tree.write("f", &content);
        for (offset, length) in [(0, 300_000), (7, 65_536), (100_000, 200_000), (299_999, 1)] {
            let expected = &content[offset..offset + length];
            assert_eq!(collect(source(&tree, offset as u64, length as u64)).await.unwrap(), expected);
            let mut pooled = source(&tree, offset as u64, length as u64);
            pooled.start_read();
            assert_eq!(collect(pooled).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_file_that_is_cut_short_meanwhile_breaks_the_body_off() {
        let tree = Tree::empty();
        tree.write("f", vec![1; 100_000]);
        for ahead in [false, true] {
            let mut source = source(&tree, 0, 200_000);
            if ahead {
                source.start_read();
            }
            assert_eq!(collect(source).await, Err(BodyError::Aborted));
        }
    }

    #[tokio::test]
    async fn the_pool_reads_one_chunk_ahead_and_no_more() {
        let tree = Tree::empty();
        tree.write("f", vec![1; 4 * CHUNK]);
        let mut source = source(&tree, 0, 4 * CHUNK as u64);
        source.start_read();
        poll_fn(|cx| source.poll_chunk(cx)).await.unwrap().unwrap();
        assert_eq!((source.remaining, source.unread), (3 * CHUNK as u64, 2 * CHUNK as u64));
    }
}
