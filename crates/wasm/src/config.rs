//! `wasi:config`: an app's variables and secrets.
//!
//! Secrets are here only: what is in a program's environment is printed by many a tool.

use wasmtime::component::{HasData, Linker};

use crate::bound::{HasBindings, View};

/// What both versions have alike: the interface `store` of a package.
macro_rules! version {
    ($name:ident, $inline:literal, $world:literal) => {
        mod $name {
            use wasmtime::component::Linker;

            use super::Settings;
            use crate::bound::{HasBindings, View};

            use self::bindings::wasi::config::store;

            mod bindings {
                wasmtime::component::bindgen!({
                    inline: $inline,
                    world: $world,
                    imports: { default: trappable },
                });
            }

            pub(super) fn link<T: HasBindings + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
                store::add_to_linker::<T, Settings>(linker, T::bindings)
            }

            impl store::Host for View<'_> {
                fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, store::Error>> {
                    Ok(Ok(self.setting(&key)))
                }

                fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, store::Error>> {
                    Ok(Ok(self.outgoing.settings().to_vec()))
                }
            }
        }
    };
}

version!(
    rc1,
    r"
        package nexus:bindings;
        world config-rc1 { import wasi:config/store@0.2.0-rc.1; }
        package wasi:config@0.2.0-rc.1 {
            interface store {
                variant error { upstream(string), io(string) }
                get: func(key: string) -> result<option<string>, error>;
                get-all: func() -> result<list<tuple<string, string>>, error>;
            }
        }
    ",
    "nexus:bindings/config-rc1"
);
version!(
    draft,
    r"
        package nexus:bindings;
        world config-draft { import wasi:config/store@0.2.0-draft-2024-09-27; }
        package wasi:config@0.2.0-draft-2024-09-27 {
            interface store {
                variant error { upstream(string), io(string) }
                get: func(key: string) -> result<option<string>, error>;
                get-all: func() -> result<list<tuple<string, string>>, error>;
            }
        }
    ",
    "nexus:bindings/config-draft"
);

/// Marks what the functions see of a store.
struct Settings;

impl HasData for Settings {
    type Data<'a> = View<'a>;
}

/// Links both versions.
pub(crate) fn link<T: HasBindings + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    rc1::link(linker)?;
    draft::link(linker)
}

impl View<'_> {
    fn setting(&self, name: &str) -> Option<String> {
        self.outgoing.settings().iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
    }
}
