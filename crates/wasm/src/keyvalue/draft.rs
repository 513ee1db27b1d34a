//! `wasi:keyvalue@0.2.0-draft`, as Wasmtime has it.

use wasmtime::component::{Linker, Resource};

use self::bindings::wasi::keyvalue::{atomics, batch, store};
use super::{Bucket, HasKeyValue, KeyValue, Refused, View};

mod bindings {
    wasmtime::component::bindgen!({
        inline: r"
            package nexus:bindings;

            world keyvalue-draft {
                import wasi:keyvalue/store@0.2.0-draft;
                import wasi:keyvalue/atomics@0.2.0-draft;
                import wasi:keyvalue/batch@0.2.0-draft;
            }

            package wasi:keyvalue@0.2.0-draft {
                interface store {
                    variant error { no-such-store, access-denied, other(string) }
                    record key-response { keys: list<string>, cursor: option<u64> }
                    open: func(identifier: string) -> result<bucket, error>;
                    resource bucket {
                        get: func(key: string) -> result<option<list<u8>>, error>;
                        set: func(key: string, value: list<u8>) -> result<_, error>;
                        delete: func(key: string) -> result<_, error>;
                        exists: func(key: string) -> result<bool, error>;
                        list-keys: func(cursor: option<u64>) -> result<key-response, error>;
                    }
                }
                interface atomics {
                    use store.{bucket, error};
                    increment: func(bucket: borrow<bucket>, key: string, delta: u64) -> result<u64, error>;
                }
                interface batch {
                    use store.{bucket, error};
                    get-many: func(bucket: borrow<bucket>, keys: list<string>)
                        -> result<list<option<tuple<string, list<u8>>>>, error>;
                    set-many: func(bucket: borrow<bucket>, key-values: list<tuple<string, list<u8>>>)
                        -> result<_, error>;
                    delete-many: func(bucket: borrow<bucket>, keys: list<string>) -> result<_, error>;
                }
            }
        ",
        world: "nexus:bindings/keyvalue-draft",
        imports: { default: async | trappable },
        with: { "wasi:keyvalue/store.bucket": crate::keyvalue::Bucket },
        require_store_data_send: true,
    });
}

pub(super) fn link<T: HasKeyValue + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    store::add_to_linker::<T, KeyValue>(linker, T::key_value)?;
    atomics::add_to_linker::<T, KeyValue>(linker, T::key_value)?;
    batch::add_to_linker::<T, KeyValue>(linker, T::key_value)
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
        Ok(self.bucket(&identifier)?.map_err(store::Error::from))
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

    async fn list_keys(&mut self, bucket: Resource<Bucket>, cursor: Option<u64>) -> Told<store::KeyResponse> {
        let (namespace, after) = (self.of(&bucket)?, self.table.get(&bucket)?.place(cursor));
        let page = match after {
            Ok(after) => namespace.page(after).await,
            Err(refused) => Err(refused),
        };
        Ok(match page {
            Ok((keys, next)) => {
                let cursor = next.map(|next| self.table.get_mut(&bucket).map(|bucket| bucket.note(next)));
                Ok(store::KeyResponse { keys, cursor: cursor.transpose()? })
            }
            Err(refused) => Err(refused.into()),
        })
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for View<'_> {
    async fn increment(&mut self, bucket: Resource<Bucket>, key: String, delta: u64) -> Told<u64> {
        let sum = match i64::try_from(delta) {
            Ok(delta) => self.of(&bucket)?.add(key, delta).await,
            Err(_) => Err(Refused::Other("the delta is beyond 63 bits".into())),
        };
        let sum = sum
            .and_then(|sum| u64::try_from(sum).map_err(|_| Refused::Other("the number is below 0".into())));
        told(sum)
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

    async fn set_many(&mut self, bucket: Resource<Bucket>, entries: Vec<(String, Vec<u8>)>) -> Told<()> {
        told(self.of(&bucket)?.put(entries).await)
    }

    async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Told<()> {
        told(self.of(&bucket)?.take(keys).await)
    }
}
