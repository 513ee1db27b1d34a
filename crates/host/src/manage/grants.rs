//! What apps are granted, as whoever runs the host sees and changes it.
//!
//! The rules are kept in a small JSON file in the data folder. Where there is none they hold until the host ends.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use nexus_core::{Access, AppName, Scope};
use nexus_guest::{Capability, Grant, GrantRule, Level};
use serde_json::{Value, json};

use super::{ManageError, Manager};
use crate::store;

/// The file's name.
const FILE: &str = "grants.json";

/// What a rule is about, as somebody has written it.
pub(crate) struct Named {
    app: AppName,
    capability: Capability,
    scope: Scope,
}

impl Named {
    /// # Errors
    /// What is no name of such a thing.
    pub(crate) fn parse(app: AppName, capability: &str, resource: &str) -> Result<Self, ManageError> {
        let wrong = |error: String| ManageError::Wrong(error);
        let capability: Capability =
            capability.parse().map_err(|error| wrong(format!("`capability`: {error}")))?;
        let scope =
            capability.scope(resource, &app).map_err(|error| wrong(format!("`resource`: {error}")))?;
        Ok(Self { app, capability, scope })
    }

    fn rule(&self, given: Option<Access>) -> GrantRule {
        let Self { app, capability, scope } = self;
        GrantRule { app: app.clone(), capability: *capability, scope: scope.clone(), given }
    }
}

impl Manager {
    /// All grants, with what their apps ask for and get.
    pub(crate) fn grants(&self) -> Value {
        let grants: Vec<Value> = self.maker.grants.list().iter().map(told).collect();
        json!({ "grants": grants })
    }

    /// Gives an app something, or takes it, from the next call on: the app's grants then, and whether that outlasts the host.
    ///
    /// # Errors
    /// When it cannot be kept: then it holds all the same, until the host ends.
    pub(crate) fn rule(&self, named: &Named, given: Option<Access>) -> Result<Value, ManageError> {
        let rule = named.rule(given);
        let capability = rule.capability;
        let what = format!("{} `{}`", rule.capability, rule.scope);
        let app = rule.app.clone();
        let _one_at_a_time = self.switching();
        self.maker.grants.rule(rule);
        let message = match given {
            Some(access) => format!("granted: {} of {what}", capability.word(access)),
            None => format!("revoked: {what}"),
        };
        self.maker.logger.host(Level::Info, message, [("app", app.to_string().into())]);
        self.keep_rules().map_err(|error| {
            ManageError::Host(format!("it holds until the host ends, and cannot be kept: {error}"))
        })?;
        let all = self.maker.grants.list();
        let of_app: Vec<Value> = all.iter().filter(|grant| grant.app == app).map(told).collect();
        Ok(json!({ "grants": of_app, "kept": self.data.is_some() }))
    }

    /// The app is gone, and what it was granted.
    pub(super) fn forget_grants(&self, app: &AppName) {
        self.maker.grants.leave(app);
        if let Err(error) = self.keep_rules() {
            let message = format!("that the app's grants are gone cannot be written: {error}");
            self.maker.logger.host(Level::Warn, message, [("app", app.to_string().into())]);
        }
    }

    fn keep_rules(&self) -> io::Result<()> {
        let Some(data) = &self.data else { return Ok(()) };
        let rules = self.maker.grants.rules();
        if rules.is_empty() && !data.join(FILE).exists() {
            return Ok(());
        }
        store::write_beside(data, FILE, &write(&rules))
    }

    /// Reads the rules that were kept. Before any app is loaded.
    ///
    /// # Errors
    /// When they cannot be read: without them apps might get what was taken from them.
    pub(super) fn read_rules(&self, data: &Path) -> Result<(), String> {
        let text = match fs::read_to_string(data.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(format!("{FILE} cannot be read: {error}")),
        };
        let rules = read(&text).ok_or_else(|| {
            format!("{FILE} does not say what apps are granted: remove it, and what was added or taken is forgotten")
        })?;
        rules.into_iter().for_each(|rule| self.maker.grants.rule(rule));
        Ok(())
    }
}

fn told(grant: &Arc<Grant>) -> Value {
    json!({
        "app": grant.app.as_str(),
        "binding": grant.binding,
        "capability": grant.capability.name(),
        "resource": grant.scope.to_string(),
        "asked": grant.capability.word(grant.asked),
        "granted": grant.granted().map(|access| grant.capability.word(access)),
    })
}

fn write(rules: &[GrantRule]) -> String {
    let rules: Vec<Value> = rules
        .iter()
        .map(|rule| {
            json!({
                "app": rule.app.as_str(),
                "capability": rule.capability.name(),
                "resource": rule.scope.to_string(),
                "access": rule.given.map(|access| access.to_string()),
            })
        })
        .collect();
    format!("{:#}\n", json!({ "rules": rules }))
}

fn read(text: &str) -> Option<Vec<GrantRule>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let rule = |value: &Value| {
        let text = |key: &str| value[key].as_str();
        let app = AppName::parse(text("app")?)?;
        let capability: Capability = text("capability")?.parse().ok()?;
        let scope = capability.scope(text("resource")?, &app).ok()?;
        let given = match &value["access"] {
            Value::Null => None,
            Value::String(word) => Some(word.parse().ok()?),
            _ => return None,
        };
        Some(GrantRule { app, capability, scope, given })
    };
    value["rules"].as_array()?.iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What any capability may lead to.
    fn resource() -> impl Strategy<Value = (Capability, String)> {
        use Capability as Is;
        let store = "([a-z]{1,5}/)?[a-z]{1,5}";
        let host = "(\\*\\.)?[a-zA-Z]{1,5}(\\.[a-z]{1,3})?(:[1-9][0-9]{0,3})?|\\*|10\\.0\\.0\\.0/8(:53)?|::1|\\[::1\\]:80";
        prop_oneof![
            (prop_oneof![Just(Is::Kv), Just(Is::Sql)], store),
            (Just(Is::App), "[a-z]{1,5}"),
            (Just(Is::Net), host),
            (prop_oneof![Just(Is::Read), Just(Is::Write)], "[^\\x00]{1,8}|(\\.{0,2}/)?[a-z]{1,3}/?"),
            (Just(Is::Env), "[A-Z_][A-Z0-9_]{0,5}"),
        ]
    }

    proptest! {
        #[test]
        fn rules_are_read_as_they_were_written(
            rules in proptest::collection::vec(("[a-z]{1,5}", resource(), 0..3usize), 0..5),
        ) {
            let rules: Vec<GrantRule> = rules
                .into_iter()
                .map(|(app, (capability, name), given)| {
                    let app = AppName::parse(&app).unwrap();
                    let scope = capability.scope(&name, &app).unwrap();
                    let given = [None, Some(Access::Read), Some(Access::Write)][given];
                    GrantRule { app, capability, scope, given }
                })
                .collect();
            prop_assert_eq!(read(&write(&rules)).unwrap(), rules);
        }

        #[test]
        fn any_text_is_rules_or_none(text in "\\PC{0,40}") {
            let _ = read(&text);
        }
    }

    #[test]
    fn what_is_half_right_is_wrong() {
        for text in [
            "",
            "{}",
            "{\"rules\":{}}",
            "{\"rules\":[{}]}",
            "{\"rules\":[{\"app\":\"a\",\"capability\":\"kv\",\"resource\":\"a/b\",\"access\":\"all\"}]}",
            "{\"rules\":[{\"app\":\"a\",\"capability\":\"magic\",\"resource\":\"a/b\"}]}",
            "{\"rules\":[{\"app\":\"a\",\"capability\":\"kv\",\"resource\":\"a/../b\"}]}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("{\"rules\":[]}"), Some(vec![]));
    }

    #[test]
    fn a_file_of_before_is_read_as_ever() {
        let text =
            "{\"rules\":[{\"app\":\"a\",\"capability\":\"kv\",\"resource\":\"a/b\",\"access\":\"read\"}]}";
        let app = AppName::parse("a").unwrap();
        let scope = Capability::Kv.scope("b", &app).unwrap();
        let given = Some(Access::Read);
        assert_eq!(read(text), Some(vec![GrantRule { app, capability: Capability::Kv, scope, given }]));
    }
}
