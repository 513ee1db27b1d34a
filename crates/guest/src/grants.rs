//! The registry of grants: what each app asks for, what of that it gets, and the one function that decides.
//!
//! ```text
//! manifest: asks ──┐
//! policy: gives ───┼─► Grant, one for each binding and each entry of [permissions], shared with all guests of the app
//! rules: give, take┘         │
//!                 Grant::decide(), NetPolicy::decide(): at every call; folders, variables: with the next instance, worker
//! ```
//!
//! What takes effect is what both the manifest and the host say. A rule takes effect with the next call of guests that run.

mod grant;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};

use nexus_core::{Access, AppName, Limits, Manifest, Scope};

pub use self::grant::Grant;
use self::grant::Permissions;
use crate::Capability;

/// What a host grants an app without a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantPolicy {
    /// All that its manifest asks for.
    All,
    /// What its manifest asks for of these, as far as it is the app's own.
    Own(Vec<Capability>),
}

impl GrantPolicy {
    fn gives(&self, grant: &Grant) -> bool {
        match self {
            GrantPolicy::All => true,
            GrantPolicy::Own(kinds) => {
                let is_own = grant.scope.owner().is_none_or(|owner| *owner == grant.app);
                is_own && kinds.contains(&grant.capability)
            }
        }
    }
}

/// What an operator gives an app, or takes from it, whatever the policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRule {
    /// The app.
    pub app: AppName,
    /// What it is about.
    pub capability: Capability,
    /// What that leads to.
    pub scope: Scope,
    /// What the app may do, as far as it asks for it; `None` is nothing.
    pub given: Option<Access>,
}

/// The registry. One for the process.
#[derive(Debug, Default)]
pub struct Grants(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    apps: BTreeMap<AppName, OfApp>,
    /// How many bytes each app may keep with a provider, as far as apps are known.
    quotas: BTreeMap<AppName, Limits>,
    /// What an operator has given or taken, whatever the policy says.
    rules: BTreeMap<(AppName, Capability, Scope), Option<Access>>,
}

#[derive(Debug)]
struct OfApp {
    policy: GrantPolicy,
    /// Those of all versions that still run, the present one's last.
    grants: Vec<Arc<Grant>>,
}

impl Inner {
    /// What a grant comes to by the policy and the rules.
    fn settle(&self, policy: &GrantPolicy, grant: &Grant) {
        let rule = self.rules.get(&(grant.app.clone(), grant.capability, grant.scope.clone()));
        let given = match rule {
            Some(given) => *given,
            None => policy.gives(grant).then_some(Access::Write),
        };
        grant.granted.set(given.map(|given| given.min(grant.asked)));
        let Some(limit) = grant.capability.storage() else { return };
        let quota = match grant.scope.owner().and_then(|owner| self.quotas.get(owner)) {
            Some(limits) => limits.get(limit),
            None => Limits::default().get(limit),
        };
        grant.quota.store(quota, Ordering::Relaxed);
    }

    /// Settles all grants of what this app owns.
    fn settle_of(&self, owner: &AppName) {
        for of in self.apps.values() {
            let grants = of.grants.iter().filter(|grant| grant.scope.owner() == Some(owner));
            grants.for_each(|grant| self.settle(&of.policy, grant));
        }
    }
}

impl Grants {
    /// Enters what a version of an app asks for: gives a grant for each of its bindings, in order, and has its manifest
    /// decide on `[permissions]` by what is granted from now on. What is asked for as before keeps its grant.
    ///
    /// What the app may keep with providers is in its limits.
    pub fn enter(&self, policy: GrantPolicy, manifest: &mut Manifest) -> Vec<Arc<Grant>> {
        let app = manifest.name.clone();
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.quotas.insert(app.clone(), manifest.limits);
        inner.settle_of(&app);
        let mut before = inner.apps.remove(&app).map_or(Vec::new(), |before| before.grants);
        let mut grants = Vec::new();
        let mut entered = |asked: Grant| {
            let grant = match before.iter().position(|grant| grant.is_as(&asked)) {
                Some(place) => before.remove(place),
                None => Arc::new(asked),
            };
            inner.settle(&policy, &grant);
            grants.push(grant.clone());
            grant
        };
        let bound =
            manifest.bindings.iter().map(|binding| entered(Grant::of_binding(&app, binding))).collect();
        Permissions::asked(manifest).map(entered).decide_in(manifest);
        // What no guest has any more is nobody's.
        before.retain(|grant| Arc::strong_count(grant) > 1 || grant.granted.is_shared());
        before.iter().for_each(|grant| inner.settle(&policy, grant));
        before.extend(grants);
        inner.apps.insert(app, OfApp { policy, grants: before });
        bound
    }

    /// What of this an app would not get, as its manifest may have it: `read = ["data"]`, `CACHE = { kv = "cache" }`.
    pub fn missing(&self, policy: &GrantPolicy, manifest: &Manifest) -> Vec<String> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let settled = |grant: Grant| {
            inner.settle(policy, &grant);
            grant
        };
        let Permissions { read, write, net, env } = Permissions::asked(manifest).map(settled);
        let (mut told, mut secrets) = (Vec::new(), Vec::new());
        for (kind, grants) in [("read", read), ("write", write), ("net", net), ("env", env)] {
            let mut entries = Vec::new();
            for grant in grants.iter().filter(|grant| grant.granted().is_none()) {
                let named = grant.scope.to_string();
                match &*grant.binding {
                    "" => entries.push(format!("\"{}\"", named.escape_debug())),
                    secret => secrets.push(format!("{secret} = {{ from = \"env:{named}\" }}")),
                }
            }
            if !entries.is_empty() {
                told.push(format!("{kind} = [{}]", entries.join(", ")));
            }
        }
        told.append(&mut secrets);
        told.extend(manifest.bindings.iter().filter_map(|binding| {
            let grant = settled(Grant::of_binding(&manifest.name, binding));
            let named = format!("{} = {{ {} = \"{}\" }}", grant.binding, grant.capability, grant.named());
            match grant.granted() {
                Some(granted) if granted == grant.asked => None,
                Some(granted) => Some(format!("{named}, but to {granted}")),
                None => Some(named),
            }
        }));
        told
    }

    /// An app is no more: what guests of it have left is taken from them, and its rules are forgotten.
    pub fn leave(&self, app: &AppName) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(gone) = inner.apps.remove(app) {
            gone.grants.iter().for_each(|grant| grant.granted.set(None));
        }
        // Nor is what it owned: another app of its name is another app.
        inner.rules.retain(|(of, _, scope), _| of != app && scope.owner() != Some(app));
        inner.quotas.remove(app);
        inner.settle_of(app);
    }

    /// Enters a rule. It counts from the next call on, and for what comes to ask for it later.
    pub fn rule(&self, rule: GrantRule) {
        let GrantRule { app, capability, scope, given } = rule;
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.rules.insert((app.clone(), capability, scope), given);
        if let Some(of) = inner.apps.get(&app) {
            of.grants.iter().for_each(|grant| inner.settle(&of.policy, grant));
        }
    }

    /// All rules, in order.
    pub fn rules(&self) -> Vec<GrantRule> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let rule = |((app, capability, scope), given): (&(AppName, Capability, Scope), &Option<Access>)| {
            GrantRule { app: app.clone(), capability: *capability, scope: scope.clone(), given: *given }
        };
        inner.rules.iter().map(rule).collect()
    }

    /// All grants, by app, each app's in the order of its bindings, with those of its `[permissions]` after them.
    pub fn list(&self) -> Vec<Arc<Grant>> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.apps.values().flat_map(|of| of.grants.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests;
