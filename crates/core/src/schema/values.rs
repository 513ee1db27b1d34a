//! A file's values by their keys' paths, with the description's defaults behind them.

use std::time::Duration;

use toml::de::DeValue;

use super::keys::{Fallback, Schema};
use crate::outbound::{HostPath, NameServer};
use crate::{
    AdminAddress, AppName, CronPattern, GrantedFolder, HostPattern, Hosts, IpNet, ListenAddress, NetGrant,
    PathPattern, PermissionKind, ResourceName, ResourcePart, SecretSource, VariableName, Written,
};

/// A value, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Name(AppName),
    Text(String),
    Flag(bool),
    Integer(i64),
    /// In bytes.
    Size(u64),
    Time(Duration),
    /// `None` is never.
    Idle(Option<Duration>),
    Listen(ListenAddress),
    Admin(AdminAddress),
    Networks(Vec<IpNet>),
    NetGrants(Vec<NetGrant>),
    NameServers(Vec<NameServer>),
    Folders(Vec<GrantedFolder>),
    Paths(Vec<HostPath>),
    Permissions(Vec<PermissionKind>),
    Hosts(Hosts),
    HostPatterns(Vec<HostPattern>),
    PathPatterns(Vec<PathPattern>),
    Path(PathPattern),
    Resource(ResourceName),
    Part(ResourcePart),
    CronPatterns(Vec<CronPattern>),
    VariableNames(Vec<VariableName>),
    Secret(SecretSource),
}

/// What a file sets. Each getter gives the key's default where the file does not set it, and `None` where
/// it has none.
pub(crate) struct Values {
    schema: &'static Schema,
    set: Vec<(String, Value)>,
    pub(crate) written: Written,
}

impl Values {
    pub(crate) fn new(schema: &'static Schema, written: Written) -> Self {
        Self { schema, set: Vec::new(), written }
    }

    pub(crate) fn insert(&mut self, path: String, value: Value) {
        self.set.push((path, value));
    }

    /// The variables of the table `table`, in order.
    pub(crate) fn variables(&self, table: &str) -> Vec<(String, String)> {
        let variable = |(path, value): &(String, Value)| {
            let name = path.strip_prefix(table)?.strip_prefix('.')?;
            let Value::Text(text) = value else { return None };
            Some((name.to_owned(), text.clone()))
        };
        self.set.iter().filter_map(variable).collect()
    }

    /// What each table of the array `[[array]]` sets, in order: its keys with their values.
    pub(crate) fn each(&self, array: &str) -> impl Iterator<Item = Vec<(&str, &Value)>> {
        // The keys of one table stand side by side, because it is read as a whole.
        fn parts((path, _): &(String, Value)) -> (&str, &str) {
            path.rsplit_once('.').unwrap_or(("", path))
        }
        let tables = self.set.chunk_by(|a, b| parts(a).0 == parts(b).0);
        let within = move |table: &&[(String, Value)]| {
            table
                .first()
                .is_some_and(|set| parts(set).0.strip_prefix(array).is_some_and(|rest| rest.starts_with('[')))
        };
        tables.filter(within).map(|table| table.iter().map(|set| (parts(set).1, &set.1)).collect())
    }

    /// The tables with names of the table `table`, in order: each name, and a getter's prefix for it.
    pub(crate) fn named(&self, table: &str) -> Vec<(String, String)> {
        let mut names: Vec<(String, String)> = Vec::new();
        for (path, _) in &self.set {
            let name = path.strip_prefix(table).and_then(|rest| rest.strip_prefix('.'));
            let Some((name, _)) = name.and_then(|rest| rest.split_once('.')) else { continue };
            if names.last().is_none_or(|(last, _)| last != name) {
                names.push((name.to_owned(), format!("{table}.{name}")));
            }
        }
        names
    }

    fn get(&self, path: &str) -> Option<Value> {
        if let Some((_, value)) = self.set.iter().find(|(set, _)| set == path) {
            return Some(value.clone());
        }
        let key = self.schema.key(path)?;
        let Fallback::Value(literal) = key.fallback else { return None };
        key.kind.read(key.name, &DeValue::parse(literal).ok()?).ok()
    }
}

macro_rules! getters {
    ($($name:ident: $variant:ident -> $type:ty;)*) => {
        impl Values {
            $(pub(crate) fn $name(&self, path: &str) -> Option<$type> {
                match self.get(path)? {
                    Value::$variant(value) => Some(value),
                    _ => None,
                }
            })*
        }
    };
}

getters! {
    name: Name -> AppName;
    text: Text -> String;
    flag: Flag -> bool;
    integer: Integer -> i64;
    size: Size -> u64;
    time: Time -> Duration;
    listen: Listen -> ListenAddress;
    admin: Admin -> AdminAddress;
    networks: Networks -> Vec<IpNet>;
    net_grants: NetGrants -> Vec<NetGrant>;
    name_servers: NameServers -> Vec<NameServer>;
    folders: Folders -> Vec<GrantedFolder>;
    paths: Paths -> Vec<HostPath>;
    permissions: Permissions -> Vec<PermissionKind>;
    hosts: Hosts -> Hosts;
    idle: Idle -> Option<Duration>;
    host_patterns: HostPatterns -> Vec<HostPattern>;
    path_patterns: PathPatterns -> Vec<PathPattern>;
    resource: Resource -> ResourceName;
    part: Part -> ResourcePart;
    cron_patterns: CronPatterns -> Vec<CronPattern>;
    variable_names: VariableNames -> Vec<VariableName>;
    secret: Secret -> SecretSource;
}

impl Values {
    /// A port.
    pub(crate) fn port(&self, path: &str) -> Option<u16> {
        u16::try_from(self.integer(path)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::{HOST, MANIFEST};

    use super::*;

    #[test]
    fn every_default_is_a_value_of_its_key() {
        for schema in [&MANIFEST, &HOST] {
            for table in schema.tables {
                for key in table.listed() {
                    if let Fallback::Value(literal) = key.fallback {
                        let value = DeValue::parse(literal).unwrap();
                        assert!(key.kind.read(key.name, &value).is_ok(), "{}.{}", table.path, key.name);
                    }
                }
            }
        }
    }
}
