//! `[[routes]]`: from a request's path to a module of the app.

use super::tree::PathTree;
use super::{Conflict, PathPattern, normal_path};
use crate::schema::{Value, Values};

/// One of an app's `[[routes]]`: which module handles the requests for some paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The paths.
    pub path: PathPattern,
    /// The module's file, relative to the app's folder, with `/`, without `..`.
    pub module: String,
}

impl Route {
    /// The routes that the file sets whole, in order.
    pub(crate) fn read(values: &Values) -> Vec<Self> {
        let route = |keys: Vec<(&str, &Value)>| {
            let get = |name: &str| keys.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            match (get("path")?, get("module")?) {
                (Value::Path(path), Value::Text(module)) => {
                    Some(Self { path: path.clone(), module: module.clone() })
                }
                _ => None,
            }
        };
        values.each("routes").filter_map(route).collect()
    }
}

/// Finds the pattern, of some, that fits a path best, as [`Router`](crate::Router) does among the paths of a
/// host.
///
/// ```
/// use nexus_core::Routes;
///
/// let routes = Routes::new(["/admin", "/users/:id"].map(|path| path.parse().unwrap())).unwrap();
/// let (place, values) = routes.lookup("/users/7/orders").unwrap();
/// assert_eq!((place, values), (1, vec![("id".to_owned(), "7".to_owned())]));
/// assert_eq!(routes.lookup("/"), None);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Routes {
    patterns: Vec<PathPattern>,
    tree: PathTree,
}

impl Routes {
    /// The patterns, each of which is then known by its place among them, from 0.
    ///
    /// # Errors
    /// The places of the first two patterns that match the same paths.
    pub fn new(patterns: impl IntoIterator<Item = PathPattern>) -> Result<Self, Conflict<usize>> {
        let mut routes = Self::default();
        for path in patterns {
            let second = routes.patterns.len();
            if let Some(first) = routes.tree.get(&path) {
                return Err(Conflict { first, second, host: None, path });
            }
            routes.tree.set(&path, second);
            routes.patterns.push(path);
        }
        Ok(routes)
    }

    /// The place of the pattern that fits the path of a request best, and what its names stand for, in their
    /// order. The path is still escaped; a query behind it is not looked at.
    ///
    /// What `:name` stands for is decoded; bytes that are no UTF-8 become U+FFFD. What `*` stands for has the
    /// name `*` and is a path in its [normal form](normal_path), still escaped: it may be several segments,
    /// and `%2F` is a part of one.
    pub fn lookup(&self, path: &str) -> Option<(usize, Vec<(String, String)>)> {
        let path = normal_path(path);
        let place = self.tree.find(&path)?;
        Some((place, self.patterns.get(place)?.values(&path)))
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn routes(patterns: &[&str]) -> Routes {
        Routes::new(patterns.iter().map(|text| text.parse().unwrap())).unwrap()
    }

    /// The place, and the values as `name=value`.
    fn found(routes: &Routes, path: &str) -> Option<(usize, String)> {
        let (place, values) = routes.lookup(path)?;
        let values: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Some((place, values.join(" ")))
    }

    #[test]
    fn a_route_is_found_with_what_its_names_stand_for() {
        let routes = routes(&["/admin/*", "/users/:id", "/users/:id/orders/:order", "/users/me"]);
        for (path, place, values) in [
            ("/admin/a/b?c", 0, "*=a/b"),
            ("/users/7", 1, "id=7"),
            ("/users/7/other", 1, "id=7"),
            ("/users/a%2Fb%20c/orders/%C3%A9", 2, "id=a/b c order=é"),
            ("/users/me", 3, ""),
            ("/users/x/../me/", 3, ""),
            ("/users/%FF", 1, "id=\u{fffd}"),
            ("/users/100%", 1, "id=100%"),
            ("/admin/..%2f..%2fetc", 0, "*=..%2F..%2Fetc"),
        ] {
            assert_eq!(found(&routes, path), Some((place, values.to_owned())), "{path}");
        }
        for path in ["/", "/admin", "/users", "/users/", "/admin/.."] {
            assert_eq!(routes.lookup(path), None, "{path}");
        }
        assert!(
            Routes::default().is_empty() && Routes::default().lookup("/").is_none() && !routes.is_empty()
        );
    }

    #[test]
    fn two_routes_for_the_same_paths_are_a_conflict() {
        let patterns = ["/a", "/u/:x", "/b", "/u/:y"].map(|text| text.parse().unwrap());
        let conflict = Routes::new(patterns).unwrap_err();
        assert_eq!((conflict.first, conflict.second, conflict.path.to_string()), (1, 3, "/u/:y".to_owned()));
    }

    proptest! {
        #[test]
        fn a_value_is_what_was_escaped(value in "\\PC{1,8}", rest in "(/[a-z]{0,3}){0,3}") {
            let escaped: String = value.bytes().map(|byte| format!("%{byte:02x}")).collect();
            // A segment of dots alone is resolved before anything is compared.
            prop_assume!(value != "." && value != "..");
            let routes = routes(&["/:name/*", "/:name"]);
            let (place, values) = routes.lookup(&format!("/{escaped}{rest}")).unwrap();
            prop_assert_eq!(place, usize::from(rest.is_empty()));
            prop_assert_eq!(values[0].1.as_str(), value);
            prop_assert_eq!(values.get(1).map(|(_, rest)| rest.as_str()), rest.strip_prefix('/'));
        }
    }
}
