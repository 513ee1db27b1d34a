//! `[bindings]`: the names under which a guest finds its capabilities.

use std::fmt;
use std::str::FromStr;

use crate::schema::Values;
use crate::{AppName, GrantedFolder, NetGrant, VariableName};

/// An entry of `[bindings]`: a capability, and the name under which the guest finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The name: letters, digits and `_`, no digit first.
    pub name: Box<str>,
    /// What is found there.
    pub to: BindingTarget,
}

/// What a binding leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindingTarget {
    /// A namespace of a key-value store.
    Kv(StoreBinding),
    /// A database.
    Sql(StoreBinding),
    /// Another app of the same host.
    App(AppName),
}

/// A binding to something that a provider keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreBinding {
    /// The namespace, or the database.
    pub name: ResourceName,
    /// What the app may do there.
    pub access: Access,
    /// The provider that keeps it; by default the host's first for this capability.
    pub provider: Option<ResourcePart>,
}

impl Binding {
    pub(crate) fn read(values: &Values) -> Vec<Self> {
        let binding = |(name, path): (String, String)| {
            let key = |key: &str| format!("{path}.{key}");
            let store = |name: ResourceName| {
                let access = values.text(&key("access"))?.parse().ok()?;
                Some(StoreBinding { name, access, provider: values.part(&key("provider")) })
            };
            let to = match (values.resource(&key("kv")), values.resource(&key("sql"))) {
                (Some(namespace), _) => BindingTarget::Kv(store(namespace)?),
                (None, Some(database)) => BindingTarget::Sql(store(database)?),
                (None, None) => BindingTarget::App(values.name(&key("app"))?),
            };
            Some(Self { name: name.into(), to })
        };
        values.named("bindings").into_iter().filter_map(binding).collect()
    }
}

/// What an app may do with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// It may read.
    Read,
    /// It may read and write.
    Write,
}

impl Access {
    /// The words of the manifest.
    pub(crate) const WORDS: [&str; 2] = ["read", "write"];
}

/// A word that names no [`Access`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessError;

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an access is `read` or `write`")
    }
}

impl std::error::Error for AccessError {}

impl FromStr for Access {
    type Err = AccessError;

    fn from_str(word: &str) -> Result<Self, AccessError> {
        match word {
            "read" => Ok(Access::Read),
            "write" => Ok(Access::Write),
            _ => Err(AccessError),
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::WORDS[usize::from(*self == Access::Write)])
    }
}

/// The name of something that a provider keeps for an app (a namespace, a database), without the app; or a provider's.
/// As with apps' names, 1 to 63 of `a-z 0-9 - _ .`, the first a letter or digit, so that it may be a file's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourcePart(Box<str>);

impl ResourcePart {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourcePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ResourcePart {
    type Err = ResourceNameError;

    fn from_str(text: &str) -> Result<Self, ResourceNameError> {
        AppName::parse(text).map(|_| Self(text.into())).ok_or(ResourceNameError)
    }
}

/// A namespace or a database as a manifest names it: `cache`, which is the app's own, or `shop/cache`, which is that of the
/// app `shop`.
///
/// ```
/// let name: nexus_core::ResourceName = "shop/cache".parse().unwrap();
/// assert_eq!((name.owner.as_ref().unwrap().as_str(), name.part.as_str()), ("shop", "cache"));
/// assert!("shop/../cache".parse::<nexus_core::ResourceName>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourceName {
    /// The app whose it is; `None` is the one that names it.
    pub owner: Option<AppName>,
    /// Its name there.
    pub part: ResourcePart,
}

impl ResourceName {
    /// What is meant, where the app `app` says so.
    pub fn of(&self, app: &AppName) -> Resource {
        Resource { owner: self.owner.as_ref().unwrap_or(app).clone(), part: self.part.clone() }
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(owner) = &self.owner {
            write!(f, "{owner}/")?;
        }
        self.part.fmt(f)
    }
}

impl FromStr for ResourceName {
    type Err = ResourceNameError;

    fn from_str(text: &str) -> Result<Self, ResourceNameError> {
        let (owner, part) = match text.split_once('/') {
            Some((owner, part)) => (Some(AppName::parse(owner).ok_or(ResourceNameError)?), part),
            None => (None, text),
        };
        Ok(Self { owner, part: part.parse()? })
    }
}

/// A namespace or a database, with whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// The app whose it is.
    pub owner: AppName,
    /// Its name there.
    pub part: ResourcePart,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.part)
    }
}

/// What a grant is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// A namespace, or a database.
    Resource(Resource),
    /// All of an app.
    App(AppName),
    /// Hosts, as an entry of `net` names them.
    Net(NetGrant),
    /// A folder, by its [plain](GrantedFolder::plain) path.
    Folder(GrantedFolder),
    /// A variable of the host's environment.
    Variable(VariableName),
}

impl Scope {
    /// The app whose it is; `None` for what is no app's.
    pub fn owner(&self) -> Option<&AppName> {
        match self {
            Scope::Resource(resource) => Some(&resource.owner),
            Scope::App(app) => Some(app),
            Scope::Net(_) | Scope::Folder(_) | Scope::Variable(_) => None,
        }
    }

    /// How a manifest of the app `app` names it.
    pub fn named_by(&self, app: &AppName) -> String {
        match self {
            Scope::Resource(resource) if resource.owner == *app => resource.part.to_string(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Resource(resource) => resource.fmt(f),
            Scope::App(app) => app.fmt(f),
            Scope::Net(grant) => grant.fmt(f),
            Scope::Folder(folder) => folder.fmt(f),
            Scope::Variable(name) => name.fmt(f),
        }
    }
}

/// A text that is no [`ResourceName`] or [`ResourcePart`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceNameError;

impl fmt::Display for ResourceNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a name is 1 to 63 of `a-z 0-9 - _ .`, the first a letter or digit; another app's is `APP/NAME`",
        )
    }
}

impl std::error::Error for ResourceNameError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Vec<Binding>, String> {
        let manifest = Manifest::parse(text, "nexus.toml", "shop");
        manifest.map(|manifest| manifest.bindings).map_err(|problems| problems.to_string())
    }

    #[test]
    fn bindings_are_read_in_order_however_they_are_written() {
        let text = "[bindings]\nB = { kv = \"b\", access = \"read\", provider = \"fast\" }\nA.kv = \"shop/a\"\nDB = { sql = \"orders\" }\n\
                    OTHER = { app = \"billing\" }\n[bindings._1]\nkv = \"c.d-e_f\"\naccess = \"write\"\n";
        let read = parse(text).unwrap();
        let shown: Vec<String> = read
            .iter()
            .map(|binding| {
                let name = &binding.name;
                let (kind, store) = match &binding.to {
                    BindingTarget::Kv(kv) => ("kv", kv),
                    BindingTarget::Sql(sql) => ("sql", sql),
                    BindingTarget::App(app) => return format!("{name} app {app}"),
                };
                let provider = store.provider.as_ref().map_or("-", ResourcePart::as_str);
                format!("{name} {kind} {} {} {provider}", store.name, store.access)
            })
            .collect();
        assert_eq!(
            shown,
            [
                "B kv b read fast",
                "A kv shop/a write -",
                "DB sql orders write -",
                "OTHER app billing",
                "_1 kv c.d-e_f write -"
            ]
        );
        assert_eq!(parse("[bindings]\n").unwrap(), []);
    }

    #[test]
    fn what_is_wrong_with_a_binding_is_told_at_its_place() {
        for (entry, expected) in [
            ("A = \"cache\"", "nexus.toml:2:5: `A` must be a table with `kv`, `sql` or `app`, not \"cache\""),
            ("A = {}", "nexus.toml:2:1: `A` needs `kv`, `sql` or `app`"),
            (
                "A = { kv = \"a\", sql = \"a\" }",
                "nexus.toml:2:1: `A` has more than one of `kv`, `sql` or `app`",
            ),
            ("A = { app = \"shop/a\" }", "nexus.toml:2:13: "),
            (
                "A = { app = \"b\", access = \"read\" }",
                "nexus.toml:2:27: `access` is for what is kept for apps",
            ),
            (
                "A = { kv = \"\" }",
                "nexus.toml:2:12: `kv` must be a name like \"cache\", or \"APP/cache\" for another app's, not \"\"",
            ),
            ("A = { kv = \"../etc\" }", "nexus.toml:2:12: "),
            ("A = { kv = \"a/b/c\" }", "nexus.toml:2:12: "),
            ("A = { kv = \"A\" }", "nexus.toml:2:12: "),
            ("A = { kv = 5 }", "nexus.toml:2:12: "),
            (
                "A = { kv = \"a\", access = \"all\" }",
                "nexus.toml:2:26: `access` must be \"read\" or \"write\", not \"all\"",
            ),
            ("A = { kv = \"a\", acces = \"read\" }", "nexus.toml:2:17: unknown key `acces` in [bindings]"),
            ("A = { vk = \"a\" }", "nexus.toml:2:1: `A` needs `kv`, `sql` or `app`"),
            ("1A = { kv = \"a\" }", "nexus.toml:2:1: `1A` is no name of a variable"),
            ("\"a b\" = { kv = \"a\" }", "nexus.toml:2:1: `a b` is no name of a variable"),
            ("A = { kv = \"a\" }\n[env]\nA = \"1\"", "nexus.toml:2:1: `A` is the name of a variable, too"),
        ] {
            let told = parse(&format!("[bindings]\n{entry}")).unwrap_err();
            assert!(told.starts_with(expected), "{entry}: {told}");
        }
    }

    #[test]
    fn a_resource_is_the_apps_own_unless_it_names_another() {
        let shop = AppName::parse("shop").unwrap();
        let of = |text: &str| text.parse::<ResourceName>().unwrap().of(&shop).to_string();
        assert_eq!(
            (of("a"), of("blog/a"), of("shop/a")),
            ("shop/a".into(), "blog/a".into(), "shop/a".into())
        );
    }

    proptest! {
        #[test]
        fn any_text_is_a_resource_of_one_or_two_plain_names_or_none(text in "\\PC{0,20}|([a-z./-]{0,8}/)?[a-z./-]{0,8}") {
            if let Ok(name) = text.parse::<ResourceName>() {
                prop_assert_eq!(name.to_string(), text.clone());
                prop_assert!(text.split('/').all(|part| AppName::parse(part).is_some()) && text.split('/').count() <= 2);
            }
        }
    }
}
