//! The start-up table.

use nexus_host::AppState;

/// The apps that are served: name, URL, main file; then those that are not, with the reason.
pub(crate) fn render(states: &[AppState], admin: Option<&str>, control: Option<&str>, color: bool) -> String {
    let (bold, dim, red, plain) =
        if color { ("\x1b[1m", "\x1b[2m", "\x1b[1;31m", "\x1b[0m") } else { ("", "", "", "") };
    let served: Vec<(&str, String, &str)> = states
        .iter()
        .filter_map(|state| {
            let url = state.serving.as_deref().ok()?;
            let routed = [&state.hosts, &state.paths].into_iter().filter(|list| !list.is_empty());
            let url = routed.fold(url.to_owned(), |url, list| format!("{url} {}", list.join(",")));
            Some((state.name.as_str(), url, state.main.as_deref().unwrap_or("(static files)")))
        })
        .collect();
    let mut out = String::new();
    if !served.is_empty() {
        let width = |head: &str, cell: fn(&(&str, String, &str)) -> usize| {
            served.iter().map(cell).chain([head.len()]).max().unwrap_or(0)
        };
        let name = width("APP", |row| row.0.chars().count());
        let url = width("URL", |row| row.1.chars().count());
        out.push_str(&format!("\n  {dim}{:name$}   {:url$}   MAIN{plain}\n", "APP", "URL"));
        for (n, u, main) in &served {
            out.push_str(&format!("  {bold}{n:name$}{plain}   {u:url$}   {main}\n"));
        }
    }
    for state in states {
        if let Err(reason) = &state.serving {
            out.push_str(&format!(
                "\n{red}error{plain}: the app {} is not served: {}\n",
                state.name,
                reason.trim_end()
            ));
        }
    }
    if let Some(admin) = admin {
        out.push_str(&format!("\n  {dim}metrics and health{plain}   {admin}\n"));
    }
    if let Some(control) = control {
        out.push_str(&format!("\n  {dim}managed at{plain}   {control}\n"));
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_what_is_served_and_why_something_is_not() {
        let state = |name: &str, serving: Result<&str, &str>| AppState {
            name: name.into(),
            folder: name.into(),
            main: Some("index.js".into()),
            serving: serving.map(str::to_owned).map_err(str::to_owned),
            hosts: Vec::new(),
            paths: Vec::new(),
            has_worker: true,
            is_aside: false,
        };
        let shared = AppState {
            hosts: vec!["a.example".into(), "b.example".into()],
            paths: vec!["/api".into()],
            ..state("shared", Ok("http://127.0.0.1:80"))
        };
        let states =
            [state("a-long-name", Ok("http://127.0.0.1:8080")), shared, state("b", Err("no main file"))];
        let text = render(&states, None, None, false);
        assert_eq!(
            text,
            "\n  APP           URL                                            MAIN\n  \
             a-long-name   http://127.0.0.1:8080                          index.js\n  \
             shared        http://127.0.0.1:80 a.example,b.example /api   index.js\n\n\
             error: the app b is not served: no main file\n\n"
        );
    }
}
