//! The descriptions as JSON Schema, from which an editor completes and checks as one types.

use serde_json::{Map, Value, json};
use toml::de::DeValue;

use super::keys::{Fallback, HOST, Key, Keys, MANIFEST, Names, Schema, Table};
use super::kind::{APP_NAME_PATTERN, Kind};
use crate::env_file::VARIABLE_NAME_PATTERN;
use crate::units::{SIZE_PATTERN, TIME_PATTERN};
use crate::{Hosts, PermissionKind};

/// The JSON Schema (draft 2020-12) of `nexus.toml`.
pub fn manifest_schema() -> Value {
    file(&MANIFEST)
}

/// The JSON Schema (draft 2020-12) of `nexus-host.toml`.
pub fn host_schema() -> Value {
    file(&HOST)
}

fn file(schema: &Schema) -> Value {
    let mut root = object(schema.file, schema.doc);
    root["properties"] = Value::Object(Map::new());
    for described in schema.tables {
        let mut parent = &mut root;
        let mut parts: Vec<&str> = described.path.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            let inner = &mut parent["properties"][part];
            if inner.is_null() {
                *inner = object(&format!("[{part}]"), &format!("The tables of [{part}]."));
                inner["properties"] = Value::Object(Map::new());
            }
            parent = inner;
        }
        parent["properties"][last] = table(described);
    }
    let mut schema = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema" });
    merge(&mut schema, root);
    schema
}

fn object(title: &str, description: &str) -> Value {
    json!({ "title": title, "description": description, "type": "object", "additionalProperties": false })
}

fn table(table: &Table) -> Value {
    let mut schema = object(&table.header(), table.doc);
    match &table.keys {
        Keys::Variables => {
            schema["propertyNames"] = json!({ "pattern": VARIABLE_NAME_PATTERN });
            schema["additionalProperties"] = kind(&Kind::Text);
        }
        Keys::Named { names, one_of, .. } => {
            let mut entry = object(&table.header(), table.doc);
            listed(&mut entry, table);
            if !one_of.is_empty() {
                entry["oneOf"] = one_of.iter().map(|name| json!({ "required": [name] })).collect();
            }
            schema["propertyNames"] = json!({ "pattern": match names {
                Names::Variables => VARIABLE_NAME_PATTERN,
                Names::Plain => PLAIN_NAME_PATTERN,
            } });
            schema["additionalProperties"] = entry;
        }
        Keys::Listed(_) | Keys::Each(_) => listed(&mut schema, table),
    }
    match table.keys {
        Keys::Each(_) => {
            json!({ "title": table.header(), "description": table.doc, "type": "array", "items": schema })
        }
        _ => schema,
    }
}

/// Puts the listed keys of a table into its schema.
fn listed(schema: &mut Value, table: &Table) {
    let keys = table.listed();
    schema["properties"] = keys.iter().map(|key| (key.name.to_owned(), self::key(key))).collect();
    let required = |key: &&Key| matches!(key.fallback, Fallback::Required);
    let required: Vec<_> = keys.iter().filter(required).map(|key| key.name).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
}

fn key(key: &Key) -> Value {
    let otherwise = match key.fallback {
        Fallback::Required => "Required".to_owned(),
        Fallback::Nothing(words) => format!("Default: {words}"),
        Fallback::Value(literal) => format!("Default: {literal}"),
    };
    let mut schema = json!({
        "title": key.name,
        "description": format!("{} {otherwise} ({}).", key.doc, key.reason),
    });
    if let Fallback::Value(literal) = key.fallback
        && let Ok(value) = DeValue::parse(literal)
    {
        schema["default"] = to_json(value.get_ref());
    }
    merge(&mut schema, kind(&key.kind));
    schema
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::AppName => json!({ "type": "string", "pattern": APP_NAME_PATTERN }),
        Kind::Version => json!({ "type": "string", "pattern": VERSION_PATTERN }),
        Kind::MainFile => {
            json!({ "type": "string", "pattern": "^(?!/)(?!(.*/)?\\.\\.(/|$))[^\\\\]+\\.(m?js|wasm)$" })
        }
        Kind::Module => {
            json!({ "type": "string", "pattern": "^(?!/)(?!(.*/)?\\.\\.(/|$))[^\\\\]+\\.(m?js|ts)$" })
        }
        Kind::Folder => json!({ "type": "string", "pattern": "^(?!/)(?!(.*/)?\\.\\.(/|$))[^\\\\]+$" }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Size { min, max } => json!({ "anyOf": [
            { "type": "string", "pattern": SIZE_PATTERN, "description": kind.expected() },
            { "type": "integer", "minimum": min, "maximum": max, "description": "in bytes" },
        ]}),
        Kind::Time { min, max } => json!({ "anyOf": [
            { "type": "string", "pattern": TIME_PATTERN, "description": kind.expected() },
            { "type": "integer", "minimum": min.div_ceil(1000), "maximum": max / 1000, "description": "in seconds" },
        ]}),
        Kind::TimeOrNever { min, max } => {
            let mut time = self::kind(&Kind::Time { min: *min, max: *max });
            if let Some(ways) = time["anyOf"].as_array_mut() {
                ways.push(json!({ "const": "never" }));
            }
            time
        }
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::ListenAddress => json!({ "type": "string", "examples": LISTEN_EXAMPLES }),
        Kind::AdminAddress => json!({ "type": "string", "examples": ADMIN_EXAMPLES }),
        Kind::Networks => json!({
            "type": "array",
            "items": { "type": "string", "examples": ["10.0.0.0/8", "::1"] },
        }),
        Kind::NetGrants => json!({
            "type": "array",
            "maxItems": kind.most(),
            "items": { "type": "string", "minLength": 1, "examples": GRANT_EXAMPLES },
        }),
        Kind::NameServers => json!({
            "type": "array",
            "items": { "type": "string", "examples": ["9.9.9.9", "[::1]:5353"] },
        }),
        Kind::Folders | Kind::Paths => json!({ "type": "array", "items": self::kind(&Kind::Path) }),
        Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::Permissions => {
            json!({ "type": "array", "items": { "enum": PermissionKind::ALL.map(|kind| kind.to_string()) } })
        }
        Kind::Hosts => json!({ "anyOf": [
            { "const": "auto" },
            { "type": "integer", "minimum": 1, "maximum": Hosts::MOST },
        ]}),
        Kind::HostPatterns => json!({
            "type": "array",
            "maxItems": kind.most(),
            "items": { "type": "string", "minLength": 1, "examples": ["shop.example", "*.shop.example"] },
        }),
        Kind::PathPatterns => {
            json!({ "type": "array", "maxItems": kind.most(), "items": self::kind(&Kind::PathPattern) })
        }
        Kind::Resource => {
            json!({ "type": "string", "pattern": RESOURCE_PATTERN, "examples": ["cache", "shop/cache"] })
        }
        Kind::Part => json!({ "type": "string", "pattern": APP_NAME_PATTERN }),
        Kind::CronPatterns => json!({
            "type": "array",
            "maxItems": kind.most(),
            "items": { "type": "string", "minLength": 1, "examples": ["*/5 * * * *", "30 3 * * MON"] },
        }),
        Kind::VariableNames => json!({
            "type": "array",
            "maxItems": kind.most(),
            "items": { "type": "string", "pattern": VARIABLE_NAME_PATTERN },
        }),
        Kind::Secret => {
            json!({ "type": "string", "pattern": SECRET_PATTERN, "examples": ["file:token", "env:TOKEN"] })
        }
        Kind::PathPattern => {
            json!({ "type": "string", "pattern": "^/", "examples": ["/api", "/users/:id", "/files/*"] })
        }
    }
}

/// Semantic Versioning 2.0, by the regular expression that it proposes.
const VERSION_PATTERN: &str = "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\
    (-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?\
    (\\+[0-9a-zA-Z-]+(\\.[0-9a-zA-Z-]+)*)?$";

/// Of names that are not variables'.
const PLAIN_NAME_PATTERN: &str = "^[a-z0-9][a-z0-9_-]{0,62}$";
/// Of names with an app's before them or without.
const RESOURCE_PATTERN: &str = "^([a-z0-9][a-z0-9_.-]{0,62}/)?[a-z0-9][a-z0-9_.-]{0,62}$";

/// Of where a secret comes from.
const SECRET_PATTERN: &str = "^(file:[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}|env:[A-Za-z_][A-Za-z0-9_]*)$";

const GRANT_EXAMPLES: [&str; 5] =
    ["api.example.com:443", "*.example.com", "*", "10.1.0.0/16:5432", "localhost:8080"];
const LISTEN_EXAMPLES: [&str; 4] = ["127.0.0.1", "0.0.0.0", "unix:/run/nexus/nexus.sock", "systemd"];
const ADMIN_EXAMPLES: [&str; 2] = ["127.0.0.1:9090", "unix:/run/nexus/admin.sock"];

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

fn to_json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => json!(number.to_string().parse::<i64>().ok()),
        DeValue::Float(number) => json!(number.as_str().parse::<f64>().ok()),
        DeValue::Boolean(flag) => json!(flag),
        DeValue::Datetime(time) => json!(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| to_json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            table.iter().map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref()))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::string::string_regex;

    fn at<'a>(schema: &'a Value, path: &str) -> &'a Value {
        path.split('.').fold(schema, |schema, part| &schema["properties"][part])
    }

    #[test]
    fn every_key_is_in_the_schema_with_its_default() {
        for (schema, json) in [(&MANIFEST, manifest_schema()), (&HOST, host_schema())] {
            for table in schema.tables {
                let described = at(&json, table.path);
                assert_eq!(described["title"], table.header());
                let described = match table.keys {
                    Keys::Each(_) => &described["items"],
                    Keys::Named { .. } => &described["additionalProperties"],
                    _ => described,
                };
                for key in table.listed() {
                    let found = &described["properties"][key.name];
                    assert!(found["description"].as_str().unwrap().contains(key.doc));
                    assert_eq!(found.get("default").is_some(), matches!(key.fallback, Fallback::Value(_)));
                }
            }
        }
    }

    #[test]
    fn the_schema_says_ranges_defaults_and_what_is_required() {
        let json = manifest_schema();
        assert_eq!(json["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(json["additionalProperties"], false);
        assert_eq!(at(&json, "http")["additionalProperties"], false);
        assert_eq!(at(&json, "http.port")["maximum"], 65535);
        assert_eq!(at(&json, "limits.headers")["default"], "64 KB");
        assert_eq!(at(&json, "limits.headers")["anyOf"][1]["minimum"], 1024);
        assert_eq!(at(&json, "limits.wall")["anyOf"][1]["minimum"], 1);
        assert_eq!(at(&json, "limits.requests")["default"], 100);
        assert_eq!(at(&json, "limits.requests")["type"], "integer");
        assert_eq!(at(&json, "limits.requests")["maximum"], 100_000);
        assert_eq!(at(&json, "assets")["required"], json!(["folder"]));
        assert_eq!(at(&json, "env")["additionalProperties"]["type"], "string");
        assert_eq!(at(&json, "wasm.compiler")["enum"], json!(["cranelift", "winch", "pulley"]));
        assert_eq!(at(&json, "wasm.reuse")["maximum"], 1_000_000);
        assert_eq!(at(&json, "permissions.read")["items"]["minLength"], 1);
        assert_eq!(at(&json, "permissions.write")["default"], json!([]));
        assert_eq!(at(&json, "permissions.net")["default"], json!([]));
        assert_eq!(at(&json, "permissions.net")["maxItems"], 1000);
        assert_eq!(at(&json, "project.isolation")["enum"], json!(["worker", "request"]));
        assert_eq!(at(&json, "http.hosts")["maxItems"], 1000);
        assert_eq!(at(&json, "http.paths")["items"]["pattern"], "^/");
        assert_eq!(at(&json, "scale.idle")["anyOf"][2]["const"], "never");
        assert_eq!(at(&json, "scale.workers")["default"], 4);
        assert_eq!(at(&json, "routes")["type"], "array");
        assert_eq!(at(&json, "routes")["items"]["additionalProperties"], false);
        assert_eq!(at(&json, "routes")["items"]["required"], json!(["path", "module"]));
        let json = host_schema();
        assert_eq!(at(&json, "defaults.limits.body")["default"], "100 MB");
        assert!(at(&json, "ceilings.limits.body").get("default").is_none());
        assert_eq!(at(&json, "ceilings")["additionalProperties"], false);
        assert_eq!(at(&json, "listen.port")["default"], 8080);
        assert_eq!(at(&json, "listen.trusted_proxies")["default"], json!([]));
        assert_eq!(at(&json, "log.access")["default"], false);
        assert_eq!(at(&json, "process.hosts")["default"], "auto");
        assert_eq!(at(&json, "process.hosts")["anyOf"][1]["maximum"], 64);
        assert_eq!(
            at(&json, "deploy.allow")["items"]["enum"],
            json!(["read", "write", "net", "env", "kv", "sql"])
        );
        assert_eq!(at(&json, "ceilings.permissions.net")["items"]["minLength"], 1);
        assert!(at(&json, "ceilings.permissions.net").get("default").is_none());
        assert_eq!(at(&json, "outbound.roots")["enum"], json!(["bundled", "platform"]));
        assert_eq!(at(&json, "outbound.ca")["items"]["minLength"], 1);
        assert_eq!(at(&json, "outbound.name_servers")["items"]["type"], "string");
        assert_eq!(at(&json, "log.format")["enum"], json!(["pretty", "json"]));
    }

    proptest! {
        #[test]
        fn versions_that_the_schemas_pattern_matches_are_accepted(
            version in string_regex(VERSION_PATTERN.trim_matches(['^', '$'])).unwrap(),
        ) {
            let value = DeValue::parse("\"\"").unwrap();
            let value = toml::Spanned::new(value.span(), DeValue::String(version.into()));
            prop_assert!(Kind::Version.read("version", &value).is_ok(), "{:?}", value.get_ref().as_str());
        }
    }
}
