//! What a host does for a guest, for tests: a log that is kept, modules from memory.

use std::cell::RefCell;
use std::collections::HashMap;

use nexus_guest::{Level, LogRecord, LogSink, ModuleError, ModulePath, ModuleSource};

#[derive(Default)]
pub(crate) struct Log(pub(crate) RefCell<Vec<LogRecord>>);

impl LogSink for Log {
    fn wants(&self, _level: Level) -> bool {
        true
    }
    fn log(&self, record: LogRecord) {
        self.0.borrow_mut().push(record);
    }
}

pub(crate) struct Files(pub(crate) HashMap<String, Vec<u8>>);

impl ModuleSource for Files {
    fn resolve(&self, specifier: &str, referrer: &ModulePath) -> Result<ModulePath, ModuleError> {
        let missing = || ModuleError(format!("\"{specifier}\" is not there (imported by {referrer})"));
        let name = specifier.strip_prefix("./").ok_or_else(missing)?;
        if self.0.contains_key(name) { ModulePath::new(name).ok_or_else(missing) } else { Err(missing()) }
    }
    fn read(&self, path: &ModulePath, _most: usize) -> Result<Vec<u8>, ModuleError> {
        self.0.get(path.as_str()).cloned().ok_or_else(|| ModuleError(format!("\"{path}\" is not there")))
    }
}
