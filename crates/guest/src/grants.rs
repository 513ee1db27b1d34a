//! The registry of grants: what each app asks for, what of that it gets, and the one function that decides.
//!
//! ```text
//! manifest: asks ──┐
//! policy: gives ───┼─► Grant, one for each binding, shared with all guests of the app ─► decide(), at every call
//! rules: give, take┘
//! ```
//!
//! What takes effect is what both the manifest and the host say. A rule takes effect with the next call of guests that run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use nexus_core::{Access, AppName, Binding, BindingTarget, Limit, Limits, Resource};

use crate::{Capability, Denied};

/// What an app may do by one of its bindings. Clones of its `Arc` are held by each guest of the app.
#[derive(Debug)]
pub struct Grant {
    /// The app.
    pub app: AppName,
    /// The binding's name.
    pub binding: Box<str>,
    /// What is granted.
    pub capability: Capability,
    /// What it leads to.
    pub resource: Resource,
    /// What the manifest asks for.
    pub asked: Access,
    /// What is granted of that: 0 nothing, 1 to read, 2 to read and write.
    granted: AtomicU8,
    /// How many bytes the owner of the resource may keep.
    quota: AtomicU64,
}

fn level(access: Option<Access>) -> u8 {
    match access {
        None => 0,
        Some(Access::Read) => 1,
        Some(Access::Write) => 2,
    }
}

impl Grant {
    /// What a binding asks for; so far it is granted nothing.
    fn asked(app: &AppName, binding: &Binding) -> Self {
        let (capability, resource, asked) = match &binding.to {
            BindingTarget::Kv(kv) => (Capability::Kv, kv.namespace.of(app), kv.access),
        };
        let (app, binding) = (app.clone(), binding.name.clone());
        let (granted, quota) = (AtomicU8::new(0), AtomicU64::new(0));
        Self { app, binding, capability, resource, asked, granted, quota }
    }

    /// How many bytes the owner of the resource may keep with a provider, whoever writes them.
    pub fn quota(&self) -> u64 {
        self.quota.load(Ordering::Relaxed)
    }

    /// Whether both are asked for alike.
    fn is_as(&self, other: &Self) -> bool {
        let parts = |grant: &Self| (grant.capability, grant.asked);
        self.binding == other.binding && self.resource == other.resource && parts(self) == parts(other)
    }

    /// What it leads to, as the manifest may name it.
    fn named(&self) -> String {
        match self.resource.owner == self.app {
            true => self.resource.part.to_string(),
            false => self.resource.to_string(),
        }
    }

    /// What the app may do.
    pub fn granted(&self) -> Option<Access> {
        match self.granted.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Access::Read),
            _ => Some(Access::Write),
        }
    }

    /// Whether a call may be made that needs this: the one function that decides, at every call.
    ///
    /// # Errors
    /// What is missing, and what to do.
    pub fn decide(&self, needed: Access) -> Result<(), Denied> {
        if self.granted.load(Ordering::Acquire) >= level(Some(needed)) {
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
        Err(Denied { capability: *capability, binding, resource: named, needed, help })
    }
}

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
            GrantPolicy::Own(kinds) => kinds.contains(&grant.capability) && grant.resource.owner == grant.app,
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
    pub resource: Resource,
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
    quotas: BTreeMap<AppName, u64>,
    /// What an operator has given or taken, whatever the policy says.
    rules: BTreeMap<(AppName, Capability, Resource), Option<Access>>,
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
        let rule = self.rules.get(&(grant.app.clone(), grant.capability, grant.resource.clone()));
        let given = match rule {
            Some(given) => *given,
            None => policy.gives(grant).then_some(Access::Write),
        };
        let granted = level(given).min(level(Some(grant.asked)));
        grant.granted.store(granted, Ordering::Release);
        let quota = self.quotas.get(&grant.resource.owner).copied();
        let quota = quota.unwrap_or_else(|| Limits::default().get(Limit::KvStorage));
        grant.quota.store(quota, Ordering::Relaxed);
    }

    /// Settles all grants of what this app owns.
    fn settle_of(&self, owner: &AppName) {
        for of in self.apps.values() {
            let grants = of.grants.iter().filter(|grant| grant.resource.owner == *owner);
            grants.for_each(|grant| self.settle(&of.policy, grant));
        }
    }
}

impl Grants {
    /// Enters what a version of an app asks for by its bindings: a grant for each, in order. A binding that is as before keeps
    /// its grant.
    ///
    /// The app may keep `quota` bytes with a provider, whoever writes them.
    pub fn enter(
        &self,
        app: &AppName,
        policy: GrantPolicy,
        bindings: &[Binding],
        quota: u64,
    ) -> Vec<Arc<Grant>> {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.quotas.insert(app.clone(), quota);
        inner.settle_of(app);
        let mut before = inner.apps.remove(app).map_or(Vec::new(), |before| before.grants);
        let entered: Vec<Arc<Grant>> = bindings
            .iter()
            .map(|binding| {
                let asked = Grant::asked(app, binding);
                let grant = match before.iter().position(|grant| grant.is_as(&asked)) {
                    Some(place) => before.remove(place),
                    None => Arc::new(asked),
                };
                inner.settle(&policy, &grant);
                grant
            })
            .collect();
        // What no guest has any more is nobody's.
        before.retain(|grant| Arc::strong_count(grant) > 1);
        before.iter().for_each(|grant| inner.settle(&policy, grant));
        before.extend(entered.iter().cloned());
        inner.apps.insert(app.clone(), OfApp { policy, grants: before });
        entered
    }

    /// What of this an app would not get, as its manifest may have it: `CACHE = { kv = "cache" }`.
    pub fn missing(&self, app: &AppName, policy: &GrantPolicy, bindings: &[Binding]) -> Vec<String> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let missing = bindings.iter().filter_map(|binding| {
            let grant = Grant::asked(app, binding);
            inner.settle(policy, &grant);
            let named = format!("{} = {{ {} = \"{}\" }}", grant.binding, grant.capability, grant.named());
            match grant.granted() {
                Some(granted) if granted == grant.asked => None,
                Some(granted) => Some(format!("{named}, but to {granted}")),
                None => Some(named),
            }
        });
        missing.collect()
    }

    /// An app is no more: what guests of it have left is taken from them, and its rules are forgotten.
    pub fn leave(&self, app: &AppName) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(gone) = inner.apps.remove(app) {
            gone.grants.iter().for_each(|grant| grant.granted.store(0, Ordering::Release));
        }
        // Nor is what it owned: another app of its name is another app.
        inner.rules.retain(|(of, _, resource), _| of != app && resource.owner != *app);
        inner.quotas.remove(app);
        inner.settle_of(app);
    }

    /// Enters a rule. It counts from the next call on, and for what comes to ask for it later.
    pub fn rule(&self, rule: GrantRule) {
        let GrantRule { app, capability, resource, given } = rule;
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.rules.insert((app.clone(), capability, resource), given);
        if let Some(of) = inner.apps.get(&app) {
            of.grants.iter().for_each(|grant| inner.settle(&of.policy, grant));
        }
    }

    /// All rules, in order.
    pub fn rules(&self) -> Vec<GrantRule> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let rule =
            |((app, capability, resource), given): (&(AppName, Capability, Resource), &Option<Access>)| {
                GrantRule {
                    app: app.clone(),
                    capability: *capability,
                    resource: resource.clone(),
                    given: *given,
                }
            };
        inner.rules.iter().map(rule).collect()
    }

    /// All grants, by app, each app's in the order of its bindings.
    pub fn list(&self) -> Vec<Arc<Grant>> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.apps.values().flat_map(|of| of.grants.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppName {
        AppName::parse(name).unwrap()
    }

    fn bindings(text: &str) -> Vec<Binding> {
        nexus_core::Manifest::parse(&format!("[bindings]\n{text}"), "nexus.toml", "shop").unwrap().bindings
    }

    fn resource(name: &str) -> Resource {
        name.parse::<nexus_core::ResourceName>().unwrap().of(&app("shop"))
    }

    fn rule(of: &str, name: &str, given: Option<Access>) -> GrantRule {
        GrantRule { app: app(of), capability: Capability::Kv, resource: resource(name), given }
    }

    #[test]
    fn what_takes_effect_is_what_both_say() {
        let grants = Grants::default();
        let asked =
            bindings("A = { kv = \"a\" }\nB = { kv = \"b\", access = \"read\" }\nC = { kv = \"other/c\" }");
        let of = |policy| {
            grants.enter(&app("shop"), policy, &asked, 100).iter().map(|g| g.granted()).collect::<Vec<_>>()
        };
        assert_eq!(of(GrantPolicy::All), [Some(Access::Write), Some(Access::Read), Some(Access::Write)]);
        assert_eq!(of(GrantPolicy::Own(vec![])), [None, None, None]);
        let kv = GrantPolicy::Own(vec![Capability::Kv]);
        assert_eq!(of(kv.clone()), [Some(Access::Write), Some(Access::Read), None]);
        grants.rule(rule("shop", "other/c", Some(Access::Read)));
        grants.rule(rule("shop", "b", Some(Access::Write)));
        grants.rule(rule("shop", "a", None));
        assert_eq!(of(kv), [None, Some(Access::Read), Some(Access::Read)]);
    }

    #[test]
    fn a_rule_counts_for_guests_that_run() {
        let grants = Grants::default();
        let asked = bindings("A = { kv = \"a\" }");
        let grant = grants.enter(&app("shop"), GrantPolicy::All, &asked, 100).remove(0);
        assert_eq!(grant.decide(Access::Write), Ok(()));
        grants.rule(rule("other", "a", None));
        assert_eq!(grant.decide(Access::Write), Ok(()));
        grants.rule(rule("shop", "a", Some(Access::Read)));
        assert_eq!(grant.decide(Access::Read), Ok(()));
        assert_eq!(
            grant.decide(Access::Write).unwrap_err().to_string(),
            "the app may not write kv `a` by its binding A: the host does not grant it; `nexus grants add shop kv a` does"
        );
        grants.rule(rule("shop", "a", Some(Access::Write)));
        assert_eq!(grant.decide(Access::Write), Ok(()));
        grants.leave(&app("shop"));
        assert!(grant.decide(Access::Read).is_err());
        assert!(grants.list().is_empty());
    }

    #[test]
    fn a_manifest_that_asks_to_read_is_told_so() {
        let grants = Grants::default();
        let asked = bindings("A = { kv = \"other/a\", access = \"read\" }");
        let grant = grants.enter(&app("shop"), GrantPolicy::All, &asked, 100).remove(0);
        assert_eq!(
            grant.decide(Access::Write).unwrap_err().to_string(),
            "the app may not write kv `other/a` by its binding A: its manifest asks for `access = \"read\"`; ask for \
             \"write\" there"
        );
    }

    #[test]
    fn a_version_keeps_the_grants_that_are_as_before_and_takes_none_from_what_still_runs() {
        let grants = Grants::default();
        let first = grants.enter(
            &app("shop"),
            GrantPolicy::All,
            &bindings("A = { kv = \"a\" }\nB = { kv = \"b\" }"),
            100,
        );
        let second = grants.enter(
            &app("shop"),
            GrantPolicy::All,
            &bindings("B = { kv = \"b\" }\nA = { kv = \"c\" }"),
            100,
        );
        assert!(Arc::ptr_eq(&first[1], &second[0]) && !Arc::ptr_eq(&first[0], &second[1]));
        assert_eq!(first[0].decide(Access::Write), Ok(()));
        grants.rule(rule("shop", "a", None));
        assert!(first[0].decide(Access::Read).is_err());
        assert_eq!(grants.list().len(), 3);
        drop(first);
        grants.enter(&app("shop"), GrantPolicy::All, &bindings(""), 100);
        assert_eq!(grants.list().len(), 2);
        drop(second);
        grants.enter(&app("shop"), GrantPolicy::All, &bindings(""), 100);
        assert!(grants.list().is_empty());
    }
}
