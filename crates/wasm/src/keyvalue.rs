//! `wasi:keyvalue`, in the two drafts that are in use: what a guest opens is a binding of the app's to a namespace.
//!
//! ```text
//! guest ─ open("CACHE") ─► Bucket ─ get, set, … ─► View ─► Outgoing (in the store) ─► Post: Kv::call
//! ```
//!
//! Who may do what is decided there, at every call, as for JavaScript. Batches are made together or not at all, which the
//! interface does not ask for.

/// What both drafts have alike, over the bindings in scope.
macro_rules! alike {
    () => {
        pub(super) fn link<T: HasBindings + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
            store::add_to_linker::<T, KeyValue>(linker, T::bindings)?;
            atomics::add_to_linker::<T, KeyValue>(linker, T::bindings)?;
            batch::add_to_linker::<T, KeyValue>(linker, T::bindings)
        }

        impl From<Refused> for store::Error {
            fn from(refused: Refused) -> Self {
                match refused {
                    Refused::NoSuchStore => store::Error::NoSuchStore,
                    Refused::Denied => store::Error::AccessDenied,
                    Refused::Other(why) => store::Error::Other(why),
                }
            }
        }

        /// What the guest is told.
        type Told<T> = wasmtime::Result<Result<T, store::Error>>;

        fn told<T>(result: Result<T, Refused>) -> Told<T> {
            Ok(result.map_err(store::Error::from))
        }

        impl store::Host for View<'_> {
            async fn open(&mut self, identifier: String) -> Told<Resource<Bucket>> {
                told(self.bucket(&identifier)?)
            }
        }

        impl store::HostBucket for View<'_> {
            async fn get(&mut self, bucket: Resource<Bucket>, key: String) -> Told<Option<Vec<u8>>> {
                told(self.of(&bucket)?.value(key).await)
            }

            async fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Told<()> {
                told(self.of(&bucket)?.put(vec![(key, value)]).await)
            }

            async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Told<()> {
                told(self.of(&bucket)?.take(vec![key]).await)
            }

            async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Told<bool> {
                told(self.of(&bucket)?.value(key).await.map(|value| value.is_some()))
            }

            async fn list_keys(
                &mut self,
                bucket: Resource<Bucket>,
                cursor: Option<Cursor>,
            ) -> Told<store::KeyResponse> {
                list(self, bucket, cursor).await
            }

            async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
                self.table.delete(bucket)?;
                Ok(())
            }
        }

        impl batch::Host for View<'_> {
            async fn get_many(
                &mut self,
                bucket: Resource<Bucket>,
                keys: Vec<String>,
            ) -> Told<Vec<Option<(String, Vec<u8>)>>> {
                told(self.of(&bucket)?.values(keys).await)
            }

            async fn set_many(
                &mut self,
                bucket: Resource<Bucket>,
                entries: Vec<(String, Vec<u8>)>,
            ) -> Told<()> {
                told(self.of(&bucket)?.put(entries).await)
            }

            async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Told<()> {
                told(self.of(&bucket)?.take(keys).await)
            }
        }
    };
}

mod draft;
mod draft2;

use nexus_guest::{
    Capability, CapabilityError, KvAnswer, KvChange, KvEntry, KvKey, KvList, KvOperation, KvPage,
    KvTransaction, KvVersion,
};
use wasmtime::component::{HasData, Linker, Resource};

use crate::bound::{HasBindings, View};
use crate::outgoing::Outgoing;

/// Marks what the functions see of a store.
struct KeyValue;

impl HasData for KeyValue {
    type Data<'a> = View<'a>;
}

/// Why something was not done.
enum Refused {
    NoSuchStore,
    Denied,
    Other(String),
}

impl From<CapabilityError> for Refused {
    fn from(error: CapabilityError) -> Self {
        match error {
            CapabilityError::Denied(_) => Refused::Denied,
            error => Refused::Other(error.to_string()),
        }
    }
}

/// A namespace that a guest has opened.
#[allow(unreachable_pub, reason = "the bindings export it again")]
pub struct Bucket {
    /// The binding's place among the app's.
    binding: usize,
    /// Where the pages go on that were listed last, each with its number: cursors of the first draft are numbers.
    places: Vec<(u64, String)>,
    last: u64,
}

/// How many places a bucket knows.
const PLACES: usize = 8;

impl Bucket {
    /// A number for the place behind this key.
    fn note(&mut self, key: String) -> u64 {
        self.last += 1;
        if self.places.len() == PLACES {
            self.places.remove(0);
        }
        self.places.push((self.last, key));
        self.last
    }

    /// The place of this number; none is the begin.
    fn place(&self, number: Option<u64>) -> Result<Option<String>, Refused> {
        let Some(number) = number else { return Ok(None) };
        let place = self.places.iter().find(|(other, _)| *other == number);
        match place {
            Some((_, key)) => Ok(Some(key.clone())),
            None => Err(Refused::Other("the cursor is none of the last pages'".into())),
        }
    }
}

/// What a swap is held against.
#[allow(unreachable_pub, reason = "the bindings export it again")]
pub struct Cas {
    binding: usize,
    key: KvKey,
    version: Option<KvVersion>,
}

/// Links both drafts.
pub(crate) fn link<T: HasBindings + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    draft::link(linker)?;
    draft2::link(linker)
}

fn key(text: String) -> Result<KvKey, Refused> {
    text.parse().map_err(|error| Refused::Other(format!("{error}")))
}

impl View<'_> {
    /// The binding of this name.
    fn bucket(&mut self, name: &str) -> wasmtime::Result<Result<Resource<Bucket>, Refused>> {
        let Some(binding) = self.outgoing.binding(Capability::Kv, name) else {
            return Ok(Err(Refused::NoSuchStore));
        };
        Ok(Ok(self.table.push(Bucket { binding, places: Vec::new(), last: 0 })?))
    }

    fn of(&self, bucket: &Resource<Bucket>) -> wasmtime::Result<Namespace> {
        Ok(self.at(self.table.get(bucket)?.binding))
    }

    fn at(&self, binding: usize) -> Namespace {
        Namespace { outgoing: self.outgoing.clone(), binding }
    }
}

/// A namespace by one of the app's bindings: what the functions ask it for, while the store is not looked at.
struct Namespace {
    outgoing: Outgoing,
    binding: usize,
}

impl Namespace {
    async fn call(&self, operation: KvOperation) -> Result<KvAnswer, Refused> {
        self.outgoing.kv(self.binding, operation).await.map_err(Refused::from)
    }

    async fn entries(&self, keys: Vec<KvKey>) -> Result<Vec<Option<KvEntry>>, Refused> {
        match self.call(KvOperation::Get(keys)).await? {
            KvAnswer::Entries(entries) => Ok(entries),
            KvAnswer::Page(_) | KvAnswer::Written(_) => Err(nonsense()),
        }
    }

    async fn entry(&self, key: KvKey) -> Result<Option<KvEntry>, Refused> {
        Ok(self.entries(vec![key]).await?.pop().flatten())
    }

    async fn write(&self, transaction: KvTransaction) -> Result<(bool, Vec<i64>), Refused> {
        match self.call(KvOperation::Write(transaction)).await? {
            KvAnswer::Written(written) => Ok((written.version.is_some(), written.sums)),
            KvAnswer::Page(_) | KvAnswer::Entries(_) => Err(nonsense()),
        }
    }

    async fn value(&self, key: String) -> Result<Option<Vec<u8>>, Refused> {
        let entry = self.entry(self::key(key)?).await?;
        Ok(entry.map(|entry| entry.value.into()))
    }

    async fn values(&self, keys: Vec<String>) -> Result<Vec<Option<(String, Vec<u8>)>>, Refused> {
        let parsed = keys.iter().cloned().map(self::key).collect::<Result<_, _>>()?;
        let entries = self.entries(parsed).await?;
        let pair = |(key, entry): (String, Option<KvEntry>)| entry.map(|entry| (key, entry.value.into()));
        Ok(keys.into_iter().zip(entries).map(pair).collect())
    }

    async fn put(&self, entries: Vec<(String, Vec<u8>)>) -> Result<(), Refused> {
        let change = |(key, value): (String, Vec<u8>)| {
            let put = KvChange::Put { value: value.into(), metadata: None, expires: None };
            Ok((self::key(key)?, put))
        };
        let changes = entries.into_iter().map(change).collect::<Result<_, Refused>>()?;
        self.write(KvTransaction { checks: Vec::new(), changes }).await.map(drop)
    }

    async fn take(&self, keys: Vec<String>) -> Result<(), Refused> {
        let change = |key| Ok((self::key(key)?, KvChange::Delete));
        let changes = keys.into_iter().map(change).collect::<Result<_, Refused>>()?;
        self.write(KvTransaction { checks: Vec::new(), changes }).await.map(drop)
    }

    async fn page(&self, after: Option<String>) -> Result<(Vec<String>, Option<String>), Refused> {
        let list = KvList { prefix: String::new(), after, limit: KvOperation::MOST_LISTED };
        match self.call(KvOperation::List(list)).await? {
            KvAnswer::Page(KvPage { keys, next }) => {
                Ok((keys.into_iter().map(|listed| listed.key.into()).collect(), next.map(String::from)))
            }
            KvAnswer::Entries(_) | KvAnswer::Written(_) => Err(nonsense()),
        }
    }

    async fn add(&self, key: String, delta: i64) -> Result<i64, Refused> {
        let changes = vec![(self::key(key)?, KvChange::Add(delta))];
        let (_, sums) = self.write(KvTransaction { checks: Vec::new(), changes }).await?;
        sums.first().copied().ok_or_else(nonsense)
    }

    async fn cas(&self, key: KvKey) -> Result<Cas, Refused> {
        let entry = self.entry(key.clone()).await?;
        Ok(Cas { binding: self.binding, key, version: entry.map(|entry| entry.version) })
    }

    /// Whether the key had the version still, and has the value now.
    async fn put_if(&self, cas: Cas, value: Vec<u8>) -> Result<bool, Refused> {
        let Cas { key, version, .. } = cas;
        let put = KvChange::Put { value: value.into(), metadata: None, expires: None };
        let transaction = KvTransaction { checks: vec![(key.clone(), version)], changes: vec![(key, put)] };
        Ok(self.write(transaction).await?.0)
    }
}

/// The provider has answered something else.
fn nonsense() -> Refused {
    Refused::Other("the provider's answer makes no sense".into())
}
