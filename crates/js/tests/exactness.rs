//! How exact the CPU limit is, alone and beside busy neighbours. Apart from the other tests, which would be its
//! neighbours, and it theirs.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::{handler, run};
use nexus_core::Limit;
use nexus_guest::StopReason;

/// Guests that compute for so many times their limit, in one turn and in many short ones.
fn compute_around_the_limit() {
    const LIMIT: f64 = 50.0;
    for (times, turns) in [0.5, 0.9, 1.1, 2.0].into_iter().flat_map(|times| [(times, 1), (times, 100)]) {
        let each = LIMIT * times / f64::from(turns);
        // The first request is compiled code's warm-up.
        let source = handler(&format!(
            "if (request.url.endsWith('/warm')) {{ burn(5); return new Response(); }}
             for (let i = 0; i < {turns}; i++) {{ burn({each}); if ({turns} > 1) await wait(0); }} return new Response('done');",
        ));
        let outcome = run(&[(Limit::Cpu, LIMIT as u64)], &source, &["/warm", "/"]);
        // How much it really was is what the kernel says: neighbours in the caches make the same work longer.
        let used = outcome.cpu.as_secs_f64() * 1000.0;
        println!(
            "{times} in {turns}: {used:.2} ms, {}",
            if outcome.stop.is_some() { "stopped" } else { "done" }
        );
        match &outcome.stop {
            Some(stop) => {
                assert_eq!(stop.reason, StopReason::Cpu);
                assert!(used >= LIMIT - 5.0, "stopped after {used} ms of {LIMIT}: {times} in {turns}");
            }
            None => {
                assert!(used <= LIMIT + 5.0, "not stopped after {used} ms of {LIMIT}: {times} in {turns}")
            }
        }
    }
}

#[test]
fn a_guest_is_stopped_at_its_limit_and_not_before() {
    compute_around_the_limit();
}

#[test]
fn a_guest_among_busy_neighbours_is_stopped_at_its_limit_and_not_before() {
    let over = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..9)
        .map(|_| {
            let over = over.clone();
            std::thread::spawn(move || while !over.load(Ordering::Relaxed) {})
        })
        .collect();
    compute_around_the_limit();
    over.store(true, Ordering::Relaxed);
    busy.into_iter().for_each(|thread| thread.join().unwrap());
}
