//! An entry of an app's file as bytes: what is known of it without its value, and short values with that.

use ::redb::StorageError as Error;
use nexus_guest::{KvEntry, KvVersion};

use super::cost;
use super::tables::Fault;

/// Values of up to so many bytes stand with their heads.
pub(super) const SHORT: usize = 1024;

/// An entry without its value, or with it if that is short.
pub(super) struct Head<'a> {
    pub(super) version: KvVersion,
    pub(super) expires: Option<u64>,
    pub(super) length: usize,
    pub(super) metadata: Option<&'a str>,
    pub(super) value: Option<&'a [u8]>,
}

/// What stands before the metadata: version, end, length, and the metadata's length with one for whether there is any.
const FIXED: usize = 8 + 8 + 4 + 2;

impl<'a> Head<'a> {
    pub(super) fn write(entry: &KvEntry) -> Vec<u8> {
        let metadata = entry.metadata.as_deref();
        let mut head =
            Vec::with_capacity(FIXED + metadata.map_or(0, str::len) + entry.value.len().min(SHORT));
        head.extend(entry.version.0.to_le_bytes());
        head.extend(entry.expires.unwrap_or(0).to_le_bytes());
        head.extend(u32::try_from(entry.value.len()).unwrap_or(u32::MAX).to_le_bytes());
        let length = metadata.map_or(0, |text| text.len() + 1);
        head.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
        head.extend(metadata.unwrap_or_default().as_bytes());
        if entry.value.len() <= SHORT {
            head.extend(&*entry.value);
        }
        head
    }

    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        Self::parse(bytes).ok_or_else(|| Error::Corrupted("an entry makes no sense".into()).into())
    }

    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk::<8>()?;
        let (expires, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (metadata, rest) = rest.split_first_chunk::<2>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let metadata = match u16::from_le_bytes(*metadata) {
            0 => None,
            more => Some(usize::from(more) - 1),
        };
        let (metadata, rest) = match metadata {
            Some(length) => {
                let (text, rest) = rest.split_at_checked(length)?;
                (Some(std::str::from_utf8(text).ok()?), rest)
            }
            None => (None, rest),
        };
        let value = if length <= SHORT { Some(rest) } else { None };
        let fits = rest.len() == if length <= SHORT { length } else { 0 };
        let expires = u64::from_le_bytes(*expires);
        fits.then(|| Self {
            version: KvVersion(u64::from_le_bytes(*version)),
            expires: (expires != 0).then_some(expires),
            length,
            metadata,
            value,
        })
    }

    pub(super) fn cost(&self, key: &str) -> u64 {
        cost(key.len(), self.length, self.metadata.map_or(0, str::len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_head_is_read_as_it_was_written(
            version in any::<u64>(),
            expires in proptest::option::of(1u64..),
            metadata in proptest::option::of("\\PC{0,100}"),
            value in proptest::collection::vec(any::<u8>(), 0..2000),
        ) {
            let metadata: Option<Box<str>> = metadata.map(Into::into);
            let entry = KvEntry { value: value.clone().into(), metadata, expires, version: KvVersion(version) };
            let written = Head::write(&entry);
            let head = Head::parse(&written).unwrap();
            prop_assert_eq!((head.version, head.expires, head.length), (entry.version, expires, value.len()));
            prop_assert_eq!(head.metadata, entry.metadata.as_deref());
            prop_assert_eq!(head.value, (value.len() <= SHORT).then_some(&*value));
            for cut in 0..written.len() {
                prop_assert!(Head::parse(&written[..cut]).is_none());
            }
        }

        #[test]
        fn any_bytes_are_a_head_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Head::parse(&bytes);
        }
    }
}
