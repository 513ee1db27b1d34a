//! One grant: what an app asks for by a binding, or an entry of `[permissions]`, and what of that it gets.

use std::sync::atomic::{AtomicU64, Ordering};

use nexus_core::{
    Access, AppName, Binding, BindingTarget, GrantedAccess, GrantedFolder, Manifest, PermissionSwitches,
    Scope, SecretSource, StoreBinding, Switches, VariableName,
};

use crate::{Capability, Denied};

/// What an app may do by one of its bindings, or with what an entry of its `[permissions]` names.
#[derive(Debug)]
pub struct Grant {
    /// The app.
    pub app: AppName,
    /// The binding's name, or the secret's; empty for an entry of `[permissions]`.
    pub binding: Box<str>,
    /// What is granted.
    pub capability: Capability,
    /// What it leads to.
    pub scope: Scope,
    /// What the manifest asks for.
    pub asked: Access,
    /// What is granted of that. The app's manifest shares it, where it is read at each decision.
    pub(super) granted: GrantedAccess,
    /// How many bytes the owner of what it leads to may keep of that kind.
    pub(super) quota: AtomicU64,
}

impl Grant {
    /// What a binding asks for; so far it is granted nothing.
    pub(super) fn of_binding(app: &AppName, binding: &Binding) -> Self {
        let kept = |store: &StoreBinding| (Scope::Resource(store.name.of(app)), store.access);
        let (capability, (scope, asked)) = match &binding.to {
            BindingTarget::Kv(kv) => (Capability::Kv, kept(kv)),
            BindingTarget::Sql(sql) => (Capability::Sql, kept(sql)),
            BindingTarget::App(other) => (Capability::App, (Scope::App(other.clone()), Access::Write)),
        };
        Self::new(app, &binding.name, capability, scope, asked)
    }

    fn new(app: &AppName, binding: &str, capability: Capability, scope: Scope, asked: Access) -> Self {
        let (app, binding) = (app.clone(), binding.into());
        let (granted, quota) = (GrantedAccess::default(), AtomicU64::new(0));
        Self { app, binding, capability, scope, asked, granted, quota }
    }

    /// How many bytes the owner of what it leads to may keep of that kind with a provider, whoever writes them.
    pub fn quota(&self) -> u64 {
        self.quota.load(Ordering::Relaxed)
    }

    /// Whether both are asked for alike.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let parts = |grant: &Self| (grant.capability, grant.asked);
        self.binding == other.binding && self.scope == other.scope && parts(self) == parts(other)
    }

    /// What it leads to, as the manifest may name it.
    pub(super) fn named(&self) -> String {
        self.scope.named_by(&self.app)
    }

    /// What the app may do.
    pub fn granted(&self) -> Option<Access> {
        self.granted.get()
    }

    /// Whether a call may be made that needs this: the one function that decides, at every call.
    ///
    /// # Errors
    /// What is missing, and what to do.
    pub fn decide(&self, needed: Access) -> Result<(), Denied> {
        if self.granted.covers(needed) {
            return Ok(());
        }
        let Self { app, capability, .. } = self;
        let named = self.named();
        let help = if self.asked < needed {
            format!("its manifest asks for `access = \"{}\"`; ask for \"{needed}\" there", self.asked)
        } else {
            format!("the host does not grant it; `nexus grants add {app} {capability} {named}` does")
        };
        let binding = self.binding.clone();
        Err(Denied { capability: *capability, binding, scope: named, needed, help })
    }
}

/// What a manifest asks for under `[permissions]`, key by key. To ask for an entry is to ask for all of it, so what is
/// granted of it is something or nothing.
pub(super) struct Permissions<T> {
    pub(super) read: Vec<T>,
    pub(super) write: Vec<T>,
    pub(super) net: Vec<T>,
    /// And after the variables the secrets that are from the host's environment.
    pub(super) env: Vec<T>,
}

impl Permissions<Grant> {
    /// So far nothing of it is granted.
    pub(super) fn asked(manifest: &Manifest) -> Self {
        let (app, asked) = (&manifest.name, &manifest.permissions);
        let grant = |name: &str, kind, scope| Grant::new(app, name, kind, scope, Access::Read);
        let folders = |list: &[GrantedFolder], kind| -> Vec<Grant> {
            list.iter().map(|folder| grant("", kind, Scope::Folder(folder.plain()))).collect()
        };
        let variable = |name: &str, variable: &VariableName| {
            grant(name, Capability::Env, Scope::Variable(variable.clone()))
        };
        let secrets = manifest.secrets.iter().filter_map(|secret| match &secret.from {
            SecretSource::Env(name) => Some(variable(&secret.name, name)),
            SecretSource::File(_) => None,
        });
        Self {
            read: folders(&asked.read, Capability::Read),
            write: folders(&asked.write, Capability::Write),
            net: asked
                .net
                .asked
                .iter()
                .map(|net| grant("", Capability::Net, Scope::Net(net.clone())))
                .collect(),
            env: asked.env.iter().map(|name| variable("", name)).chain(secrets).collect(),
        }
    }
}

impl<T> Permissions<T> {
    pub(super) fn map<U>(self, mut with: impl FnMut(T) -> U) -> Permissions<U> {
        let mut all = |list: Vec<T>| list.into_iter().map(&mut with).collect();
        // In the order of `nexus grants`.
        let net = all(self.net);
        let (read, write) = (all(self.read), all(self.write));
        Permissions { read, write, net, env: all(self.env) }
    }
}

impl<T: AsRef<Grant>> Permissions<T> {
    /// Has the manifest's own decisions be those of these grants from now on.
    pub(super) fn decide_in(&self, manifest: &mut Manifest) {
        let app = &manifest.name;
        let switches =
            |grants: &[T]| Switches::new(app, grants.iter().map(|grant| grant.as_ref().granted.clone()));
        let net = switches(&self.net);
        let (read, write) = (switches(&self.read), switches(&self.write));
        manifest.permissions.granted = PermissionSwitches { read, write, env: switches(&self.env) };
        manifest.permissions.net.granted = net;
    }
}
