//! Many patterns of paths, and the one that fits a path best.

use std::collections::BTreeMap;

use super::path::{PathPattern, Segment};

/// Patterns, each with a number: a tree with a level for each segment, so that finding one takes about as
/// long as the path has segments, and not as there are patterns.
#[derive(Debug, Clone)]
pub(super) struct PathTree {
    /// The first one is the root; a child stands behind its parent.
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    literals: BTreeMap<Box<str>, usize>,
    /// What follows a `:name`, whatever its name.
    name: Option<usize>,
    /// The number of the pattern that ends here.
    here: Option<usize>,
    /// The number of the pattern that has a `*` next.
    rest: Option<usize>,
}

/// The best pattern so far.
struct Best {
    segments: usize,
    number: usize,
}

impl Default for PathTree {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl PathTree {
    /// The number of the pattern that matches the same paths as this one.
    pub(super) fn get(&self, pattern: &PathPattern) -> Option<usize> {
        let mut node = &self.nodes[0];
        for segment in pattern.segments() {
            let child = match segment {
                Segment::Literal(text) => node.literals.get(text).copied()?,
                Segment::Name(_) => node.name?,
                Segment::Rest if is_every(pattern) => return node.here,
                Segment::Rest => return node.rest,
            };
            node = &self.nodes[child];
        }
        node.here
    }

    /// Enters a pattern with its number, in the place of one that matches the same paths.
    pub(super) fn set(&mut self, pattern: &PathPattern, number: usize) {
        let mut at = 0;
        for segment in pattern.segments() {
            let next = self.nodes.len();
            let node = &mut self.nodes[at];
            at = match segment {
                Segment::Literal(text) => *node.literals.entry(text.clone()).or_insert(next),
                Segment::Name(_) => *node.name.get_or_insert(next),
                // `/*` leaves no path out, as `/` does, and any other pattern comes before both.
                Segment::Rest if is_every(pattern) => break,
                Segment::Rest => {
                    node.rest = Some(number);
                    return;
                }
            };
            if at == next {
                self.nodes.push(Node::default());
            }
        }
        self.nodes[at].here = Some(number);
    }

    /// The number of the pattern that fits a normal path best.
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        let mut best = None;
        self.descend(0, path.strip_prefix('/'), 0, &mut best);
        best.map(|best| best.number)
    }

    /// Looks at a node that `depth` segments lead to, and at all below that match `rest`; `None` is a path
    /// that has ended.
    ///
    /// Of patterns with as many segments the one that comes first is the best, as literals are looked at
    /// before names, and names before the rest. Each node is reached in one way only: the worst that patterns
    /// like `/a/:x` and `/:x/a` in all combinations can do is that each node is looked at once. A pattern's
    /// segments bound the depth.
    fn descend(&self, node: usize, rest: Option<&str>, depth: usize, best: &mut Option<Best>) {
        let node = &self.nodes[node];
        let Some(rest) = rest else { return offer(best, depth, node.here) };
        let (segment, below) = match rest.split_once('/') {
            Some((segment, below)) => (segment, Some(below)),
            None => (rest, None),
        };
        if let Some(child) = node.literals.get(segment) {
            self.descend(*child, below, depth + 1, best);
        }
        if let Some(child) = node.name.filter(|_| !segment.is_empty()) {
            self.descend(child, below, depth + 1, best);
        }
        offer(best, depth + 1, node.rest);
        offer(best, depth, node.here);
    }
}

/// A pattern that matches, with this many segments: it is the best if no other has as many.
fn offer(best: &mut Option<Best>, segments: usize, number: Option<usize>) {
    if let Some(number) = number
        && best.as_ref().is_none_or(|best| segments > best.segments)
    {
        *best = Some(Best { segments, number });
    }
}

/// Whether it is `/*`.
fn is_every(pattern: &PathPattern) -> bool {
    pattern.segments().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of these patterns, each under its place.
    fn tree(patterns: &[&str]) -> PathTree {
        let mut tree = PathTree::default();
        for (place, pattern) in patterns.iter().enumerate() {
            tree.set(&pattern.parse().unwrap(), place);
        }
        tree
    }

    /// The pattern that each path finds.
    fn found<'a>(patterns: &[&'a str], path: &str) -> &'a str {
        tree(patterns).find(path).map_or("none", |place| patterns[place])
    }

    #[test]
    fn a_plain_pattern_is_a_prefix_of_whole_segments() {
        for path in ["/api", "/api/", "/api/users", "/api//x"] {
            assert_eq!(found(&["/api"], path), "/api", "{path}");
        }
        for path in ["/", "/apis", "/ap", "/API", "//api", "/v1/api"] {
            assert_eq!(found(&["/api"], path), "none", "{path}");
        }
    }

    #[test]
    fn a_name_is_one_segment_that_is_not_empty() {
        for path in ["/users/7", "/users/7/orders", "/users/a%2Fb"] {
            assert_eq!(found(&["/users/:id"], path), "/users/:id", "{path}");
        }
        for path in ["/users", "/users/", "/users//x"] {
            assert_eq!(found(&["/users/:id"], path), "none", "{path}");
        }
    }

    #[test]
    fn a_star_is_the_rest_and_may_be_empty_but_not_missing() {
        for path in ["/files/", "/files/a", "/files/a/b/", "/files//"] {
            assert_eq!(found(&["/files/*"], path), "/files/*", "{path}");
        }
        for path in ["/files", "/", "/filesystem/"] {
            assert_eq!(found(&["/files/*"], path), "none", "{path}");
        }
    }

    #[test]
    fn every_path_is_matched_by_the_root() {
        for path in ["/", "/a", "//", "/a/b/"] {
            assert_eq!((found(&["/"], path), found(&["/*"], path)), ("/", "/*"), "{path}");
        }
        assert_eq!(tree(&["/"]).get(&"/*".parse().unwrap()), Some(0));
        assert_eq!(tree(&["/*"]).get(&"/".parse().unwrap()), Some(0));
    }

    #[test]
    fn more_segments_come_first_then_literals_then_names_then_the_rest() {
        let all = ["/", "/a", "/:x", "/a/b", "/a/:x", "/a/*", "/:x/b", "/:x/*", "/a/b/c", "/:x/:y/:z"];
        for (path, best) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/z", "/:x"),
            ("/a/", "/a/*"),
            ("/z/", "/:x/*"),
            ("/a/b", "/a/b"),
            ("/a/z", "/a/:x"),
            ("/z/b", "/:x/b"),
            ("/z/z", "/:x/*"),
            ("/a/b/c", "/a/b/c"),
            ("/a/b/c/d", "/a/b/c"),
            // The longer one, though its segments are names.
            ("/a/b/z", "/:x/:y/:z"),
            // The third segment is empty, and no name.
            ("/a/b/", "/a/b"),
            ("/a//c", "/a/*"),
        ] {
            assert_eq!(found(&all, path), best, "{path}");
        }
    }

    #[test]
    fn a_pattern_is_found_again_by_what_it_matches() {
        let tree = tree(&["/a/:x", "/a", "/a/*", "/a/:x/b"]);
        for (pattern, place) in
            [("/a/:other", Some(0)), ("/a", Some(1)), ("/a/*", Some(2)), ("/a/:y/b", Some(3))]
        {
            assert_eq!(tree.get(&pattern.parse().unwrap()), place, "{pattern}");
        }
        for pattern in ["/", "/*", "/:x", "/a/b", "/a/:x/*", "/b"] {
            assert_eq!(tree.get(&pattern.parse().unwrap()), None, "{pattern}");
        }
    }

    #[test]
    fn the_deepest_patterns_in_all_combinations_are_found() {
        let segment =
            |bits: usize, at: usize| if bits >> at & 1 == 0 { "/a".to_owned() } else { format!("/:n{at}") };
        let patterns: Vec<String> =
            (0..1 << 10).map(|bits| (0..10).map(|at| segment(bits, at)).collect()).collect();
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        assert_eq!(tree(&patterns).find(&"/a".repeat(10)), Some(0));
        assert_eq!(tree(&patterns).find(&"/b".repeat(10)), Some(patterns.len() - 1));
        assert_eq!(tree(&patterns).find(&"/a".repeat(9)), None);
        let deep = "/a".repeat(PathPattern::MOST_SEGMENTS);
        assert_eq!(found(&[&deep], &"/a".repeat(10_000)), deep);
    }
}
