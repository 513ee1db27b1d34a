//! Reads what `nexus types` prints: each declaration, member and signature has a line of its own there.

use serde_json::{Value, json};

/// A global, or a property of the namespace `WebAssembly`.
pub(crate) struct Entry {
    pub(crate) section: String,
    /// With its namespace in front.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) doc: Doc,
}

pub(crate) enum Kind {
    Interface {
        parents: Vec<String>,
        members: Vec<Member>,
        /// Of the interface object; `None` if the interface is nothing at run time.
        statics: Option<Vec<Member>>,
    },
    /// A class of errors, as ECMAScript has them.
    Error,
    Function(Member),
    Attribute {
        name: String,
        of: String,
        readonly: bool,
    },
    Namespace,
}

/// What stands before a declaration.
#[derive(Default, Clone)]
pub(crate) struct Doc {
    pub(crate) summary: String,
    pub(crate) standard: Option<String>,
    pub(crate) differs: Vec<String>,
    tags: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// The parameters that must be given; `None` for attributes.
    length: Option<usize>,
    readonly: bool,
    promise: bool,
    of: String,
    own: bool,
}

/// All declarations, in their order.
pub(crate) fn read(text: &str) -> Vec<Entry> {
    let mut reader = Reader { lines: text.lines().collect(), next: 0, entries: Vec::new() };
    reader.declarations(None);
    reader.entries
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    next: usize,
    entries: Vec<Entry>,
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.next)?.trim();
        self.next += 1;
        Some(line)
    }

    /// To the end of the namespace, or of all.
    fn declarations(&mut self, namespace: Option<&str>) {
        let mut section = self.entries.last().map_or(String::new(), |entry| entry.section.clone());
        let mut doc = Doc::default();
        while let Some(line) = self.line() {
            if let Some(name) = line.strip_prefix("// ---- ") {
                section = name.to_owned();
                continue;
            }
            if line.is_empty() || line.starts_with("//") {
                continue;
            }
            if line.starts_with("/**") {
                doc = self.doc(line);
                continue;
            }
            if line == "}" {
                return;
            }
            let line = line.strip_prefix("declare ").unwrap_or(line);
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let name = rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap().to_owned();
            let full = namespace.map_or(name.clone(), |namespace| format!("{namespace}.{name}"));
            let doc = std::mem::take(&mut doc);
            let entry = |kind| Entry { section: section.clone(), name: full.clone(), kind, doc: doc.clone() };
            match word {
                "interface" => {
                    let head = rest.trim_end_matches("{}").trim_end_matches('{').trim();
                    let parents = head.split_once(" extends ").map_or(Vec::new(), |(_, parents)| {
                        split(parents).into_iter().map(|parent| without_generics(&parent)).collect()
                    });
                    let members = if rest.ends_with("{}") { Vec::new() } else { self.members() };
                    self.entries.push(entry(Kind::Interface { parents, members, statics: None }));
                }
                "var" if rest.ends_with('{') => {
                    let found = self.members();
                    let entry = self.entries.iter_mut().rfind(|entry| entry.name == full);
                    match entry.map(|entry| &mut entry.kind) {
                        Some(Kind::Interface { statics, .. }) => *statics = Some(found),
                        _ => panic!("there is no interface {full}"),
                    }
                }
                "var" | "const" => {
                    let of = rest.split_once(": ").unwrap().1.trim_end_matches(';').to_owned();
                    let readonly = word == "const" || doc.tags.iter().any(|tag| tag == "readonly");
                    self.entries.push(entry(match of.as_str() {
                        "ErrorConstructor" => Kind::Error,
                        _ => Kind::Attribute { name: name.clone(), of, readonly },
                    }));
                }
                "function" => {
                    let function = member(rest);
                    let before = self.entries.iter_mut().rfind(|entry| entry.name == full);
                    match before.map(|entry| &mut entry.kind) {
                        Some(Kind::Function(before)) => before.length = before.length.min(function.length),
                        _ => self.entries.push(entry(Kind::Function(function))),
                    }
                }
                "namespace" => {
                    self.entries.push(entry(Kind::Namespace));
                    self.declarations(Some(&name));
                }
                "module" => while self.line().is_some_and(|line| line != "}") {},
                "type" => {
                    assert!(line.ends_with(';'), "a type has a line of its own: {line}");
                }
                _ => panic!("not understood: {line}"),
            }
        }
    }

    fn doc(&mut self, first: &str) -> Doc {
        let mut doc = Doc::default();
        let mut line = first.trim_start_matches("/**");
        loop {
            let text = line.trim_end_matches("*/").trim_start_matches('*').trim();
            match text.strip_prefix('@').map(|tag| tag.split_once(' ').unwrap_or((tag, ""))) {
                Some(("standard", url)) => doc.standard = Some(url.to_owned()),
                Some(("differs", how)) => doc.differs.push(how.to_owned()),
                Some((tag, _)) => doc.tags.push(tag.to_owned()),
                None if doc.summary.is_empty() => doc.summary = text.to_owned(),
                None => {}
            }
            if line.ends_with("*/") {
                return doc;
            }
            line = self.line().expect("the comment ends");
        }
    }

    /// To the end of an interface. Of the signatures of one name the shortest counts.
    fn members(&mut self) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        let mut tags = Vec::new();
        loop {
            let line = self.line().expect("the declaration ends");
            if line.starts_with("/**") {
                tags = self.doc(line).tags;
                continue;
            }
            if line == "}" || line == "};" {
                return members;
            }
            assert!(line.ends_with(';'), "a member has a line of its own: {line}");
            if line.starts_with('(') {
                continue;
            }
            let mut found = member(line);
            let has = |tag: &str| tags.iter().any(|other| other == tag);
            found.own = has("own");
            found.promise &= !has("object");
            tags.clear();
            match members.iter_mut().find(|member| member.name == found.name) {
                Some(before) => before.length = before.length.min(found.length),
                None => members.push(found),
            }
        }
    }
}

fn member(line: &str) -> Member {
    let (readonly, line) = line.strip_prefix("readonly ").map_or((false, line), |line| (true, line));
    let end = match line.strip_prefix('[') {
        Some(symbol) => symbol.find(']').unwrap() + 2,
        None => line.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap(),
    };
    let (name, mut rest) = line.split_at(end);
    rest = rest.trim_start();
    if rest.starts_with('<') {
        rest = &rest[closing(rest) + 1..];
    }
    let (length, of) = if rest.starts_with('(') {
        let end = closing(rest);
        let required = split(&rest[1..end]).into_iter().take_while(|parameter| {
            let name = parameter.split(':').next().unwrap();
            !name.ends_with('?') && !name.starts_with("...")
        });
        (Some(required.count()), &rest[end + 1..])
    } else {
        (None, rest)
    };
    let of = of.trim_start_matches(['?', ':', ' ']).trim_end_matches(';').to_owned();
    Member { name: name.to_owned(), length, readonly, promise: of.starts_with("Promise<"), of, own: false }
}

/// Where the first bracket's counterpart is.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    let mut last = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '>' if last != '=' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
        last = c;
    }
    panic!("not closed: {text}");
}

/// The parts between commas that lie in no brackets.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if "([{<".contains(c) { closing(rest) + 1 } else { c.len_utf8() };
        if c == ',' {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    parts.retain(|part| !part.trim().is_empty());
    parts.into_iter().map(|part| part.trim().to_owned()).collect()
}

fn without_generics(name: &str) -> String {
    name.split('<').next().unwrap().to_owned()
}

/// What a guest is to find, for `checker.js`.
pub(crate) fn expected(entries: &[Entry]) -> Value {
    entries.iter().filter_map(|entry| expectation(entries, entry)).collect()
}

fn expectation(entries: &[Entry], entry: &Entry) -> Option<Value> {
    let name = &entry.name;
    Some(match &entry.kind {
        Kind::Interface { statics: None, .. } => return None,
        Kind::Interface { parents, members, statics: Some(statics) } => {
            let find = |name: &String| {
                entries.iter().find_map(|entry| match &entry.kind {
                    Kind::Interface { parents, members, statics } if entry.name == *name => {
                        Some((parents, members, statics.is_some()))
                    }
                    _ => None,
                })
            };
            let mut all = members.clone();
            let mut parent = None;
            for name in parents {
                match find(name) {
                    Some((_, mixed, false)) => all.extend(mixed.iter().cloned()),
                    _ => parent = Some(name.clone()),
                }
            }
            // What is declared anew, with closer types, is inherited nevertheless.
            let mut above = parent.clone();
            while let Some((grand, inherited, true)) = above.as_ref().and_then(find) {
                all.retain(|member| inherited.iter().all(|other| other.name != member.name));
                above = grand.first().cloned();
            }
            let constructor = statics.iter().find(|member| member.name == "new");
            let statics: Value = statics
                .iter()
                .filter(|member| !["new", "prototype"].contains(&member.name.as_str()))
                .map(member_value)
                .collect();
            json!({
                "kind": "interface", "name": name, "parent": parent,
                "length": constructor.map(|constructor| constructor.length),
                "members": all.iter().map(member_value).collect::<Value>(), "statics": statics,
            })
        }
        Kind::Error => json!({ "kind": "error", "name": name }),
        Kind::Namespace => json!({ "kind": "namespace", "name": name }),
        Kind::Function(function) => json!({
            "kind": "function", "name": name, "length": function.length,
            "inherited": entry.doc.tags.iter().any(|tag| tag == "inherited"),
        }),
        Kind::Attribute { name: short, of, readonly } => {
            let methods = entries.iter().find_map(|entry| match &entry.kind {
                Kind::Interface { members, statics: None, .. } if entry.name == *of => Some(members),
                _ => None,
            });
            match methods {
                Some(members) => json!({
                    "kind": "namespace", "name": name,
                    "members": members.iter().map(member_value).collect::<Value>(),
                }),
                None => {
                    json!({ "kind": "attribute", "name": name, "short": short, "of": of, "readonly": readonly })
                }
            }
        }
    })
}

fn member_value(member: &Member) -> Value {
    let kind = match member.length {
        Some(_) => "method",
        None if member.name.chars().all(|c| c.is_ascii_uppercase() || c == '_') => "constant",
        None => "attribute",
    };
    json!({
        "kind": kind, "name": member.name, "length": member.length, "readonly": member.readonly,
        "promise": member.promise, "value": member.of.parse::<u32>().ok(), "own": member.own,
    })
}
