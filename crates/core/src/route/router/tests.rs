use std::str::FromStr;

use super::*;
use crate::PatternError;
use proptest::prelude::*;

/// Patterns with commas between them; `-` is none.
fn list<P: FromStr<Err = PatternError>>(texts: &str) -> Option<Vec<P>> {
    let pattern = |text: &str| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    (texts != "-").then(|| texts.split(',').map(pattern).collect())
}

/// Enters `HOSTS PATHS NAME`.
fn enter(router: &mut Router<String>, entry: &str) -> Result<(), Conflict<String>> {
    let parts: Vec<&str> = entry.split(' ').collect();
    router.insert(list(parts[0]).as_deref(), list(parts[1]).as_deref(), parts[2].to_owned())
}

fn router(entries: &[&str]) -> Router<String> {
    let mut router = Router::default();
    entries.iter().for_each(|entry| enter(&mut router, entry).unwrap_or_else(|error| panic!("{error}")));
    router
}

fn conflict(entries: &[&str]) -> String {
    let mut router = Router::default();
    let refused = entries.iter().find_map(|entry| enter(&mut router, entry).err());
    refused.map_or_else(|| "none".to_owned(), |conflict| conflict.to_string())
}

/// What is found, or the status.
fn found(router: &Router<String>, host: &str, path: &str) -> String {
    router.lookup(host, path).map_or_else(|no| no.status().to_string(), String::clone)
}

#[test]
fn the_most_specific_host_decides() {
    let router = router(&["*.x - wide", "a.x - exact", "*.a.x - deep", "10.0.0.1,[::1] - address"]);
    for (host, name) in [
        ("a.x", "exact"),
        ("b.x", "wide"),
        ("c.b.x", "wide"),
        ("b.a.x", "deep"),
        ("c.b.a.x", "deep"),
        ("10.0.0.1:80", "address"),
        ("[0::1]:80", "address"),
        ("A.X.", "exact"),
        ("B.A.X:1", "deep"),
        ("x", "421"),
        ("ax", "421"),
        (".x", "421"),
        ("b..x", "421"),
        ("", "421"),
        ("9.10.0.0.1", "421"),
    ] {
        assert_eq!(found(&router, host, "/any"), name, "{host}");
    }
}

#[test]
fn a_host_that_has_an_entry_is_not_helped_out_by_less_specific_ones() {
    let router = router(&["- - any", "*.x /w wide", "a.x /api exact"]);
    for (host, path, name) in [
        ("a.x", "/api", "exact"),
        ("a.x", "/", "404"),
        ("a.x", "/w", "404"),
        ("b.x", "/w", "wide"),
        ("b.x", "/api", "404"),
        ("x", "/api", "any"),
        ("y", "/", "any"),
        ("", "/", "any"),
    ] {
        assert_eq!(found(&router, host, path), name, "{host} {path}");
    }
}

#[test]
fn an_entry_is_for_each_of_its_hosts_with_each_of_its_paths() {
    let router = router(&["a.x,*.y /api,/files/* one", "a.x /api/v2 two", "- /:lang three"]);
    for (host, path, name) in [
        ("a.x", "/api", "one"),
        ("a.x", "/files/x", "one"),
        ("a.x", "/files", "404"),
        ("a.x", "/api/v2/users", "two"),
        ("b.y", "/api/v2/users", "one"),
        ("z", "/de/api", "three"),
        ("z", "/", "404"),
    ] {
        assert_eq!(found(&router, host, path), name, "{host} {path}");
    }
}

#[test]
fn no_way_of_writing_a_path_leads_around_a_pattern() {
    let router = router(&["- / open", "- /admin guarded"]);
    for path in [
        "/admin",
        "/%61dmin",
        "/%61%64min/x",
        "/open/../admin",
        "/open/%2e%2E/admin",
        "/./admin",
        "/open\\..\\admin",
        "/\\../admin",
        "/admin?x",
        "/admin#x",
        "/admin/..x",
    ] {
        assert_eq!(found(&router, "a", path), "guarded", "{path}");
    }
    for path in ["/admin/..", "/open/..%2Fadmin", "/admin%2Fx", "//admin", "/open?/../admin", "", "*"] {
        assert_eq!(found(&router, "a", path), "open", "{path}");
    }
}

#[test]
fn the_same_path_of_the_same_host_can_be_claimed_once() {
    assert_eq!(
        conflict(&["x,a.x /b,/a/:x one", "y,A.X. /c,/a/:id two"]),
        "`two` claims the path `/a/:id` of `a.x`, and so does `one`"
    );
    assert_eq!(
        conflict(&["- /* one", "- - two"]),
        "`two` claims the path `/` of any host, and so does `one`"
    );
    assert_eq!(
        conflict(&["*.x - one", "*.X / two"]),
        "`two` claims the path `/` of `*.x`, and so does `one`"
    );
    for fine in [
        ["a.x - one", "*.x - two"],
        ["x - one", "- - two"],
        ["x /a one", "x /a/* two"],
        ["x /a/:b one", "x /a/:b/* two"],
        ["x,x /a,/%61 one", "y /a two"],
    ] {
        assert_eq!(conflict(&fine), "none", "{fine:?}");
    }
}

#[test]
fn a_refused_entry_changes_nothing() {
    let mut router = router(&["a.x /api one", "b.x - two"]);
    let refused = enter(&mut router, "c.x,a.x /new,/api three").unwrap_err();
    assert_eq!((refused.first.as_str(), refused.second.as_str()), ("one", "three"));
    assert_eq!((refused.host, refused.path), ("a.x".parse().ok(), "/api".parse().unwrap()));
    assert_eq!((router.len(), found(&router, "a.x", "/new")), (2, "404".to_owned()));
    assert_eq!(found(&router, "c.x", "/new"), "421");

    let paths = list("/api");
    let replaced =
        router.replace(|name| name == "two", list("a.x").as_deref(), paths.as_deref(), "three".into());
    assert_eq!(replaced.unwrap_err().first, "one");
    assert_eq!(found(&router, "b.x", "/"), "two");
}

#[test]
fn entries_can_be_removed_and_replaced() {
    let mut router = router(&["a.x /api one", "b.x - two", "- - three"]);
    let hosts = list("a.x,c.x");
    router.replace(|name| name == "one", hosts.as_deref(), list("/api").as_deref(), "four".into()).unwrap();
    assert_eq!(
        (found(&router, "a.x", "/api"), found(&router, "c.x", "/api")),
        ("four".into(), "four".into())
    );
    router.retain(|name| name != "three");
    assert_eq!((found(&router, "y", "/"), found(&router, "b.x", "/")), ("421".into(), "two".into()));
    router.retain(|name| name == "four");
    assert_eq!(
        (router.len(), found(&router, "b.x", "/"), found(&router, "a.x", "/")),
        (1, "421".into(), "404".into())
    );
    router.replace(|_| false, None, None, "five".into()).unwrap();
    assert_eq!(found(&router, "b.x", "/"), "five");
    router.retain(|_| false);
    assert!(router.is_empty() && router.lookup("a.x", "/api") == Err(NoRoute::Host));
}

#[test]
fn many_hosts_and_paths_are_each_found() {
    let mut router = Router::default();
    for number in 0..1000 {
        enter(&mut router, &format!("h{number}.x - exact-{number}")).unwrap();
        enter(&mut router, &format!("*.w{number}.x - wide-{number}")).unwrap();
        enter(&mut router, &format!("- /p{number}/:id path-{number}")).unwrap();
    }
    for number in [0, 1, 499, 999] {
        assert_eq!(found(&router, &format!("h{number}.x"), "/"), format!("exact-{number}"));
        assert_eq!(found(&router, &format!("a.b.w{number}.x:80"), "/"), format!("wide-{number}"));
        assert_eq!(found(&router, "other", &format!("/p{number}/7")), format!("path-{number}"));
    }
    assert_eq!((found(&router, "h1000.y", "/"), router.len()), ("404".into(), 3000));
    // A name that no pattern can have is not taken apart.
    assert_eq!(found(&router, &format!("{}w1.x", "a.".repeat(5000)), "/p1/7"), "path-1");
}

/// What is looked up is found by going through all entries, by the words of the documentation.
mod reference {
    use super::NoRoute;

    /// Hosts and paths as they are written, an empty list for any.
    pub(super) type Entry = (Vec<String>, Vec<String>);

    fn hosts(entry: &Entry) -> Vec<&str> {
        if entry.0.is_empty() { vec!["-"] } else { entry.0.iter().map(String::as_str).collect() }
    }

    fn paths(entry: &Entry) -> Vec<&str> {
        if entry.1.is_empty() { vec!["/"] } else { entry.1.iter().map(String::as_str).collect() }
    }

    /// How specific a pattern is for a host that it matches: the number of its labels, and more for an exact
    /// one.
    fn host_rank(pattern: &str, host: &str) -> Option<usize> {
        if pattern == "-" {
            return Some(0);
        }
        let Some(below) = pattern.strip_prefix("*.") else { return (pattern == host).then_some(usize::MAX) };
        let front = host.strip_suffix(below)?.strip_suffix('.')?;
        front.split('.').all(|label| !label.is_empty()).then(|| below.split('.').count())
    }

    fn segments(path: &str) -> Vec<&str> {
        path[1..].split('/').filter(|segment| path != "/" || !segment.is_empty()).collect()
    }

    /// How specific a pattern is for a path that it matches: its segments, then each of them from the left.
    fn path_rank(pattern: &str, path: &str) -> Option<(usize, Vec<u8>)> {
        let path: Vec<&str> = path[1..].split('/').collect();
        let mut ranks = Vec::new();
        for (at, segment) in segments(pattern).into_iter().enumerate() {
            let there = path.get(at)?;
            ranks.push(match segment {
                "*" => 0,
                name if name.starts_with(':') && !there.is_empty() => 1,
                literal if literal == *there => 2,
                _ => return None,
            });
        }
        Some((ranks.len(), ranks))
    }

    pub(super) fn lookup(entries: &[Entry], host: &str, path: &str) -> Result<usize, NoRoute> {
        let ranked = |entry| hosts(entry).into_iter().filter_map(|pattern| host_rank(pattern, host)).max();
        let best = entries.iter().filter_map(ranked).max().ok_or(NoRoute::Host)?;
        let mut found: Option<((usize, Vec<u8>), usize)> = None;
        for (place, entry) in entries.iter().enumerate() {
            if !hosts(entry).into_iter().any(|pattern| host_rank(pattern, host) == Some(best)) {
                continue;
            }
            for rank in paths(entry).into_iter().filter_map(|pattern| path_rank(pattern, path)) {
                if found.as_ref().is_none_or(|(other, _)| rank > *other) {
                    found = Some((rank, place));
                }
            }
        }
        found.map(|(_, place)| place).ok_or(NoRoute::Path)
    }

    /// A pattern without its names.
    fn shape(pattern: &str) -> Vec<&str> {
        let nameless = |segment| if str::starts_with(segment, ':') { ":" } else { segment };
        let segments: Vec<&str> = segments(pattern).into_iter().map(nameless).collect();
        if segments == ["*"] { Vec::new() } else { segments }
    }

    pub(super) fn conflict(a: &Entry, b: &Entry) -> bool {
        let same_host = hosts(a).iter().any(|host| hosts(b).contains(host));
        let same_path = |a: &&str| paths(b).iter().any(|b| shape(a) == shape(b));
        same_host && paths(a).iter().any(same_path)
    }
}

/// A pattern of few different segments, so that many match and clash.
fn some_pattern() -> impl Strategy<Value = String> {
    (prop::collection::vec(0..3, 0..4), prop::bool::weighted(0.3)).prop_map(|(kinds, rest)| {
        let segment = |(at, kind): (usize, &i32)| match kind {
            0 => "/a".to_owned(),
            1 => "/b".to_owned(),
            _ => format!("/:n{at}"),
        };
        let mut pattern: String = kinds.iter().enumerate().map(segment).collect();
        if rest || pattern.is_empty() {
            pattern.push_str(if rest { "/*" } else { "/" });
        }
        pattern
    })
}

fn some_entry() -> impl Strategy<Value = reference::Entry> {
    let host = prop::sample::select(vec!["x", "a.x", "b.a.x", "*.x", "*.a.x", "*.b.a.x", "10.0.0.1"]);
    (prop::collection::vec(host.prop_map(str::to_owned), 0..3), prop::collection::vec(some_pattern(), 0..4))
}

/// A host as it is sent, and its name.
fn some_host() -> impl Strategy<Value = (String, String)> {
    let names =
        ["x", "a.x", "c.x", "b.a.x", "c.a.x", "c.b.a.x", "d.c.b.a.x", "10.0.0.1", "y", ".x", "c..a.x", ""];
    (prop::sample::select(names.to_vec()), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(name, upper, dot, port)| {
            let mut host = if upper { name.to_uppercase() } else { name.to_owned() };
            host.push_str(if dot { "." } else { "" });
            host.push_str(if port { ":8080" } else { "" });
            (host, name.to_owned())
        },
    )
}

proptest! {
    #[test]
    fn a_router_finds_what_going_through_all_entries_finds(
        entries in prop::collection::vec(some_entry(), 0..8),
        requests in prop::collection::vec((some_host(), "(/(a|b|c|)){1,5}"), 1..20),
        kept in any::<u8>(),
    ) {
        let mut router = Router::default();
        let mut entered: Vec<(usize, reference::Entry)> = Vec::new();
        for (number, entry) in entries.into_iter().enumerate() {
            let hosts: Vec<HostPattern> = entry.0.iter().map(|host| host.parse().unwrap()).collect();
            let paths: Vec<PathPattern> = entry.1.iter().map(|path| path.parse().unwrap()).collect();
            let result = router.insert(Some(&hosts), Some(&paths), number);
            match entered.iter().any(|(_, other)| reference::conflict(other, &entry)) {
                true => prop_assert_eq!(result.unwrap_err().second, number),
                false => {
                    prop_assert!(result.is_ok());
                    entered.push((number, entry));
                }
            }
        }
        for all in [true, false] {
            if !all {
                let keep = |number: usize| kept >> number & 1 == 1;
                router.retain(|number| keep(*number));
                entered.retain(|(number, _)| keep(*number));
            }
            let (numbers, models): (Vec<usize>, Vec<reference::Entry>) = entered.iter().cloned().unzip();
            for ((host, name), path) in &requests {
                let expected = reference::lookup(&models, name, path).map(|place| numbers[place]);
                prop_assert_eq!(router.lookup(host, path).copied(), expected, "{} {}", host, path);
            }
        }
    }

    #[test]
    fn any_host_and_path_may_be_asked_for(host in "\\PC{0,20}", path in "\\PC{0,20}") {
        let router = router(&["a.x,*.x /a,/b/:c,/d/* one"]);
        let _ = router.lookup(&host, &path);
    }
}
