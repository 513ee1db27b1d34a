//! One page of metrics out of those of several hosts.
//!
//! The pages are those of [`render`](super::render), but they come from other processes, with hostile guests within:
//! one that is not well-formed is refused as a whole, so that it cannot spoil what the others say.

use std::collections::BTreeMap;
use std::fmt::Write;

/// The page so far.
#[derive(Debug, Default)]
pub(crate) struct Merge {
    families: Vec<Family>,
    /// Where each family is.
    index: BTreeMap<String, usize>,
    /// For each host whether its page is in this one.
    up: Vec<(usize, bool)>,
}

/// A family of metrics.
#[derive(Debug)]
struct Family {
    name: String,
    kind: String,
    help: String,
    /// Its samples, a line each.
    samples: String,
}

/// The gauge that says whose figures are there.
const UP: &str = "nexus_host_up";

/// The label that says which host a figure is of, where it is no app's.
const HOST: &str = "host";

impl Merge {
    /// Adds the page of the host of this number, or notes that it gave none, or none that could be used.
    pub(crate) fn add(&mut self, host: usize, page: Option<&str>) {
        let families = page.and_then(|page| families(page, host));
        let fitting = families.filter(|families| families.iter().all(|family| self.fits(family)));
        self.up.push((host, fitting.is_some()));
        for family in fitting.unwrap_or_default() {
            match self.index.get(&family.name) {
                Some(at) => self.families[*at].samples.push_str(&family.samples),
                None => {
                    self.index.insert(family.name.clone(), self.families.len());
                    self.families.push(family);
                }
            }
        }
    }

    /// Whether the family is of the same type as in other pages.
    fn fits(&self, family: &Family) -> bool {
        family.name != UP
            && self.index.get(&family.name).is_none_or(|at| self.families[*at].kind == family.kind)
    }

    /// The whole page.
    pub(crate) fn page(self) -> String {
        let mut samples = String::new();
        for (host, is_up) in &self.up {
            let _ = writeln!(samples, "{UP}{{{HOST}=\"{host}\"}} {}", u8::from(*is_up));
        }
        let help = "1 if the host's figures are in this page.";
        let up = Family { name: UP.into(), kind: "gauge".into(), help: help.into(), samples };
        let mut page =
            String::with_capacity(self.families.iter().map(|family| family.samples.len() + 256).sum());
        for family in self.families.iter().chain([&up]) {
            let Family { name, kind, help, samples } = family;
            let _ = write!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}");
        }
        page
    }
}

/// The families of a page, with the host's number in each sample that is no app's. `None` if the page is not
/// well-formed, or a family comes twice.
fn families(page: &str, host: usize) -> Option<Vec<Family>> {
    let mut families: Vec<Family> = Vec::new();
    let mut names = BTreeMap::new();
    let mut lines = page.strip_suffix('\n')?.split('\n');
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ')?;
            let (typed, kind) = lines.next()?.strip_prefix("# TYPE ")?.split_once(' ')?;
            let is_kind = matches!(kind, "counter" | "gauge" | "histogram");
            if !is_name(name) || typed != name || !is_kind || names.insert(name, ()).is_some() {
                return None;
            }
            families.push(Family {
                name: name.to_owned(),
                kind: kind.to_owned(),
                help: help.chars().filter(|c| !c.is_control() && *c != '\\').collect(),
                samples: String::new(),
            });
        } else {
            let family = families.last_mut()?;
            add_sample(family, line, host)?;
        }
    }
    Some(families)
}

/// Adds a sample to the family that it stands under; `None` if it is none of it.
fn add_sample(family: &mut Family, line: &str, host: usize) -> Option<()> {
    let (name, rest) = line.split_at(line.find(['{', ' '])?);
    let part = name.strip_prefix(family.name.as_str())?;
    let fits = match family.kind.as_str() {
        "histogram" => matches!(part, "_bucket" | "_sum" | "_count"),
        _ => part.is_empty(),
    };
    let (labels, value) = match rest.strip_prefix('{') {
        Some(labels) => {
            let end = labels_end(labels)?;
            (&labels[..end], &labels[end + 1..])
        }
        None => ("", rest),
    };
    let value = value.strip_prefix(' ')?;
    if !fits || value.parse::<f64>().is_err() {
        return None;
    }
    let out = &mut family.samples;
    // Whose app it is, is its first label.
    let _ = match (labels.starts_with("app=\""), labels) {
        (true, labels) => writeln!(out, "{name}{{{labels}}} {value}"),
        (false, "") => writeln!(out, "{name}{{{HOST}=\"{host}\"}} {value}"),
        (false, labels) => writeln!(out, "{name}{{{HOST}=\"{host}\",{labels}}} {value}"),
    };
    Some(())
}

/// Where the brace is that closes these labels, of which there is one at least, and none is `host`.
fn labels_end(labels: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let (name, _) = labels.get(at..)?.split_once("=\"")?;
        if !is_name(name) || name == HOST {
            return None;
        }
        at += name.len() + 2;
        at += value_end(&labels[at..])? + 1;
        match labels.as_bytes().get(at)? {
            b'}' => return Some(at),
            b',' => at += 1,
            _ => return None,
        }
    }
}

/// Where the quote is that closes this value of a label.
fn value_end(text: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some(at),
            '\\' if !matches!(chars.next()?.1, '\\' | '"' | 'n') => return None,
            _ => {}
        }
    }
    None
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::text_format::parse;
    use crate::metrics::{AppStats, AppSum, HostSum, WorkerStats, render};
    use proptest::prelude::*;

    fn page(apps: &[&str]) -> String {
        let sums: Vec<AppSum> = apps
            .iter()
            .map(|app| {
                let mut sum = AppSum::new(app);
                sum.add(&AppStats::default(), &WorkerStats::default(), 3, 4);
                sum
            })
            .collect();
        render(&sums, &HostSum::default(), &[("version", "1 \" } \\ \n".into())])
    }

    fn merge(pages: &[Option<&str>]) -> String {
        let mut merge = Merge::default();
        for (at, page) in pages.iter().enumerate() {
            merge.add(at + 1, *page);
        }
        merge.page()
    }

    #[test]
    fn pages_become_one_with_each_family_once_and_the_host_where_no_app_is_named() {
        let text = merge(&[Some(&page(&["a", "b"])), Some(&page(&["c"])), None]);
        let families = parse(&text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
        let one = parse(&page(&["a"])).unwrap();
        assert_eq!(families.len(), one.len() + 1, "those of one page, and which hosts are up");
        for line in ["nexus_connections{app=\"a\"} 3\n", "nexus_connections{app=\"c\"} 3\n"] {
            assert_eq!(text.matches(line).count(), 1, "{line}");
        }
        assert!(text.contains("nexus_apps{host=\"1\"} 2\nnexus_apps{host=\"2\"} 1\n"), "{text}");
        assert!(text.contains("nexus_build_info{host=\"2\",version=\"1 \\\" } \\\\ \\n\"} 1\n"), "{text}");
        assert!(text.contains("process_threads{host=\"1\"} "), "{text}");
        let up = "nexus_host_up{host=\"1\"} 1\nnexus_host_up{host=\"2\"} 1\nnexus_host_up{host=\"3\"} 0\n";
        assert!(text.ends_with(up), "{text}");
        for (name, family) in &families {
            for sample in &family.samples {
                let labels = &sample.labels;
                assert!(labels.contains_key("app") != labels.contains_key("host"), "{name} {labels:?}");
            }
        }
    }

    #[test]
    fn a_page_that_is_not_well_formed_is_left_out_as_a_whole() {
        let fine = "# HELP a b\n# TYPE a gauge\na{app=\"x\"} 1\n";
        let alone = merge(&[Some(fine), None]);
        for bad in [
            "",
            "\n",
            "a 1\n",
            "# HELP a b\n# TYPE a gauge\na 1",
            "# HELP a b\n# TYPE a gauge\n\n",
            "# HELP a b\n# TYPE a gauge\nb 1\n",
            "# HELP a b\n# TYPE a gauge\na_sum 1\n",
            "# HELP a b\n# TYPE a gauge\na{} 1\n",
            "# HELP a b\n# TYPE a gauge\na{x=\"1\"\n",
            "# HELP a b\n# TYPE a gauge\na{x=\"1\",} 1\n",
            "# HELP a b\n# TYPE a gauge\na{x=\"\\q\"} 1\n",
            "# HELP a b\n# TYPE a gauge\na{x=1} 1\n",
            "# HELP a b\n# TYPE a gauge\na{host=\"1\"} 1\n",
            "# HELP a b\n# TYPE a gauge\na{app=\"x\",host=\"1\"} 1\n",
            "# HELP a b\n# TYPE a gauge\na one\n",
            "# HELP a b\n# TYPE a gauge\na 1 2\n",
            "# HELP a b\n# TYPE a counter\na 1\n",
            "# HELP a b\n# TYPE a thing\na 1\n",
            "# HELP a b\na 1\n",
            "# HELP a b\n# TYPE c gauge\n",
            "# HELP a b\n# TYPE a gauge\n# HELP a b\n# TYPE a gauge\n",
            "# HELP 1 b\n# TYPE 1 gauge\n",
            "# HELP nexus_host_up b\n# TYPE nexus_host_up gauge\n",
        ] {
            assert_eq!(merge(&[Some(fine), Some(bad)]), alone, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_in_what_goes_out_is_well_formed(text in "(?s).{0,200}") {
            let _ = families(&text, 1);
            let fine = page(&["a"]);
            prop_assert!(parse(&merge(&[Some(&fine), Some(&text)])).is_ok());
        }

        #[test]
        fn a_page_that_was_changed_somewhere_is_taken_or_left_but_spoils_nothing(
            at in any::<prop::sample::Index>(),
            by in "[\\\\\"{}= #a\n0-9]{0,3}",
        ) {
            let fine = page(&["a"]);
            let mut other = page(&["b"]);
            let at = at.index(other.len());
            if other.is_char_boundary(at) && other.is_char_boundary(at + 1) {
                other.replace_range(at..=at, &by);
            }
            let text = merge(&[Some(&fine), Some(&other)]);
            prop_assert!(text.starts_with("# HELP nexus_build_info "));
            let again = families(&text.replace("host=", "process="), 3);
            prop_assert!(again.is_some(), "{}", text);
        }
    }
}
