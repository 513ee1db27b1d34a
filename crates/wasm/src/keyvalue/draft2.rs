//! `wasi:keyvalue@0.2.0-draft2`, as Spin has it: cursors are texts, and there is compare-and-swap.

use wasmtime::component::{Linker, Resource};

use self::bindings::wasi::keyvalue::{atomics, batch, store};
use super::{Bucket, Cas, KeyValue, Refused};
use crate::bound::{HasBindings, View};

mod bindings {
    wasmtime::component::bindgen!({
        inline: r"
            package nexus:bindings;

            world keyvalue-draft2 {
                import wasi:keyvalue/store@0.2.0-draft2;
                import wasi:keyvalue/atomics@0.2.0-draft2;
                import wasi:keyvalue/batch@0.2.0-draft2;
            }

            package wasi:keyvalue@0.2.0-draft2 {
                interface store {
                    variant error { no-such-store, access-denied, other(string) }
                    record key-response { keys: list<string>, cursor: option<string> }
                    open: func(identifier: string) -> result<bucket, error>;
                    resource bucket {
                        get: func(key: string) -> result<option<list<u8>>, error>;
                        set: func(key: string, value: list<u8>) -> result<_, error>;
                        delete: func(key: string) -> result<_, error>;
                        exists: func(key: string) -> result<bool, error>;
                        list-keys: func(cursor: option<string>) -> result<key-response, error>;
                    }
                }
                interface atomics {
                    use store.{bucket, error};
                    variant cas-error { store-error(error), cas-failed(cas) }
                    resource cas {
                        new: static func(bucket: borrow<bucket>, key: string) -> result<cas, error>;
                        current: func() -> result<option<list<u8>>, error>;
                    }
                    increment: func(bucket: borrow<bucket>, key: string, delta: s64) -> result<s64, error>;
                    swap: func(cas: cas, value: list<u8>) -> result<_, cas-error>;
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
        world: "nexus:bindings/keyvalue-draft2",
        imports: { default: async | trappable },
        with: {
            "wasi:keyvalue/store.bucket": crate::keyvalue::Bucket,
            "wasi:keyvalue/atomics.cas": crate::keyvalue::Cas,
        },
        require_store_data_send: true,
    });
}

/// The key that a page ended with.
type Cursor = String;

alike!();

/// A page of keys.
async fn list(
    view: &mut View<'_>,
    bucket: Resource<Bucket>,
    cursor: Option<Cursor>,
) -> Told<store::KeyResponse> {
    let page = view.of(&bucket)?.page(cursor).await;
    told(page.map(|(keys, cursor)| store::KeyResponse { keys, cursor }))
}

impl atomics::Host for View<'_> {
    async fn increment(&mut self, bucket: Resource<Bucket>, key: String, delta: i64) -> Told<i64> {
        told(self.of(&bucket)?.add(key, delta).await)
    }

    async fn swap(
        &mut self,
        cas: Resource<Cas>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), atomics::CasError>> {
        let cas = self.table.delete(cas)?;
        let (namespace, key) = (self.at(cas.binding), cas.key.clone());
        Ok(match namespace.put_if(cas, value).await {
            Ok(true) => Ok(()),
            // A handle for another attempt, with what there is by now.
            Ok(false) => match namespace.cas(key).await {
                Ok(cas) => Err(atomics::CasError::CasFailed(self.table.push(cas)?)),
                Err(refused) => Err(atomics::CasError::StoreError(refused.into())),
            },
            Err(refused) => Err(atomics::CasError::StoreError(refused.into())),
        })
    }
}

impl atomics::HostCas for View<'_> {
    async fn new(&mut self, bucket: Resource<Bucket>, key: String) -> Told<Resource<Cas>> {
        let namespace = self.of(&bucket)?;
        let cas = match super::key(key) {
            Ok(key) => namespace.cas(key).await,
            Err(refused) => Err(refused),
        };
        Ok(match cas {
            Ok(cas) => Ok(self.table.push(cas)?),
            Err(refused) => Err(refused.into()),
        })
    }

    async fn current(&mut self, cas: Resource<Cas>) -> Told<Option<Vec<u8>>> {
        let Cas { binding, key, .. } = self.table.get(&cas)?;
        let (namespace, key) = (self.at(*binding), key.clone());
        // What a swap is to be held against is what the guest has seen last.
        let entry = match namespace.entry(key).await {
            Ok(entry) => entry,
            Err(refused) => return Ok(Err(refused.into())),
        };
        self.table.get_mut(&cas)?.version = entry.as_ref().map(|entry| entry.version);
        Ok(Ok(entry.map(|entry| entry.value.into())))
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> wasmtime::Result<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}
