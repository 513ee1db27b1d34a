//! What the host gives apps beside requests: variables, secrets, the times of triggers. With an engine that shows it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use nexus_core::{App, AppName, HostConfig};
use nexus_guest::{
    Body, Engine, Guest, HeaderList, Level, LoadError, LogRecord, Reply, Request, Responder, Services, Stop,
    StopReason, Stopper, Ticket, Usage,
};
use nexus_host::log::{Format, LogConfig, Logger};
use nexus_host::{AppState, Host, Options, SecretStore, discover};
use serde_json::Value;

/// Prints its secrets, and answers with its variables and secrets. An app called `broken` says its own in an error.
struct Open;

impl Engine for Open {
    fn name(&self) -> &'static str {
        "open"
    }

    fn runs(&self, main: &str) -> bool {
        main.ends_with(".js")
    }

    fn load(
        &self,
        app: Arc<App>,
        services: Services,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Guest>, LoadError>> {
        Box::pin(async move {
            let told: Vec<String> =
                services.secrets.iter().map(|(name, value)| format!("{name}={value}")).collect();
            if app.name().as_str() == "broken" {
                return Err(LoadError::new(format!("thrown: {}", told.join(","))));
            }
            let message = format!("printed: {}", told.join(","));
            services.log.log(LogRecord { level: Level::Info, request: None, message, stack: None });
            let env = services.env.iter().map(|(name, value)| format!("{name}={value}"));
            Ok(Rc::new(OpenGuest(env.chain(told).collect::<Vec<_>>().join(","))) as Rc<dyn Guest>)
        })
    }
}

struct OpenGuest(String);

impl Guest for OpenGuest {
    fn request(&self, _: Request, responder: Responder) -> Ticket {
        let headers = HeaderList::from_iter([("content-type", "text/plain")]);
        responder.send(Ok(Reply { status: 200, headers, body: Body::Full(self.0.clone().into()) }));
        Ticket(1)
    }

    fn abort(&self, _: Ticket) {}

    fn poll(&self, _: &mut Context<'_>) -> Poll<Stop> {
        Poll::Pending
    }

    fn in_flight(&self) -> usize {
        0
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn stopper(&self) -> Arc<dyn Stopper> {
        struct Deaf;
        impl Stopper for Deaf {
            fn stop(&self, _reason: StopReason) {}
            fn poke(&self) {}
        }
        Arc::new(Deaf)
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Temp(PathBuf);

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Temp {
    fn new(apps: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temp = Self(std::env::temp_dir().join(format!("nexus-given-{}-{number}", std::process::id())));
        for (app, manifest) in apps {
            std::fs::create_dir_all(temp.0.join("apps").join(app)).unwrap();
            std::fs::write(temp.0.join("apps").join(app).join("index.js"), "").unwrap();
            std::fs::write(temp.0.join("apps").join(app).join("nexus.toml"), manifest).unwrap();
        }
        temp
    }

    fn store(&self) -> SecretStore {
        SecretStore::new(&self.0.join("storage"))
    }
}

/// Serves the apps and runs `test` beside them. Gives all that was logged.
fn serve(temp: &Temp, env: &[(&str, &str)], test: impl FnOnce(Vec<AppState>) + Send + 'static) -> String {
    let mut config = HostConfig::default();
    config.listen.port = 0;
    config.storage.folder = Some(temp.0.join("storage"));
    let control = format!("unix:{}", temp.0.join("control.sock").display());
    config.control.address = Some(control.parse().unwrap());
    let log = Log::default();
    let format = LogConfig { format: Format::Json, level: Level::Debug, color: false };
    let logger = Logger::start(format, Box::new(log.clone())).unwrap();
    let apps = discover(&temp.0.join("apps"), &config).unwrap();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = Options {
            config,
            apps,
            env,
            engines: vec![Arc::new(Open)],
            capabilities: Arc::new(nexus_guest::NoHttp),
            logger: logger.clone(),
            build: Vec::new(),
            watch: false,
            token: None,
        };
        let mut host = Host::start(options).unwrap();
        let states = host.started().await;
        tokio::task::spawn_blocking(move || test(states)).await.unwrap();
        host.stop(Duration::from_millis(500)).await;
    });
    runtime.shutdown_background();
    assert!(logger.close());
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

fn exchange(mut stream: impl Read + Write, method: &str, path: &str) -> (u16, String) {
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn get(state: &AppState) -> String {
    let address = state.serving.as_ref().unwrap().strip_prefix("http://").unwrap();
    exchange(TcpStream::connect(address).unwrap(), "GET", "/").1
}

#[test]
fn variables_and_secrets_come_from_where_the_manifest_says() {
    // Every process has a path to look for programs.
    let path = std::env::var("PATH").unwrap();
    let manifest = "[permissions]\nenv = [\"PATH\", \"NOT_THERE_AT_ALL\", \"HOME\"]\n[env]\nA = \"own\"\nB = \"own\"\n\
                    [secrets]\nTOKEN = { from = \"file:token\" }\nALSO = { from = \"env:PATH\" }\n";
    let temp = Temp::new(&[("shop", manifest)]);
    let app = AppName::parse("shop").unwrap();
    temp.store().put(&app, &"token".parse().unwrap(), b"hunter2\n").unwrap();
    let expected = format!("PATH={path},HOME=line,A=own,B=line,TOKEN=hunter2,ALSO={path}");
    let log = serve(&temp, &[("B", "line"), ("HOME", "line")], move |states| {
        assert_eq!(get(&states[0]), expected);
    });
    assert!(log.contains("printed: TOKEN=***,ALSO=***"), "{log}");
    assert!(!log.contains("hunter2") && !log.contains(&path), "{log}");
}

#[test]
fn an_app_whose_secret_cannot_be_had_is_not_loaded_and_no_value_is_in_what_is_told() {
    let secrets = "[secrets]\nTOKEN = { from = \"file:token\" }\n";
    let temp = Temp::new(&[
        ("broken", secrets),
        ("missing", secrets),
        ("nothing", "[secrets]\nTOKEN = { from = \"env:NOT_THERE_AT_ALL\" }\n"),
        ("open", secrets),
    ]);
    for app in ["broken", "open"] {
        let app = AppName::parse(app).unwrap();
        temp.store().put(&app, &"token".parse().unwrap(), b"hunter2").unwrap();
    }
    let file = temp.0.join("storage/secrets/open/token");
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o644)).unwrap();
    let socket = temp.0.join("control.sock");
    let log = serve(&temp, &[], move |states| {
        let why: Vec<&str> =
            states.iter().map(|state| state.serving.as_ref().unwrap_err().trim_end()).collect();
        let cannot = |app: &str| {
            format!("the secret `TOKEN` cannot be read from secrets/{app}/token in the storage folder: ")
        };
        assert_eq!(why[0], "thrown: TOKEN=***");
        assert_eq!(
            why[1],
            cannot("missing") + "there is no such file; `nexus secret put missing token` makes it"
        );
        assert!(
            why[2].starts_with("the secret `TOKEN` is the variable `NOT_THERE_AT_ALL`, which"),
            "{}",
            why[2]
        );
        assert_eq!(why[3], cannot("open") + "others than its owner may use it: `chmod 600` it");
        let (_, listed) = exchange(UnixStream::connect(&socket).unwrap(), "GET", "/v1/apps");
        assert!(listed.contains("thrown: TOKEN=***") && !listed.contains("hunter2"), "{listed}");
    });
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn triggers_are_listed_and_run_by_the_api() {
    let temp = Temp::new(&[("plain", ""), ("shop", "[triggers]\ncron = [\"0 0 1 1 *\", \"*/5 * * * *\"]\n")]);
    let socket = temp.0.join("control.sock");
    serve(&temp, &[], move |_| {
        let ask = |method: &str, path: &str| {
            let (status, body) = exchange(UnixStream::connect(&socket).unwrap(), method, path);
            (status, serde_json::from_str::<Value>(&body).unwrap())
        };
        let (status, all) = ask("GET", "/v1/cron");
        assert_eq!((status, all["cron"].as_array().unwrap().len()), (200, 2));
        assert_eq!(
            (&all["cron"][1]["app"], &all["cron"][1]["cron"]),
            (&"shop".into(), &"*/5 * * * *".into())
        );
        assert!(all["cron"][1]["next"].as_u64().unwrap() % 300_000 == 0 && all["cron"][1]["last"].is_null());
        assert_eq!(ask("GET", "/v1/apps/plain/cron"), (200, serde_json::json!({ "cron": [] })));
        assert_eq!(ask("GET", "/v1/apps/other/cron").0, 404);
        for (path, status, told) in [
            ("plain/cron", 400, "has no triggers"),
            ("shop/cron?cron=*", 400, "has no trigger `*`, but `0 0 1 1 *`, `*/5 * * * *`"),
            ("shop/cron?cron=%", 400, "percent-encoded"),
            ("shop/cron?time=noon", 400, "`time` is in milliseconds"),
            ("other/cron", 404, "there is no app"),
        ] {
            let answer = ask("POST", &format!("/v1/apps/{path}"));
            assert_eq!(answer.0, status, "{path}");
            assert!(answer.1["error"].as_str().unwrap().contains(told), "{answer:?}");
        }
        let (status, ran) =
            ask("POST", "/v1/apps/shop/cron?cron=*/5%20*%20*%20*%20*&time=1970-01-01T00:01:00Z");
        assert_eq!((status, &ran["cron"], &ran["time"]), (200, &"*/5 * * * *".into(), &60_000.into()));
        let last = &ask("GET", "/v1/apps/shop/cron").1["cron"][1]["last"];
        assert_eq!((&last["time"], &last["result"]), (&60_000.into(), &ran["result"]));
        assert_eq!(ask("POST", "/v1/apps/shop/stop").0, 200);
        assert_eq!(ask("POST", "/v1/apps/shop/cron").0, 409);
        assert!(ask("GET", "/v1/cron").1["cron"][0]["next"].is_null(), "it is stopped");
    });
}
