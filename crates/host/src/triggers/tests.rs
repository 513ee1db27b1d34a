//! Triggers with apps and deliveries that are none.

use nexus_core::parse_time;

use super::*;
use crate::log::{Format, LogConfig};

#[derive(Default)]
struct FakeApps {
    all: Mutex<Vec<Triggered>>,
    counted: Mutex<Vec<(String, Scheduling)>>,
}

impl Apps for FakeApps {
    fn triggered(&self) -> Vec<Triggered> {
        self.all.lock().unwrap().clone()
    }

    fn count(&self, app: &AppName, what: Scheduling) {
        self.counted.lock().unwrap().push((app.to_string(), what));
    }
}

type Done = Box<dyn FnOnce(Outcome) + Send>;
type Delivery = (String, Arc<Scheduled>, Done);

/// Keeps what is to be delivered.
#[derive(Default, Clone)]
struct FakeDeliver(Arc<Mutex<Vec<Delivery>>>);

impl Deliver for FakeDeliver {
    fn deliver(&self, app: &AppName, event: Arc<Scheduled>, done: Done) {
        self.0.lock().unwrap().push((app.to_string(), event, done));
    }
}

impl FakeDeliver {
    fn take(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// What was written.
#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Fixture {
    triggers: Triggers,
    apps: Arc<FakeApps>,
    deliver: FakeDeliver,
    schedule: Schedule,
    out: Out,
}

fn at(text: &str) -> u64 {
    parse_time(&format!("2026-07-01T{text}Z")).unwrap()
}

fn triggered(name: &str, cron: &[&str], is_ready: bool) -> Triggered {
    let cron = cron.iter().map(|text| text.parse().unwrap()).collect();
    Triggered { app: AppName::parse(name).unwrap(), cron, is_ready }
}

impl Fixture {
    fn new(all: Vec<Triggered>, now: &str) -> Self {
        let apps = Arc::new(FakeApps { all: Mutex::new(all), ..FakeApps::default() });
        let (deliver, out) = (FakeDeliver::default(), Out::default());
        let config = LogConfig { format: Format::Json, level: nexus_guest::Level::Info, color: false };
        let logger = Logger::start(config, Box::new(out.clone())).unwrap();
        let triggers = Triggers::new(apps.clone(), Box::new(deliver.clone()), Arc::default(), logger);
        let mut fixture = Self { triggers, apps, deliver, schedule: Schedule::new(at(now)), out };
        fixture.step(now);
        fixture
    }

    fn step(&mut self, now: &str) -> Duration {
        self.triggers.shared.step(&mut self.schedule, at(now))
    }

    fn counted(&self) -> Vec<Scheduling> {
        self.apps.counted.lock().unwrap().iter().map(|(_, what)| *what).collect()
    }

    fn log(&self) -> String {
        assert!(self.triggers.shared.logger.close());
        String::from_utf8(self.out.0.lock().unwrap().clone()).unwrap()
    }
}

#[test]
fn an_event_comes_at_its_time_with_its_pattern() {
    let mut fixture = Fixture::new(vec![triggered("shop", &["*/5 * * * *"], true)], "12:00:10");
    assert_eq!(fixture.step("12:00:20"), LONGEST_SLEEP);
    assert_eq!(fixture.step("12:04:58"), Duration::from_secs(2));
    assert!(fixture.deliver.take().is_empty());
    fixture.step("12:05:00.1");
    let (app, event, done) = fixture.deliver.take().pop().unwrap();
    assert_eq!((app.as_str(), &*event.cron, event.time), ("shop", "*/5 * * * *", at("12:05:00")));
    done(Ok(()));
    assert_eq!(fixture.counted(), [Scheduling::Ok]);
    let last = fixture.triggers.last(&AppName::parse("shop").unwrap(), &"*/5 * * * *".parse().unwrap());
    assert!(last.is_some_and(|last| last.time == at("12:05:00") && last.result.is_ok()));
    assert_eq!(fixture.log(), "");
}

#[test]
fn a_run_that_goes_on_has_the_next_one_skipped_counted_and_told() {
    let mut fixture = Fixture::new(vec![triggered("shop", &["* * * * *", "*/2 * * * *"], true)], "12:00:10");
    fixture.step("12:01:00");
    let (_, _, done) = fixture.deliver.take().pop().unwrap();
    fixture.step("12:02:00");
    // The other pattern is another matter.
    let others = fixture.deliver.take();
    assert_eq!((others.len(), &*others[0].1.cron), (1, "*/2 * * * *"));
    assert_eq!(fixture.counted(), [Scheduling::Skipped]);
    done(Ok(()));
    fixture.step("12:03:00");
    assert_eq!(fixture.deliver.take().len(), 1);
    let log = fixture.log();
    let told = "the run of `* * * * *` at 2026-07-01T12:02:00Z is skipped: the one before it still goes on";
    assert!(log.contains(told), "{log}");
}

#[test]
fn what_the_worker_has_not_told_is_told_and_nothing_twice() {
    let mut fixture = Fixture::new(vec![triggered("shop", &["* * * * *"], true)], "12:00:10");
    let kinds = [
        FailureKind::Threw,
        FailureKind::TimedOut,
        FailureKind::Overloaded,
        FailureKind::NoHandler,
        FailureKind::Unavailable,
    ];
    for (minute, kind) in kinds.into_iter().enumerate() {
        fixture.step(&format!("12:0{}:00", minute + 1));
        let (_, _, done) = fixture.deliver.take().pop().unwrap();
        done(Err(kind.into()));
    }
    // Nobody says what came of it.
    fixture.step("12:06:00");
    drop(fixture.deliver.take());
    fixture.step("12:07:00");
    assert_eq!(fixture.deliver.take().len(), 1, "the one that was dropped is over");
    assert_eq!(fixture.counted()[..6], [Scheduling::Failed; 6]);
    let log = fixture.log();
    assert_eq!(log.lines().count(), 3, "{log}");
    assert!(
        log.contains("at 2026-07-01T12:04:00Z failed: the app's default export has no `scheduled` handler")
    );
    assert!(log.contains("at 2026-07-01T12:03:00Z failed: the app has too many requests"));
}

#[test]
fn an_app_that_is_stopped_has_nothing_run_and_nothing_made_up_for() {
    let mut fixture = Fixture::new(vec![triggered("shop", &["* * * * *"], true)], "12:00:10");
    let set = |fixture: &Fixture, is_ready| {
        *fixture.apps.all.lock().unwrap() = vec![triggered("shop", &["* * * * *"], is_ready)];
    };
    set(&fixture, false);
    fixture.step("12:05:00");
    set(&fixture, true);
    fixture.step("12:10:30");
    assert!(fixture.deliver.take().is_empty());
    fixture.step("12:11:00");
    assert_eq!(fixture.deliver.take().len(), 1);
    fixture.triggers.end();
    fixture.step("12:12:00");
    assert!(fixture.deliver.take().is_empty(), "it fires no more");
}

#[test]
fn somebody_can_have_a_run_at_once_unless_one_goes_on() {
    let fixture = Fixture::new(vec![triggered("shop", &["0 0 1 1 *"], true)], "12:00:10");
    let (app, cron) = (AppName::parse("shop").unwrap(), "0 0 1 1 *".parse().unwrap());
    let mut heard = fixture.triggers.run(&app, &cron, 77).unwrap();
    assert_eq!(fixture.triggers.run(&app, &cron, 78).unwrap_err(), NotRun::GoesOn);
    let (_, event, done) = fixture.deliver.take().pop().unwrap();
    assert_eq!((event.time, heard.try_recv().is_err()), (77, true));
    done(Err(FailureKind::Threw.into()));
    assert!(heard.try_recv().unwrap().result.unwrap_err().contains("handler failed"));
    assert_eq!(fixture.counted(), [Scheduling::Failed]);
    let mut heard = fixture.triggers.run(&app, &cron, 79).unwrap();
    drop(fixture.deliver.take());
    assert_eq!(heard.try_recv().unwrap().result.unwrap_err(), "the app was stopped meanwhile");
    fixture.triggers.end();
    assert_eq!(fixture.triggers.run(&app, &cron, 80).unwrap_err(), NotRun::Ends);
}

#[test]
fn what_was_of_an_app_that_is_gone_is_forgotten() {
    let mut fixture = Fixture::new(vec![triggered("shop", &["* * * * *"], true)], "12:00:10");
    fixture.step("12:01:00");
    let (_, _, done) = fixture.deliver.take().pop().unwrap();
    fixture.apps.all.lock().unwrap().clear();
    fixture.step("12:01:10");
    let (app, cron) = (AppName::parse("shop").unwrap(), "* * * * *".parse().unwrap());
    done(Ok(()));
    assert!(fixture.triggers.last(&app, &cron).is_some());
    fixture.step("12:01:20");
    assert!(fixture.triggers.last(&app, &cron).is_none());
}

#[tokio::test]
async fn they_are_fired_by_the_clock_as_soon_as_the_right_is_there() {
    let all = vec![triggered("shop", &["* * * * *"], true)];
    let Fixture { triggers, deliver, .. } = Fixture::new(all, "12:00:10");
    triggers.begin(Right::alone());
    // A minute is too long for a test: that it runs and ends is what can be seen.
    tokio::time::sleep(Duration::from_millis(20)).await;
    triggers.shared.changed.notify_one();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(deliver.take().len() <= 1);
    triggers.end();
}
