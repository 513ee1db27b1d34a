use super::*;
use proptest::prelude::*;
use proptest::string::string_regex;

fn read(kind: Kind, toml: &str) -> Result<Value, Misfit> {
    kind.read("key", &DeValue::parse(toml).unwrap())
}

fn help(kind: Kind, toml: &str) -> String {
    read(kind, toml).err().unwrap().help.unwrap_or_default()
}

#[test]
fn a_size_is_bytes_or_text_within_its_range() {
    let kind = Kind::Size { min: 1024, max: 4096 };
    for fine in ["1024", "4096", "\"1 KB\"", "\"4 KiB\"", "0x400", "2_000"] {
        assert!(read(kind, fine).is_ok(), "{fine}");
    }
    for bad in ["1023", "4097", "-1", "\"5 KB\"", "\"big\"", "1.5", "true", "99999999999999999999"] {
        assert!(read(kind, bad).is_err(), "{bad}");
    }
    assert_eq!(
        read(kind, "\"5 KB\"").err().unwrap().message,
        "`key` must be a size from 1 KB to 4 KB, like \"64 KB\", or a number of bytes, not \"5 KB\"",
    );
    assert!(help(kind, "\"2 kilo\"").contains("B, KB, MB, GB or TB"));
}

#[test]
fn a_time_is_seconds_or_text_within_its_range() {
    let kind = Kind::Time { min: 1, max: 3_600_000 };
    assert_eq!(read(kind, "30").ok(), Some(Value::Time(Duration::from_secs(30))));
    assert_eq!(read(kind, "\"1 ms\"").ok(), Some(Value::Time(Duration::from_millis(1))));
    for bad in ["0", "\"0 s\"", "3601", "\"2 h\"", "-1", "9223372036854775807", "\"soon\""] {
        assert!(read(kind, bad).is_err(), "{bad}");
    }
    assert_eq!(help(kind, "0.5"), "write `key = \"500 ms\"`");
}

#[test]
fn a_number_in_quotes_is_told_to_drop_them() {
    let port = Kind::Integer { min: 1, max: 65535 };
    assert_eq!(help(port, "\"8080\""), "without quotes: `key = 8080`");
    assert_eq!(help(port, "\"0\""), "");
    assert_eq!(help(Kind::Flag, "\"true\""), "without quotes: `key = true`");
    assert!(read(port, "65536").is_err() && read(port, "0").is_err() && read(port, "80.0").is_err());
}

#[test]
fn a_number_among_variables_is_told_to_take_quotes() {
    assert_eq!(help(Kind::Text, "8080"), "put it in quotes: `key = \"8080\"`");
    assert_eq!(help(Kind::Text, "0x1F"), "put it in quotes: `key = \"0x1F\"`");
    assert_eq!(help(Kind::Text, "true"), "put it in quotes: `key = \"true\"`");
    assert!(help(Kind::Text, "\"\\u0000\"").contains("NUL"));
}

#[test]
fn a_main_file_lies_inside_the_folder_and_can_be_run() {
    assert_eq!(main_file("src/index.mjs"), Ok("src/index.mjs".into()));
    assert_eq!(main_file("./index.js"), Ok("index.js".into()));
    for bad in ["/a.js", "C:/a.js", "../a.js", "a/../b.js", "a//b.js", "a/./b.js", "a\\b.js", "a.js\0", ""] {
        assert!(main_file(bad).is_err(), "{bad}");
    }
    assert_eq!(main_file("target/app.wasm"), Ok("target/app.wasm".into()));
    assert_eq!(main_file("a.ts"), Err("`.ts` files cannot be run; `.js`, `.mjs` and `.wasm` can".into()));
    assert_eq!(main_file("a.wat"), Err("`.wat` files cannot be run; `.js`, `.mjs` and `.wasm` can".into()));
    assert_eq!(main_file(".js"), Err("the file's name ends in `.js`, `.mjs` or `.wasm`".into()));
    assert_eq!(main_file("lib.js/main"), Err("the file's name ends in `.js`, `.mjs` or `.wasm`".into()));
}

#[test]
fn an_assets_folder_is_a_folder_inside_the_apps() {
    assert_eq!(folder("public"), Ok("public".into()));
    assert_eq!(folder("./web/public/"), Ok("web/public".into()));
    for bad in ["", ".", "./", "/", "/srv", "..", "a/..", "../a", "a\\b"] {
        assert!(folder(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_version_follows_semantic_versioning() {
    for fine in ["0.0.0", "1.2.3", "1.0.0-alpha.1", "1.0.0-x-y", "1.0.0+20.a", "1.0.0-rc.1+b-5.001"] {
        assert!(is_version(fine), "{fine}");
    }
    for bad in
        ["", "1", "1.2", "1.2.3.4", "v1.2.3", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "1.2.-3", "a.b.c"]
    {
        assert!(!is_version(bad), "{bad}");
    }
    assert_eq!(help(Kind::Version, "\"v1.2\""), "write `version = \"1.2.0\"`");
    assert_eq!(help(Kind::Version, "1"), "write `version = \"1.0.0\"`");
    assert_eq!(help(Kind::Version, "\"new\""), "");
}

#[test]
fn the_element_of_an_array_that_does_not_fit_is_named() {
    let misfit = read(Kind::Networks, "[\"::1\", \"10.0.0.1/8\"]").err().unwrap();
    assert_eq!(misfit.span, Some(8..20));
    assert!(misfit.help.unwrap().contains("`10.0.0.0/8`"));
    assert_eq!(help(Kind::Networks, "\"::1\""), "in brackets: `key = [\"::1\"]`");
    assert!(read(Kind::Networks, "[1]").is_err());
    for (kind, toml, message, help) in [
        (Kind::Networks, "[1]", "`key` must hold IP addresses and ranges, not 1", ""),
        (Kind::Folders, "[\"a\", \"\"]", "`key` must hold paths of folders, not \"\"", "app's folder is `.`"),
        (Kind::Folders, "[\"a\\u0000\"]", "`key` must hold paths of folders, not \"a\\0\"", "holds no NUL"),
        (Kind::Folders, "[[]]", "`key` must hold paths of folders, not an array", ""),
        (
            Kind::Folders,
            "true",
            "`key` must be an array of paths of folders, like [\"data\", \"/srv/shared\"], not true",
            "",
        ),
        (Kind::Folders, "\"data\"", "`key` must be an array of paths", "in brackets: `key = [\"data\"]`"),
    ] {
        let misfit = read(kind, toml).err().unwrap();
        assert!(misfit.message.starts_with(message), "{}", misfit.message);
        let told = misfit.help.unwrap_or_default();
        assert!(told.contains(help) && told.is_empty() == help.is_empty(), "{told}");
    }
    assert_eq!(read(Kind::Networks, "[]").ok(), Some(Value::Networks(vec![])));
}

#[test]
fn a_word_that_is_none_of_the_choices_suggests_the_nearest() {
    let kind = Kind::Choice(&["pretty", "json"]);
    assert_eq!(help(kind, "\"JSON\""), "did you mean \"json\"?");
    assert_eq!(
        read(kind, "\"xml\"").err().unwrap().message,
        "`key` must be \"pretty\" or \"json\", not \"xml\""
    );
    let versions = Kind::Choice(&["0.2", "0.3"]);
    assert_eq!(help(versions, "0.3"), "put it in quotes: `key = \"0.3\"`");
    assert_eq!(help(versions, "\"0.2.0\""), "did you mean \"0.2\"?");
    assert_eq!(help(versions, "2"), "");
}

#[test]
fn a_name_that_is_none_shows_one_that_would_do() {
    assert_eq!(help(Kind::AppName, "\"My App\""), "`key = \"my-app\"` would do");
}

#[test]
fn a_long_value_is_shortened_in_the_error() {
    assert_eq!(found(&DeValue::String("a\n\"".into())), "\"a\\n\"\"");
    assert_eq!(shortened(&"a".repeat(100)).chars().count(), 41);
}

proptest! {
    #[test]
    fn names_are_what_the_schemas_pattern_matches(
        name in string_regex(APP_NAME_PATTERN.trim_matches(['^', '$'])).unwrap(), any in "\\PC{0,70}",
    ) {
        prop_assert!(AppName::parse(&name).is_some());
        let _ = (main_file(&any), folder(&any), is_version(&any), nearest_version(&any), shortened(&any));
    }

    #[test]
    fn an_accepted_path_stays_inside(path in "(\\.|/|a|\\\\|:|\\.\\.|js|C){0,8}") {
        for accepted in [main_file(&path).ok(), folder(&path).ok()].into_iter().flatten() {
            prop_assert!(!accepted.starts_with('/') && !accepted.contains('\\'));
            prop_assert!(accepted.split('/').all(|part| !matches!(part, "" | "." | "..")));
        }
    }
}
