//! The reference of the documentation's pages is made from the descriptions, and the pages are held to it.

use std::fmt::Write;

use super::keys::{Fallback, HOST, Keys, MANIFEST, Names, Schema};
use crate::{HostConfig, Manifest};

const MANIFEST_PAGE: &str = include_str!("../../../../docs/manifest.md");
const HOST_PAGE: &str = include_str!("../../../../docs/host-config.md");
const ROUTING_PAGE: &str = include_str!("../../../../docs/routing.md");

/// Every table with every key, in Markdown.
fn reference(schema: &Schema) -> String {
    let mut page = String::new();
    for table in schema.tables {
        writeln!(page, "### `{}`\n\n{}\n", table.header(), table.doc).unwrap();
        match &table.keys {
            Keys::Variables => page.push_str(
                "- **any name** of letters, digits and `_` that starts with no digit: text in quotes.\n",
            ),
            Keys::Listed(keys) | Keys::Each(keys) | Keys::Named { keys, .. } => {
                if let Keys::Named { names, .. } = table.keys {
                    page.push_str(match names {
                        Names::Variables => {
                            "Each key is a name of letters, digits and `_` that starts with no digit"
                        }
                        Names::Plain => "Each key is a name of `a-z 0-9 - _`, the first a letter or digit",
                    });
                    page.push_str("; its value is a table of:\n\n");
                }
                for key in *keys {
                    let otherwise = match key.fallback {
                        Fallback::Required => "Required".to_owned(),
                        Fallback::Nothing(words) => format!("Default: {words}"),
                        Fallback::Value(literal) => format!("Default: `{literal}`"),
                    };
                    let (name, doc, expected) = (key.name, key.doc, key.kind.expected());
                    let reason = key.reason;
                    writeln!(page, "- **`{name}`**: {doc} Value: {expected}. {otherwise} ({reason}).")
                        .unwrap();
                }
            }
        }
        page.push('\n');
    }
    page.trim_end().to_owned()
}

/// The page's blocks of TOML.
fn examples(page: &str) -> Vec<&str> {
    let blocks = page.split("```toml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

#[test]
fn the_manifests_page_names_every_key_with_its_default() {
    let reference = reference(&MANIFEST);
    assert!(MANIFEST_PAGE.contains(&reference), "docs/manifest.md should hold:\n\n{reference}");
}

#[test]
fn the_host_configurations_page_names_every_key_with_its_default() {
    let reference = reference(&HOST);
    assert!(HOST_PAGE.contains(&reference), "docs/host-config.md should hold:\n\n{reference}");
}

#[test]
fn every_example_of_the_pages_is_right() {
    let manifests = [("docs/manifest.md", MANIFEST_PAGE), ("docs/routing.md", ROUTING_PAGE)];
    let hosts = examples(HOST_PAGE);
    assert!(hosts.len() > 2);
    for (file, page) in manifests {
        let examples = examples(page);
        assert!(examples.len() > 2);
        for example in examples {
            Manifest::parse(example, file, "app").unwrap_or_else(|e| panic!("{e}"));
        }
    }
    for example in hosts {
        HostConfig::parse(example, "docs/host-config.md").unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn the_error_that_the_manifests_page_shows_is_what_comes() {
    let error = Manifest::parse("[http]\nprot = 8080\n", "nexus.toml", "app").unwrap_err().to_string();
    assert!(MANIFEST_PAGE.contains(&error), "docs/manifest.md should show:\n\n{error}");
}
