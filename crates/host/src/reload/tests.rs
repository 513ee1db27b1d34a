use super::*;

#[test]
fn an_app_changes_with_its_own_files_and_not_with_hidden_ones() {
    let folder = Path::new("/apps/shop");
    for path in ["/apps/shop/index.js", "/apps/shop/lib/a/b.js", "/apps/shop", "/apps", "/"] {
        assert!(is_within(folder, Path::new(path)), "{path}");
    }
    for path in ["/apps/shop2/index.js", "/apps/other/index.js", "/apps/shop/.git/index", "/apps/shop/.a.swp"]
    {
        assert!(!is_within(folder, Path::new(path)), "{path}");
    }
}

#[test]
fn after_more_events_than_are_told_any_app_may_have_changed() {
    use notify::event::{AccessKind, Flag};
    let event = |kind| Ok(notify::Event::new(kind).add_path("/apps/shop/a.js".into()));
    assert_eq!(changed_by(event(EventKind::Any)), Some(Changed::Paths(vec!["/apps/shop/a.js".into()])));
    assert_eq!(changed_by(event(EventKind::Access(AccessKind::Any))), None);
    // As notify tells that the system's queue was full.
    let missed = notify::Event::new(EventKind::Other).set_flag(Flag::Rescan);
    for missed in [Ok(missed), Err(notify::Error::generic("missed"))] {
        assert_eq!(changed_by(missed), Some(Changed::Missed));
    }
}

#[test]
fn missed_events_have_all_apps_loaded_at_once_and_then_once_a_while() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut rescans = Rescans::default();
    assert!(!rescans.take(start) && rescans.due(start).is_none());
    rescans.want();
    assert!(rescans.take(start) && !rescans.take(start));
    // Of what it does itself.
    rescans.want();
    assert!(rescans.due(at(1)).is_none());
    rescans.is_done();
    rescans.want();
    assert_eq!(rescans.due(at(1)), Some(at(60)));
    assert!(!rescans.take(at(59)) && rescans.take(at(60)) && !rescans.take(at(200)));
}

#[test]
fn a_burst_has_passed_when_it_is_quiet_or_has_gone_on_for_long() {
    let first = Instant::now();
    let burst = Burst { first, last: first + Duration::from_millis(500), is_moved: false };
    assert_eq!(burst.due(), first + Duration::from_millis(560));
    let burst = Burst { first, last: first + Duration::from_millis(1990), is_moved: false };
    assert_eq!(burst.due(), first + LONGEST);
}
