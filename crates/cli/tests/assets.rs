//! Static files: types, validators, ranges, compressed forms; and nothing outside the folder.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Folder, Nexus, Response};

const GUEST: &str = "export default { fetch(request) { return new Response('guest: ' + request.method + ' ' + new URL(request.url).pathname) } }";

fn serve() -> (Folder, Nexus) {
    let folder = Folder::new(&[
        ("app/nexus.toml", "[assets]\nfolder = \"public\"\n"),
        ("app/index.js", GUEST),
        ("app/secret.txt", "secret"),
        ("app/public/index.html", "<h1>home</h1>"),
        ("app/public/style.css", "body {}"),
        ("app/public/app.js", "let plain = 1; // plain"),
        ("app/public/app.js.br", "BROTLI"),
        ("app/public/app.js.gz", "GZIP"),
        ("app/public/app.js.zst", "ZSTD"),
        ("app/public/digits.bin", "0123456789"),
        ("app/public/with space \u{e9}.txt", "found"),
        ("app/public/docs/index.html", "docs"),
        ("app/public/empty/nothing.txt", ""),
        ("app/public/.hidden/x", "hidden"),
        ("app/public/.env", "hidden"),
        ("app/public/.well-known/security.txt", "contact"),
        ("outside/x.txt", "secret"),
    ]);
    folder.write("app/public/pixel.png", b"\x89PNG\r\n");
    let nexus = Nexus::serve(folder.path());
    (folder, nexus)
}

fn get(nexus: &Nexus, path: &str, headers: &[&str]) -> Response {
    nexus.client("app").request("GET", path, headers, b"")
}

#[test]
fn files_have_their_types_and_nobody_sniffs() {
    let (_folder, nexus) = serve();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/pixel.png", "image/png"),
        ("/digits.bin", "application/octet-stream"),
        ("/empty/nothing.txt", "text/plain; charset=utf-8"),
        ("/.well-known/security.txt", "text/plain; charset=utf-8"),
    ] {
        let response = get(&nexus, path, &[]);
        assert_eq!((response.status, response.header("content-type")), (200, Some(kind)), "{path}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        assert!(response.header("etag").is_some() && response.header("x-request-id").is_some());
    }
    assert_eq!(get(&nexus, "/with%20space%20%C3%A9.txt?query", &[]).text(), "found");
}

#[test]
fn head_tells_what_get_would_send() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    let head = client.request("HEAD", "/digits.bin", &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("10")));
    assert_eq!(client.get("/digits.bin").text(), "0123456789");
}

#[test]
fn a_file_that_the_client_has_is_not_sent_again() {
    let (folder, nexus) = serve();
    let first = get(&nexus, "/style.css", &[]);
    let etag = first.header("etag").unwrap().to_owned();
    let modified = first.header("last-modified").unwrap().to_owned();
    for header in [
        format!("If-None-Match: {etag}"),
        format!("If-None-Match: \"other\", W/{}", etag.trim_start_matches("W/")),
        "If-None-Match: *".to_owned(),
        format!("If-Modified-Since: {modified}"),
    ] {
        let response = get(&nexus, "/style.css", &[&header]);
        assert_eq!((response.status, response.header("etag")), (304, Some(etag.as_str())), "{header}");
        assert_eq!(response.header("transfer-encoding"), None);
    }
    for header in [
        "If-None-Match: \"other\"",
        "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
        "If-Modified-Since: nonsense",
    ] {
        assert_eq!(get(&nexus, "/style.css", &[header]).text(), "body {}", "{header}");
    }
    assert_eq!(get(&nexus, "/style.css", &["If-Match: \"other\""]).status, 412);
    folder.write("app/public/style.css", "body { color: red }");
    let response = get(&nexus, "/style.css", &[&format!("If-None-Match: {etag}")]);
    assert_eq!((response.status, response.text().as_str()), (200, "body { color: red }"));
    assert_ne!(response.header("etag"), Some(etag.as_str()));
}

#[test]
fn a_range_is_sent_alone() {
    let (_folder, nexus) = serve();
    for (range, body, told) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=5-999", "56789", "bytes 5-9/10"),
    ] {
        let response = get(&nexus, "/digits.bin", &[&format!("Range: {range}")]);
        assert_eq!((response.status, response.text().as_str()), (206, body), "{range}");
        assert_eq!(response.header("content-range"), Some(told));
    }
    let beyond = get(&nexus, "/digits.bin", &["Range: bytes=10-"]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */10")));
    for range in ["bytes=4-2", "bytes=x", "items=0-1", "bytes=0-1,3-4"] {
        let response = get(&nexus, "/digits.bin", &[&format!("Range: {range}")]);
        assert_eq!((response.status, response.text().as_str()), (200, "0123456789"), "{range}");
    }
    let stale = get(&nexus, "/digits.bin", &["Range: bytes=2-4", "If-Range: \"other\""]);
    assert_eq!((stale.status, stale.body.len()), (200, 10));
}

#[test]
fn a_compressed_form_goes_to_who_accepts_it() {
    let (_folder, nexus) = serve();
    for (accept, encoding, body) in [
        ("Accept-Encoding: gzip, deflate, br, zstd", Some("br"), "BROTLI"),
        ("Accept-Encoding: gzip;q=1, br;q=0.5", Some("gzip"), "GZIP"),
        ("Accept-Encoding: zstd", Some("zstd"), "ZSTD"),
        ("Accept-Encoding: br;q=0, identity", None, "let plain = 1; // plain"),
        ("Accept: */*", None, "let plain = 1; // plain"),
    ] {
        let response = get(&nexus, "/app.js", &[accept]);
        assert_eq!(response.header("content-encoding"), encoding, "{accept}");
        assert_eq!(response.text(), body);
        assert_eq!(response.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(response.header("vary"), Some("accept-encoding"));
    }
    let br = get(&nexus, "/app.js", &["Accept-Encoding: br"]);
    let plain = get(&nexus, "/app.js", &[]);
    assert_ne!(br.header("etag"), plain.header("etag"));
}

#[test]
fn nothing_outside_the_folder_and_nothing_hidden_is_ever_served() {
    let (folder, nexus) = serve();
    let public = folder.path().join("app/public");
    std::os::unix::fs::symlink("../secret.txt", public.join("link.txt")).unwrap();
    std::os::unix::fs::symlink("../../outside", public.join("linked")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", public.join("passwd")).unwrap();
    std::os::unix::fs::symlink("style.css", public.join("fine.css")).unwrap();
    for path in [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/docs/../../secret.txt",
        "/..\\secret.txt",
        "/%5c..%5csecret.txt",
        "//etc/passwd",
        "/%00",
        "/style.css%00.html",
        "/link.txt",
        "/linked/x.txt",
        "/passwd",
        "/.env",
        "/.hidden/x",
        "/docs/.%2e/.env",
        "/%zz",
        "/secret.txt",
        "/nexus.toml",
        "/index.js",
    ] {
        let response = get(&nexus, path, &[]);
        let text = response.text();
        assert!(response.status == 400 || text.starts_with("guest: "), "{path}: {} {text}", response.status);
    }
    assert_eq!(get(&nexus, "/fine.css", &[]).text(), "body {}", "a link within the folder");
}

#[test]
fn a_folder_shows_its_index_and_is_redirected_to_its_slash() {
    let (_folder, nexus) = serve();
    assert_eq!(get(&nexus, "/docs/", &[]).text(), "docs");
    let response = get(&nexus, "/docs?a=1", &[]);
    assert_eq!((response.status, response.header("location")), (308, Some("/docs/?a=1")));
    // No listing, and no index: the guest's.
    assert_eq!(get(&nexus, "/empty/", &[]).text(), "guest: GET /empty/");
    assert_eq!(get(&nexus, "/empty", &[]).text(), "guest: GET /empty");
}

#[test]
fn what_is_no_file_and_what_is_no_get_falls_through_to_the_guest() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    assert_eq!(client.get("/gone.html").text(), "guest: GET /gone.html");
    assert_eq!(client.request("POST", "/style.css", &[], b"x").text(), "guest: POST /style.css");
    assert_eq!(client.request("DELETE", "/", &[], b"").text(), "guest: DELETE /");
    assert_eq!(client.get("/style.css").text(), "body {}");
}

#[test]
fn a_large_file_streams_and_a_client_that_leaves_it_costs_nothing() {
    const SIZE: usize = 64 << 20;
    let (folder, nexus) = serve();
    let content: Vec<u8> = (0..SIZE).map(|at| (at / 1000) as u8).collect();
    folder.write("app/public/large.bin", &content);
    let before = nexus.resident();
    let mut clients: Vec<_> = (0..4).map(|_| nexus.client("app")).collect();
    for client in &mut clients {
        client.send_request("GET", "/large.bin", &[], b"");
        assert_eq!(client.head().header("content-length"), Some(SIZE.to_string().as_str()));
    }
    let growth = nexus.resident().saturating_sub(before);
    assert!(growth < 32 << 20, "the process grew by {growth} bytes");
    drop(clients);
    assert!(get(&nexus, "/large.bin", &[]).body == content);
    let part = get(&nexus, "/large.bin", &["Range: bytes=1000000-31000000"]);
    assert!(part.body == content[1_000_000..=31_000_000]);
    nexus.await_metric("nexus_connections{app=\"app\"}", 0.0);
}
