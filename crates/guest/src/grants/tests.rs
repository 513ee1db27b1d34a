//! What is granted, settled, taken and told.

use super::*;

fn app(name: &str) -> AppName {
    AppName::parse(name).unwrap()
}

fn bindings(text: &str) -> Manifest {
    manifest(&format!("[bindings]\n{text}"))
}

fn manifest(text: &str) -> Manifest {
    Manifest::parse(text, "nexus.toml", "shop").unwrap()
}

fn scope(name: &str) -> Scope {
    Capability::Kv.scope(name, &app("shop")).unwrap()
}

fn rule(of: &str, name: &str, given: Option<Access>) -> GrantRule {
    GrantRule { app: app(of), capability: Capability::Kv, scope: scope(name), given }
}

#[test]
fn what_takes_effect_is_what_both_say() {
    let grants = Grants::default();
    let asked =
        bindings("A = { kv = \"a\" }\nB = { kv = \"b\", access = \"read\" }\nC = { kv = \"other/c\" }");
    let of =
        |policy| grants.enter(policy, &mut asked.clone()).iter().map(|g| g.granted()).collect::<Vec<_>>();
    assert_eq!(of(GrantPolicy::All), [Some(Access::Write), Some(Access::Read), Some(Access::Write)]);
    assert_eq!(of(GrantPolicy::Own(vec![])), [None, None, None]);
    let kv = GrantPolicy::Own(vec![Capability::Kv]);
    assert_eq!(of(kv.clone()), [Some(Access::Write), Some(Access::Read), None]);
    grants.rule(rule("shop", "other/c", Some(Access::Read)));
    grants.rule(rule("shop", "b", Some(Access::Write)));
    grants.rule(rule("shop", "a", None));
    assert_eq!(of(kv), [None, Some(Access::Read), Some(Access::Read)]);
}

#[test]
fn a_rule_counts_for_guests_that_run() {
    let grants = Grants::default();
    let asked = bindings("A = { kv = \"a\" }");
    let grant = grants.enter(GrantPolicy::All, &mut asked.clone()).remove(0);
    assert_eq!(grant.decide(Access::Write), Ok(()));
    grants.rule(rule("other", "a", None));
    assert_eq!(grant.decide(Access::Write), Ok(()));
    grants.rule(rule("shop", "a", Some(Access::Read)));
    assert_eq!(grant.decide(Access::Read), Ok(()));
    assert_eq!(
        grant.decide(Access::Write).unwrap_err().to_string(),
        "the app may not write kv `a` by its binding A: the host does not grant it; `nexus grants add shop kv a` does"
    );
    grants.rule(rule("shop", "a", Some(Access::Write)));
    assert_eq!(grant.decide(Access::Write), Ok(()));
    grants.leave(&app("shop"));
    assert!(grant.decide(Access::Read).is_err());
    assert!(grants.list().is_empty());
}

#[test]
fn a_manifest_that_asks_to_read_is_told_so() {
    let grants = Grants::default();
    let asked = bindings("A = { kv = \"other/a\", access = \"read\" }");
    let grant = grants.enter(GrantPolicy::All, &mut asked.clone()).remove(0);
    assert_eq!(
        grant.decide(Access::Write).unwrap_err().to_string(),
        "the app may not write kv `other/a` by its binding A: its manifest asks for `access = \"read\"`; ask for \
         \"write\" there"
    );
}

#[test]
fn a_version_keeps_the_grants_that_are_as_before_and_takes_none_from_what_still_runs() {
    let grants = Grants::default();
    let first = grants.enter(GrantPolicy::All, &mut bindings("A = { kv = \"a\" }\nB = { kv = \"b\" }"));
    let second = grants.enter(GrantPolicy::All, &mut bindings("B = { kv = \"b\" }\nA = { kv = \"c\" }"));
    assert!(Arc::ptr_eq(&first[1], &second[0]) && !Arc::ptr_eq(&first[0], &second[1]));
    assert_eq!(first[0].decide(Access::Write), Ok(()));
    grants.rule(rule("shop", "a", None));
    assert!(first[0].decide(Access::Read).is_err());
    assert_eq!(grants.list().len(), 3);
    drop(first);
    grants.enter(GrantPolicy::All, &mut bindings(""));
    assert_eq!(grants.list().len(), 2);
    drop(second);
    grants.enter(GrantPolicy::All, &mut bindings(""));
    assert!(grants.list().is_empty());
}

/// The app `shop`, which asks for some of each.
fn permissions() -> Manifest {
    manifest(
        "[permissions]\nread = [\"./data/\", \"/etc\"]\nwrite = [\"/tmp\"]\nnet = [\"API.example.com:443\", \"*\"]\nenv = \
         [\"REGION\"]\n[secrets]\nA = { from = \"file:a\" }\nB = { from = \"env:KEY\" }\n[bindings]\nC = { kv = \"c\" }\n",
    )
}

fn permission(kind: Capability, name: &str, given: Option<Access>) -> GrantRule {
    let scope = kind.scope(name, &app("shop")).unwrap();
    GrantRule { app: app("shop"), capability: kind, scope, given }
}

/// What is granted of it: folders, hosts, variables and secrets.
fn gets(manifest: &Manifest) -> String {
    let folders = manifest.permissions.folders().map(|(folder, writes)| format!("{folder}:{writes}"));
    let net = manifest.permissions.net.entries().map(ToString::to_string);
    let env = manifest.granted_variables().map(ToString::to_string);
    let secrets = manifest.granted_secrets().map(|secret| secret.name.to_string());
    folders.chain(net).chain(env).chain(secrets).collect::<Vec<_>>().join(" ")
}

#[test]
fn permissions_are_granted_taken_and_given_back_while_the_app_runs() {
    let (grants, mut shop) = (Grants::default(), permissions());
    assert_eq!(grants.enter(GrantPolicy::All, &mut shop).len(), 1);
    // Guests have clones of it.
    let running = shop.clone();
    let all = "/tmp:true ./data/:false /etc:false api.example.com:443 * REGION A B";
    assert_eq!(gets(&running), all);
    for (kind, name, missing) in [
        (Capability::Net, "api.EXAMPLE.com:443", "api.example.com:443 "),
        (Capability::Net, "*", "* "),
        (Capability::Read, "data", "./data/:false "),
        (Capability::Write, "/tmp/", "/tmp:true "),
        (Capability::Env, "REGION", "REGION "),
        (Capability::Env, "KEY", " B"),
    ] {
        grants.rule(permission(kind, name, None));
        assert_eq!(gets(&running), all.replacen(missing, "", 1), "{kind} {name}");
        grants.rule(permission(kind, name, Some(Access::Read)));
        assert_eq!(gets(&running), all, "{kind} {name}");
    }
    grants.leave(&app("shop"));
    assert_eq!(gets(&running), "A");
}

#[test]
fn a_deployed_app_gets_what_the_policy_names_and_rules_add() {
    let (grants, mut shop) = (Grants::default(), permissions());
    let policy = GrantPolicy::Own(vec![Capability::Read]);
    let net = "net = [\"api.example.com:443\", \"*\"]";
    let env = ["env = [\"REGION\"]", "B = { from = \"env:KEY\" }", "C = { kv = \"c\" }"];
    assert_eq!(
        grants.missing(&policy, &shop),
        ["write = [\"/tmp\"]", net].into_iter().chain(env).collect::<Vec<_>>()
    );
    assert_eq!(grants.missing(&GrantPolicy::Own(vec![]), &shop)[0], "read = [\"data\", \"/etc\"]");
    assert!(grants.missing(&GrantPolicy::All, &shop).is_empty());
    grants.enter(policy.clone(), &mut shop);
    assert_eq!(gets(&shop), "./data/:false /etc:false A");
    grants.rule(permission(Capability::Net, "api.example.com:443", Some(Access::Write)));
    grants.rule(permission(Capability::Env, "KEY", Some(Access::Write)));
    grants.rule(permission(Capability::Read, "/etc", None));
    assert_eq!(gets(&shop), "./data/:false api.example.com:443 A B");
    // Nor does one to read it make a folder writable.
    grants.rule(permission(Capability::Read, "/tmp", Some(Access::Write)));
    assert_eq!(gets(&shop), "./data/:false api.example.com:443 A B");
    assert_eq!(
        grants.missing(&policy, &shop),
        ["read = [\"/etc\"]", "write = [\"/tmp\"]", "net = [\"*\"]", env[0], env[2]]
    );
}

#[test]
fn permissions_are_listed_with_the_bindings_and_kept_by_the_next_version() {
    let (grants, mut first) = (Grants::default(), permissions());
    grants.enter(GrantPolicy::Own(vec![Capability::Net]), &mut first);
    let listed = |grants: &Grants| -> Vec<String> {
        let told = |grant: &Arc<Grant>| {
            let (kind, asked) = (grant.capability, grant.capability.word(grant.asked));
            let granted = grant.granted().map_or("-".into(), |granted| kind.word(granted));
            format!("{}|{kind}|{}|{asked}|{granted}", grant.binding, grant.scope)
        };
        grants.list().iter().map(told).collect()
    };
    assert_eq!(
        listed(&grants),
        [
            "C|kv|shop/c|write|-",
            "|net|api.example.com:443|connect|connect",
            "|net|*|connect|connect",
            "|read|data|read|-",
            "|read|/etc|read|-",
            "|write|/tmp|write|-",
            "|env|REGION|read|-",
            "B|env|KEY|read|-",
        ]
    );
    let mut second = manifest("[permissions]\nnet = [\"b.example\", \"*\"]\n");
    grants.enter(GrantPolicy::Own(vec![Capability::Net]), &mut second);
    grants.rule(permission(Capability::Net, "*", None));
    assert_eq!((gets(&first).as_str(), gets(&second).as_str()), ("api.example.com:443 A", "b.example"));
    // What only the first one asks for is there as long as it is.
    let count = listed(&grants).len();
    drop(first);
    grants.enter(GrantPolicy::All, &mut second);
    assert!(count > 2 && listed(&grants).len() == 2, "{:?}", listed(&grants));
}
