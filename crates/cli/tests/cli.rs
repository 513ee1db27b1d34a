//! The command line itself: version, help, completions, wrong usage.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Folder, run};

#[test]
fn the_version_names_nexus_and_its_engines() {
    let folder = Folder::new(&[]);
    for flag in ["--version", "-V"] {
        let output = run(folder.path(), &[flag]);
        assert_eq!(output.code, Some(0));
        let rest = output.stdout.strip_prefix(&format!("nexus {} (V8 ", env!("CARGO_PKG_VERSION"))).unwrap();
        let (v8, wasmtime) = rest.strip_suffix(")\n").unwrap().split_once(", Wasmtime ").unwrap();
        assert!(wasmtime.split('.').all(|part| part.parse::<u32>().is_ok()), "{wasmtime}");
        assert!(v8.split('.').count() == 4 && v8.split('.').all(|part| part.parse::<u32>().is_ok()), "{v8}");
    }
}

#[test]
fn help_names_every_subcommand_and_option() {
    let folder = Folder::new(&[]);
    let output = run(folder.path(), &["--help"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    for word in [
        "serve",
        "deploy",
        "ps",
        "logs",
        "rollback",
        "top",
        "drain",
        "check",
        "schema",
        "completions",
        "export default",
        "nexus.toml",
    ] {
        assert!(output.stdout.contains(word), "{word}: {}", output.stdout);
    }
    let output = run(folder.path(), &["serve", "--help"]);
    assert_eq!(output.code, Some(0));
    for option in [
        "--listen",
        "--port",
        "--admin",
        "--data",
        "--control",
        "--config",
        "--env-file",
        "--grace",
        "--log-format",
        "--log-level",
        "--access-log",
    ] {
        assert!(output.stdout.contains(option), "{option}: {}", output.stdout);
    }
}

#[test]
fn without_a_subcommand_the_help_is_shown_and_the_usage_is_wrong() {
    let folder = Folder::new(&[]);
    let output = run(folder.path(), &[]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("serve") && output.stdout.is_empty(), "{output:?}");
}

#[test]
fn completions_are_printed_for_each_shell() {
    let folder = Folder::new(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(folder.path(), &["completions", shell]);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(output.stdout.contains("nexus") && output.stdout.contains("access-log"), "{shell}");
    }
    let output = run(folder.path(), &["completions", "cmd"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("bash") && output.stderr.contains("zsh"), "{}", output.stderr);
}

#[test]
fn wrong_usage_is_told_and_ends_with_2() {
    let folder = Folder::app("export default { fetch() { return new Response() } }");
    folder.write("file.txt", "no app");
    let cases: [(&[&str], &str); 12] = [
        (&["serv", "."], "serve"),
        (&["serve"], "PATH"),
        (&["serve", ".", "--acces-log"], "--access-log"),
        (&["serve", ".", "--port", "70000"], "70000"),
        (&["serve", ".", "--listen", "not an address"], "not an address"),
        (&["serve", ".", "--admin", "9090"], "9090"),
        (&["serve", ".", "--grace", "soon"], "soon"),
        (&["serve", ".", "--log-format", "xml"], "pretty"),
        (&["serve", "gone"], "gone: there is no such folder"),
        (&["serve", "file.txt"], "file.txt: is a file"),
        (&["check"], "PATH"),
        (&["check", "gone"], "gone: there is no such folder"),
    ];
    for (args, told) in cases {
        let output = run(folder.path(), args);
        assert_eq!(output.code, Some(2), "{args:?}: {output:?}");
        let text = output.stdout + &output.stderr;
        assert!(text.contains(told), "{args:?}: {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[test]
fn a_file_that_is_named_and_cannot_be_read_is_told() {
    let folder = Folder::app("export default { fetch() { return new Response() } }");
    for option in ["--config", "--env-file"] {
        let output = run(folder.path(), &["serve", ".", option, "gone.file"]);
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(output.stderr.starts_with("error: gone.file: cannot be read: "), "{}", output.stderr);
    }
}
