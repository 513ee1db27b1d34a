//! What no statement may do, whatever it says: SQLite asks here while it prepares one.
//!
//! What is not listed is denied: a new version of SQLite brings nothing that was not thought about.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// What a connection's statements are held to.
#[derive(Debug, Default)]
pub(super) struct Fence {
    /// While the statements are the provider's own.
    is_open: AtomicBool,
    /// Why something was denied last.
    why: Mutex<Option<String>>,
}

/// What only tells about the database, with or without an argument.
const TELLING: [&str; 12] = [
    "table_info",
    "table_xinfo",
    "table_list",
    "index_list",
    "index_info",
    "index_xinfo",
    "foreign_key_list",
    "foreign_key_check",
    "quick_check",
    "integrity_check",
    "collation_list",
    "function_list",
];
/// What tells about the database without an argument, and would change it with one.
const TELLING_BARE: [&str; 7] = [
    "foreign_keys",
    "page_count",
    "page_size",
    "freelist_count",
    "encoding",
    "schema_version",
    "max_page_count",
];
/// What may be set, too: it is in the database, or ends with the transaction.
const SETTABLE: [&str; 4] = ["user_version", "application_id", "defer_foreign_keys", "optimize"];

/// Functions that lead out of the database, or into SQLite's insides.
const FORBIDDEN: [&str; 6] =
    ["load_extension", "fts3_tokenizer", "sqlite_log", "readfile", "writefile", "edit"];
/// Tables that show SQLite's insides.
const INSIDES: [&str; 7] =
    ["dbstat", "sqlite_dbpage", "sqlite_stmt", "sqlite_memstat", "bytecode", "tables_used", "fts3tokenize"];

/// Why nothing is made that is there for a connection only.
const TEMPORARY: &str = "nothing is temporary: calls have their connections in turn";

/// Whether something is made.
fn makes(action: &AuthAction<'_>) -> bool {
    matches!(
        action,
        AuthAction::CreateIndex { .. }
            | AuthAction::CreateTable { .. }
            | AuthAction::CreateTrigger { .. }
            | AuthAction::CreateView { .. }
            | AuthAction::CreateVtable { .. }
    )
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|one| one.eq_ignore_ascii_case(name))
}

impl Fence {
    /// Lets the provider's own statements through while `act` is under way.
    pub(super) fn open<T>(&self, act: impl FnOnce() -> T) -> T {
        self.is_open.store(true, Ordering::Relaxed);
        let result = act();
        self.is_open.store(false, Ordering::Relaxed);
        result
    }

    /// Why something was denied since this was asked.
    pub(super) fn why(&self) -> Option<String> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Decides.
    pub(super) fn decide(&self, context: &AuthContext<'_>) -> Authorization {
        if self.is_open.load(Ordering::Relaxed) {
            return Authorization::Allow;
        }
        let is_temporary = context.database_name == Some("temp") && makes(&context.action);
        let refusal = is_temporary.then(|| TEMPORARY.to_owned()).or_else(|| self.refusal(&context.action));
        match refusal {
            None => Authorization::Allow,
            Some(why) => {
                *self.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                Authorization::Deny
            }
        }
    }

    fn refusal(&self, action: &AuthAction<'_>) -> Option<String> {
        match action {
            // SQLite itself keeps its own tables from being written.
            AuthAction::Select
            | AuthAction::Recursive
            | AuthAction::Insert { .. }
            | AuthAction::Update { .. }
            | AuthAction::Delete { .. }
            | AuthAction::CreateIndex { .. }
            | AuthAction::CreateTable { .. }
            | AuthAction::CreateTrigger { .. }
            | AuthAction::CreateView { .. }
            | AuthAction::DropIndex { .. }
            | AuthAction::DropTable { .. }
            | AuthAction::DropTrigger { .. }
            | AuthAction::DropView { .. }
            | AuthAction::DropVtable { .. }
            | AuthAction::AlterTable { .. }
            | AuthAction::Reindex { .. }
            | AuthAction::Analyze { .. } => None,
            AuthAction::Read { table_name, .. } => {
                is_one_of(table_name, &INSIDES).then(|| format!("the table {table_name} is not there"))
            }
            AuthAction::Function { function_name } => is_one_of(function_name, &FORBIDDEN)
                .then(|| format!("the function {function_name} is not there")),
            AuthAction::Pragma { pragma_name, pragma_value } => {
                let may = is_one_of(pragma_name, &TELLING)
                    || is_one_of(pragma_name, &SETTABLE)
                    || (pragma_value.is_none() && is_one_of(pragma_name, &TELLING_BARE));
                (!may).then(|| match pragma_value {
                    Some(_) if is_one_of(pragma_name, &TELLING_BARE) => {
                        format!("PRAGMA {pragma_name} may be read, not set")
                    }
                    _ => format!("PRAGMA {pragma_name} is not there"),
                })
            }
            AuthAction::CreateVtable { .. } => Some("virtual tables are not there".into()),
            AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => Some(
                "each call is a transaction of its own; what belongs together goes into one batch".into(),
            ),
            AuthAction::CreateTempIndex { .. }
            | AuthAction::CreateTempTable { .. }
            | AuthAction::CreateTempTrigger { .. }
            | AuthAction::CreateTempView { .. }
            | AuthAction::DropTempIndex { .. }
            | AuthAction::DropTempTable { .. }
            | AuthAction::DropTempTrigger { .. }
            | AuthAction::DropTempView { .. } => Some(TEMPORARY.into()),
            AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
                Some("a call has one database; ATTACH, DETACH and VACUUM are not there".into())
            }
            _ => Some("that is not there".into()),
        }
    }
}
