//! Several threads that use one store at once.

use super::*;

#[test]
fn deploys_of_one_app_at_once_all_count_and_the_last_one_is_current() {
    let temp = Temp::new();
    let store = temp.open();
    thread::scope(|scope| {
        for text in ["1", "2", "3", "4", "5"] {
            scope.spawn(|| {
                for name in ["shop", "cart"] {
                    deploy(&store, name, text);
                }
            });
        }
    });
    for name in ["shop", "cart"] {
        assert_eq!(numbers(&store, name), [1, 2, 3, 4, 5]);
        let deployed = store.deployed(&app(name)).unwrap();
        assert_eq!(deployed.current().number, 5);
        assert_eq!(
            deployed.versions().iter().map(|version| version.after).collect::<Vec<_>>()[1..],
            [1, 2, 3, 4].map(Some)
        );
    }
    assert_eq!((temp.names("versions").len(), temp.names("incoming").len()), (5, 0));
}

#[test]
fn whoever_has_the_turn_decides_and_the_others_come_after() {
    let temp = Temp::new();
    let store = temp.open();
    let first = store.receive(&upload("1")[..], &LIMITS).unwrap();
    let turn = store.turn(&app("shop"));
    thread::scope(|scope| {
        let second = scope.spawn(|| deploy(&store, "shop", "2"));
        // Other apps, and uploads of this one, do not wait.
        deploy(&store, "cart", "3");
        drop(store.receive(&upload("4")[..], &LIMITS).unwrap());
        assert_eq!(turn.keep(&first).unwrap().number, 1);
        drop(turn);
        assert_eq!(second.join().unwrap().number, 2);
    });
    assert_eq!(served(&store, "shop"), "2");
}

#[test]
fn files_are_there_as_long_as_they_are_needed_whoever_comes_and_goes() {
    let temp = Temp::new();
    let store = temp.open();
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let store = &store;
            scope.spawn(move || {
                // A row of numbers that looks random and is the same each time (Knuth's MMIX).
                let mut state = thread;
                let mut next = |below: u64| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (state >> 33) % below
                };
                for _ in 0..40 {
                    let name = ["a", "b", "c"][next(3) as usize];
                    match next(8) {
                        0 => drop(store.turn(&app(name)).remove()),
                        1 => drop(store.turn(&app(name)).roll_back(None)),
                        2 => drop(store.receive(&upload(&next(8).to_string())[..], &LIMITS).unwrap()),
                        3 | 4 => match store.get(&app(name), None) {
                            Ok((_, held)) => assert!(held.is_whole().unwrap()),
                            Err(error) => assert!(matches!(error, StoreError::Missing(_)), "{error}"),
                        },
                        _ => drop(deploy(store, name, &next(8).to_string())),
                    }
                }
            });
        }
    });
    let apps: Vec<_> = store.apps().into_iter().map(Result::unwrap).collect();
    let needed: BTreeSet<_> =
        apps.iter().flat_map(Deployed::digests).map(|digest| digest.to_string()).collect();
    assert_eq!((temp.names("versions"), temp.names("incoming").len()), (needed, 0));
    drop(store);
    let store = temp.open();
    assert_eq!(store.apps().into_iter().map(Result::unwrap).collect::<Vec<_>>(), apps);
    for app in apps {
        store.get(app.app(), None).unwrap();
    }
}
