//! `wasi:keyvalue@0.2.0-draft`, as Wasmtime has it.

use wasmtime::component::{Linker, Resource};

use self::bindings::wasi::keyvalue::{atomics, batch, store};
use super::{Bucket, KeyValue, Refused};
use crate::bound::{HasBindings, View};

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

/// A number of a place that the bucket knows.
type Cursor = u64;

alike!();

/// A page of keys.
async fn list(
    view: &mut View<'_>,
    bucket: Resource<Bucket>,
    cursor: Option<Cursor>,
) -> Told<store::KeyResponse> {
    let (namespace, after) = (view.of(&bucket)?, view.table.get(&bucket)?.place(cursor));
    let page = match after {
        Ok(after) => namespace.page(after).await,
        Err(refused) => Err(refused),
    };
    Ok(match page {
        Ok((keys, next)) => {
            let cursor = next.map(|next| view.table.get_mut(&bucket).map(|bucket| bucket.note(next)));
            Ok(store::KeyResponse { keys, cursor: cursor.transpose()? })
        }
        Err(refused) => Err(refused.into()),
    })
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
