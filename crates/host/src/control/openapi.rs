//! The API's description, made of its routes.

use nexus_core::{Limit, ProviderKind};
use nexus_guest::Capability;
use serde_json::{Map, Value, json};

use super::routes::{ROUTES, Route, To};

/// The description, as OpenAPI 3.1 has it.
pub(super) fn description(version: &str) -> Value {
    let mut paths = Map::new();
    for route in &ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Nexus",
            "version": version,
            "description": "Manages the apps of a host. At an IP address each request needs the host's token; a Unix \
                            socket is open to the host's user.",
        },
        "paths": paths,
        "security": [{}, { "token": [] }],
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    if route.path.contains("{name}") {
        parameters.push(json!({
            "name": "name", "in": "path", "required": true, "description": "The app's name",
            "schema": { "type": "string", "pattern": "^[a-z0-9][a-z0-9_.-]{0,62}$" },
        }));
    }
    parameters.extend(route.query.iter().map(|(name, kind, says)| {
        json!({ "name": name, "in": "query", "description": says, "schema": { "type": kind } })
    }));
    let content = match route.answer {
        Some(answer) => json!({ "application/json": { "schema": reference(answer) } }),
        None => json!({ "application/x-ndjson": { "schema": { "type": "string" } } }),
    };
    let mut responses = json!({ "200": { "description": "Done", "content": content } });
    for problem in route.problems {
        responses[problem.to_string()] = json!({
            "description": meaning(*problem),
            "content": { "application/json": { "schema": reference("Problem") } },
        });
    }
    let mut operation = json!({
        "operationId": format!("{:?}", route.to).to_ascii_lowercase(),
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if route.to == To::Deploy {
        let content = json!({ "application/x-tar": { "schema": { "type": "string", "format": "binary" } } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "What was asked or sent is wrong",
        401 => "The token is missing or wrong",
        404 => "There is no such app or version",
        409 => "That cannot be done with this app, or not now",
        413 => "What was sent is too much",
        422 => "The app's code cannot be loaded",
        503 => "The host cannot do it now; try again",
        _ => "The host failed",
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A type of which all these properties are always there.
fn object(properties: Value) -> Value {
    let names: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
    json!({ "type": "object", "required": names, "properties": properties })
}

fn schemas() -> Value {
    let (text, count, number) =
        (json!({ "type": "string" }), json!({ "type": "integer" }), json!({ "type": "number" }));
    let texts = json!({ "type": "array", "items": text });
    let or_null = |kind: &str| json!({ "type": [kind, "null"] });
    let limits: Map<String, Value> =
        Limit::ALL.iter().map(|limit| (limit.key().to_owned(), count.clone())).collect();
    json!({
        "Problem": object(json!({ "error": { "type": "string", "description": "What, where, and what to do" } })),
        "Done": object(json!({ "done": { "const": true } })),
        "Description": { "type": "object" },
        "Apps": object(json!({ "apps": { "type": "array", "items": reference("App") } })),
        "App": object(json!({
            "name": text,
            "state": { "enum": ["running", "starting", "asleep", "draining", "stopped", "failed"] },
            "error": or_null("string"),
            "url": or_null("string"),
            "hosts": texts,
            "paths": texts,
            "source": { "enum": ["deployed", "folder"] },
            "folder": or_null("string"),
            "version": or_null("integer"),
            "versions": { "type": "array", "items": reference("Version") },
            "limits": {
                "type": "object",
                "description": "In bytes, milliseconds or counts, as nexus.toml has them",
                "properties": limits,
            },
            "usage": reference("Usage"),
        })),
        "Version": object(json!({
            "number": count,
            "digest": { "type": "string", "description": "SHA-256 of its content" },
            "deployed": { "type": "integer", "description": "When, in seconds since 1970" },
            "files": count,
            "bytes": count,
            "current": { "type": "boolean" },
        })),
        "Usage": object(json!({
            "workers": count,
            "draining": count,
            "requests": { "type": "integer", "description": "Requests that were answered" },
            "errors": { "type": "integer", "description": "Those answered with 5xx" },
            "in_flight": count,
            "connections": count,
            "cpu_seconds": number,
            "memory": { "type": "integer", "description": "Bytes that its guests hold" },
            "p50_seconds": or_null("number"),
            "p99_seconds": or_null("number"),
            "durations": {
                "type": "array",
                "description": "How many requests took so long, by upper bounds in seconds; the last one has none",
                "items": object(json!({ "below": or_null("number"), "count": count })),
            },
        })),
        "Deployment": object(json!({
            "app": reference("App"),
            "version": count,
            "unchanged": { "type": "boolean", "description": "Whether it is what served before" },
            "not_granted": {
                "type": "array", "items": text,
                "description": "What its manifest asks for under [permissions] and [bindings] and the host does not allow",
            },
        })),
        "Providers": object(json!({ "providers": { "type": "array", "items": reference("Provider") } })),
        "Provider": object(json!({
            "name": text,
            "capability": { "enum": Capability::ALL.map(Capability::name) },
            "type": { "enum": ProviderKind::ALL.map(|kind| kind.to_string()) },
            "state": { "enum": ["starting", "running", "degraded", "stopped"] },
            "version": { "type": "integer", "description": "Counts its implementations, from 1" },
            "calls": { "type": "integer", "description": "How many calls are under way" },
            "timeout_ms": count,
        })),
        "Crons": object(json!({ "cron": { "type": "array", "items": reference("Cron") } })),
        "Cron": object(json!({
            "app": text,
            "cron": { "type": "string", "description": "The pattern, as the manifest has it" },
            "next": { "type": ["integer", "null"], "description": "In milliseconds since 1970; null while the app is stopped" },
            "last": { "oneOf": [reference("LastRun"), { "type": "null" }] },
        })),
        "LastRun": object(json!({
            "time": { "type": "integer", "description": "The time that it was for, in milliseconds since 1970" },
            "result": { "enum": ["ok", "failed"] },
            "error": or_null("string"),
            "took_ms": count,
        })),
        "Ran": object(json!({
            "app": text,
            "cron": text,
            "time": { "type": "integer", "description": "In milliseconds since 1970" },
            "result": { "enum": ["ok", "failed"] },
            "error": or_null("string"),
            "took_ms": count,
        })),
        "Grants": object(json!({ "grants": { "type": "array", "items": reference("Grant") } })),
        "Granted": object(json!({
            "grants": { "type": "array", "items": reference("Grant") },
            "kept": { "type": "boolean", "description": "Whether it outlasts the host" },
        })),
        "Grant": object(json!({
            "app": text,
            "binding": { "type": "string", "description": "The name under which the app finds it; empty for an entry of [permissions]" },
            "capability": { "enum": Capability::ALL.map(Capability::name) },
            "resource": { "type": "string", "description": "What it leads to: APP/NAME, an app, an entry of `net`, a folder, a variable" },
            "asked": { "enum": ["read", "write", "call", "connect"] },
            "granted": { "enum": ["read", "write", "call", "connect", null] },
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let description = description("1.2.3");
        let described: usize = description["paths"]
            .as_object()
            .unwrap()
            .values()
            .map(|path| path.as_object().unwrap().len())
            .sum();
        assert_eq!(described, ROUTES.len());
        for route in &ROUTES {
            let operation = &description["paths"][route.path][route.method.to_ascii_lowercase()];
            assert_eq!(operation["summary"], route.summary);
            assert!(operation["responses"]["401"].is_object(), "{}", route.path);
        }
        let text = description.to_string();
        for (at, _) in text.match_indices("#/components/schemas/") {
            let name = text[at..].split(['/', '"']).nth(3).unwrap();
            assert!(description["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
