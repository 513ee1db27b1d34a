//! What the API answers to, in one table: requests are routed by it, and its description is made of it.

/// A route.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// With `{name}` for an app's name.
    pub(super) path: &'static str,
    pub(super) to: To,
    pub(super) summary: &'static str,
    /// Of the query: name, type, what it says.
    pub(super) query: &'static [(&'static str, &'static str, &'static str)],
    /// What it answers if all is well: a type of the description, or none for lines of a log.
    pub(super) answer: Option<&'static str>,
    /// Its problems, by their statuses.
    pub(super) problems: &'static [u16],
}

/// What a route leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Describe,
    List,
    Show,
    Deploy,
    Remove,
    RollBack,
    Stop,
    Start,
    Logs,
    Crons,
    Cron,
    Trigger,
    Grants,
    Grant,
    Revoke,
    Providers,
    UpdateProvider,
    StopProvider,
    StartProvider,
    Drain,
}

/// All of them.
pub(super) static ROUTES: [Route; 20] = [
    Route {
        method: "GET",
        path: "/v1/openapi.json",
        to: To::Describe,
        summary: "This description",
        query: &[],
        answer: Some("Description"),
        problems: &[401],
    },
    Route {
        method: "GET",
        path: "/v1/apps",
        to: To::List,
        summary: "All apps, with their status, limits and usage",
        query: &[],
        answer: Some("Apps"),
        problems: &[401],
    },
    Route {
        method: "GET",
        path: "/v1/apps/{name}",
        to: To::Show,
        summary: "One app",
        query: &[],
        answer: Some("App"),
        problems: &[400, 401, 404],
    },
    Route {
        method: "PUT",
        path: "/v1/apps/{name}",
        to: To::Deploy,
        summary: "Deploy an app, or its next version: the body is a tar archive of the app's folder, uncompressed, \
                  with files and folders only. What served before serves until the new version is loaded",
        query: &[],
        answer: Some("Deployment"),
        problems: &[400, 401, 404, 409, 413, 422, 500, 503],
    },
    Route {
        method: "DELETE",
        path: "/v1/apps/{name}",
        to: To::Remove,
        summary: "Remove a deployed app with all its versions; requests in flight finish",
        query: &[],
        answer: Some("Done"),
        problems: &[400, 401, 404, 409, 500, 503],
    },
    Route {
        method: "POST",
        path: "/v1/apps/{name}/rollback",
        to: To::RollBack,
        summary: "Serve an earlier version of a deployed app again",
        query: &[("to", "integer", "The version's number; without it, the one before")],
        answer: Some("Deployment"),
        problems: &[400, 401, 404, 409, 422, 500, 503],
    },
    Route {
        method: "POST",
        path: "/v1/apps/{name}/stop",
        to: To::Stop,
        summary: "Have an app finish what it has in flight and answer 503 until it is started",
        query: &[],
        answer: Some("App"),
        problems: &[400, 401, 404, 409, 500, 503],
    },
    Route {
        method: "POST",
        path: "/v1/apps/{name}/start",
        to: To::Start,
        summary: "Start an app that was stopped",
        query: &[],
        answer: Some("App"),
        problems: &[400, 401, 404, 409, 500, 503],
    },
    Route {
        method: "GET",
        path: "/v1/apps/{name}/logs",
        to: To::Logs,
        summary: "The last lines of an app's log, one JSON object a line; an empty line is a sign of life, and \
                  {\"missed\":N} stands for N lines that were not there any more",
        query: &[
            ("tail", "integer", "How many of the last lines; 100 if it is left out"),
            ("follow", "boolean", "Whether the lines that come follow, as they come"),
        ],
        answer: None,
        problems: &[400, 401, 404],
    },
    Route {
        method: "GET",
        path: "/v1/cron",
        to: To::Crons,
        summary: "The triggers of all apps, each with its next time and its last run",
        query: &[],
        answer: Some("Crons"),
        problems: &[401],
    },
    Route {
        method: "GET",
        path: "/v1/apps/{name}/cron",
        to: To::Cron,
        summary: "The triggers of an app, each with its next time and its last run",
        query: &[],
        answer: Some("Crons"),
        problems: &[400, 401, 404, 409],
    },
    Route {
        method: "POST",
        path: "/v1/apps/{name}/cron",
        to: To::Trigger,
        summary: "Run an app's trigger now, whatever its next time is, and answer when the run is over",
        query: &[
            ("cron", "string", "The pattern, as the manifest has it; the app's first if it is left out"),
            (
                "time",
                "string",
                "The time that the app is told: in milliseconds since 1970, or as 2026-07-01T03:30:00Z; now if it is \
                 left out",
            ),
        ],
        answer: Some("Ran"),
        problems: &[400, 401, 404, 409, 503],
    },
    Route {
        method: "GET",
        path: "/v1/grants",
        to: To::Grants,
        summary: "What each app asks for by its bindings and permissions, and what it is granted of that",
        query: &[],
        answer: Some("Grants"),
        problems: &[401],
    },
    Route {
        method: "PUT",
        path: "/v1/apps/{name}/grants",
        to: To::Grant,
        summary: "Grant an app something, from its next call on, whatever the host's policy says",
        query: &[
            ("capability", "string", "What it is: kv, sql, app, net, read, write or env"),
            (
                "resource",
                "string",
                "What it leads to, percent-encoded: NAME, or APP/NAME for another app's; an app; an entry of `net`; a \
                 folder; a variable",
            ),
            ("access", "string", "read, or write if it is left out"),
        ],
        answer: Some("Granted"),
        problems: &[400, 401, 500, 503],
    },
    Route {
        method: "DELETE",
        path: "/v1/apps/{name}/grants",
        to: To::Revoke,
        summary: "Take something from an app, from its next call on, whatever the host's policy says",
        query: &[
            ("capability", "string", "What it is: kv, sql, app, net, read, write or env"),
            (
                "resource",
                "string",
                "What it leads to, percent-encoded: NAME, or APP/NAME for another app's; an app; an entry of `net`; a \
                 folder; a variable",
            ),
        ],
        answer: Some("Granted"),
        problems: &[400, 401, 500, 503],
    },
    Route {
        method: "GET",
        path: "/v1/providers",
        to: To::Providers,
        summary: "What carries capabilities out, and how it is",
        query: &[],
        answer: Some("Providers"),
        problems: &[401],
    },
    Route {
        method: "PUT",
        path: "/v1/providers/{name}",
        to: To::UpdateProvider,
        summary: "Put another implementation in a provider's place: calls under way are finished, those that come wait. It \
                  holds until the host ends",
        query: &[
            (
                "type",
                "string",
                "What it is to be: redb or memory, sqlite or sqlite-memory, for the same capability; as before if it is left out",
            ),
            ("timeout", "string", "How long a call may take, as 5s or 500ms; as before if it is left out"),
        ],
        answer: Some("Provider"),
        problems: &[400, 401, 404, 409, 500, 503],
    },
    Route {
        method: "POST",
        path: "/v1/providers/{name}/stop",
        to: To::StopProvider,
        summary: "Stop a provider: calls under way are finished, further ones fail at once, and apps go on",
        query: &[],
        answer: Some("Provider"),
        problems: &[400, 401, 404, 409, 500, 503],
    },
    Route {
        method: "POST",
        path: "/v1/providers/{name}/start",
        to: To::StartProvider,
        summary: "Start a provider that was stopped",
        query: &[],
        answer: Some("Provider"),
        problems: &[400, 401, 404, 409, 500, 503],
    },
    Route {
        method: "POST",
        path: "/v1/drain",
        to: To::Drain,
        summary: "Have the host stop as SIGTERM does: it finishes what is in flight, and ends",
        query: &[],
        answer: Some("Done"),
        problems: &[401],
    },
];

/// Where a request leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// There, with the app's name as it was written.
    To(To, &'a str),
    /// Nowhere by that method; these there are.
    OtherMethods(Vec<&'static str>),
    Nowhere,
}

/// The route of a request.
pub(super) fn find<'a>(method: &str, path: &'a str) -> Found<'a> {
    let there: Vec<(&Route, &str)> =
        ROUTES.iter().filter_map(|route| Some((route, matches(route.path, path)?))).collect();
    let method = if method == "HEAD" { "GET" } else { method };
    match there.iter().find(|(route, _)| route.method == method) {
        Some((route, name)) => Found::To(route.to, name),
        None if there.is_empty() => Found::Nowhere,
        None => Found::OtherMethods(there.iter().map(|(route, _)| route.method).collect()),
    }
}

/// Whether a path is one of these; gives the name in it.
fn matches<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let Some((before, after)) = pattern.split_once("{name}") else {
        return (pattern == path).then_some("");
    };
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_and_nothing_else() {
        for route in &ROUTES {
            let path = route.path.replace("{name}", "shop");
            let name = if path == route.path { "" } else { "shop" };
            assert_eq!(find(route.method, &path), Found::To(route.to, name), "{path}");
        }
        assert_eq!(find("HEAD", "/v1/apps"), Found::To(To::List, ""));
        assert_eq!(find("PATCH", "/v1/apps/a"), Found::OtherMethods(vec!["GET", "PUT", "DELETE"]));
        for path in
            ["/", "", "/v1", "/v1/apps/", "/v1/apps/a/b", "/v1/apps//logs", "/v2/apps", "/v1/apps/a/logs/"]
        {
            assert_eq!(find("GET", path), Found::Nowhere, "{path}");
        }
    }
}
