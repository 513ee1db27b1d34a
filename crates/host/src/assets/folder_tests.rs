use super::*;
use crate::beneath::tests::{Tree, both_ways};
use proptest::prelude::*;
use std::future::poll_fn;
use std::os::unix::fs::symlink;
use std::time::Duration;

const NOTHING: [(&str, &str); 0] = [];

fn assets(folder: &Path) -> Assets {
    Assets::new(folder, Handle::current()).unwrap()
}

async fn get(assets: &Assets, target: &str, headers: &[(&str, &str)]) -> Option<Reply> {
    ask(assets, "GET", target, headers).await
}

async fn ask(assets: &Assets, method: &str, target: &str, headers: &[(&str, &str)]) -> Option<Reply> {
    assets.find_target(method, target, &headers.iter().copied().collect()).await
}

fn request(method: &str, url: &str) -> Request {
    Request {
        id: nexus_guest::RequestId::from_u128(1),
        method: nexus_guest::method(method),
        url: url.into(),
        headers: HeaderList::new(),
        body: Body::Empty,
        client: Default::default(),
        event: Default::default(),
    }
}

async fn text(reply: Reply) -> String {
    let bytes = match reply.body {
        Body::Empty => Vec::new(),
        Body::Full(bytes) => bytes.to_vec(),
        Body::Stream(mut source) => {
            let mut all = Vec::new();
            while let Some(chunk) = poll_fn(|cx| source.poll_chunk(cx)).await {
                all.extend_from_slice(&chunk.unwrap());
            }
            all
        }
    };
    String::from_utf8(bytes).unwrap()
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.get_str(name)
}

/// As it is once the file has not changed for a minute, so that its tag is strong.
fn get_settled(assets: &Assets, target: &str, headers: &[(&str, &str)]) -> Reply {
    let path = path::parse(target).unwrap();
    let opened = assets.root.get(&path.file, Wait::Allowed).unwrap();
    let query = Query::new(path, target, false, &headers.iter().copied().collect());
    let now = SystemTime::now() + Duration::from_secs(60);
    reply(answer(&assets.root, &query, opened, Wait::Allowed, now).unwrap(), &assets.pool)
}

#[tokio::test]
async fn a_file_comes_with_its_type_its_validators_and_how_to_cache_it() {
    let tree = Tree::empty();
    tree.write("a b.js", "let x");
    let assets = assets(&tree.path(""));
    let reply = get(&assets, "/a%20b.js?v=1", &NOTHING).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(header(&reply, "content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(header(&reply, "cache-control"), Some("public, max-age=0, must-revalidate"));
    assert_eq!(header(&reply, "x-content-type-options"), Some("nosniff"));
    assert_eq!(header(&reply, "accept-ranges"), Some("bytes"));
    assert_eq!(header(&reply, "vary"), Some("accept-encoding"));
    let modified = httpdate::parse_http_date(header(&reply, "last-modified").unwrap()).unwrap();
    assert!(modified <= SystemTime::now());
    assert!(header(&reply, "etag").unwrap().starts_with("W/\""), "the file is fresh");
    assert_eq!(reply.body.exact_length(), Some(5));
    assert_eq!(text(reply).await, "let x");
    assert!(!header(&get_settled(&assets, "/a%20b.js", &NOTHING), "etag").unwrap().starts_with("W/"));
}

#[tokio::test]
async fn a_head_request_gets_the_same_head_and_no_body() {
    let tree = Tree::empty();
    tree.write("big.txt", "x".repeat(200_000));
    let assets = assets(&tree.path(""));
    let reply = ask(&assets, "HEAD", "/big.txt", &[("range", "bytes=0-1")]).await.unwrap();
    assert_eq!((reply.status, header(&reply, "content-length")), (200, Some("200000")));
    assert!(matches!(reply.body, Body::Empty));
}

#[tokio::test]
async fn only_get_and_head_find_assets() {
    let tree = Tree::empty();
    tree.write("index.html", "hello");
    let assets = assets(&tree.path(""));
    for (method, found) in
        [("GET", true), ("HEAD", true), ("POST", false), ("get", false), ("OPTIONS", false)]
    {
        let request = request(method, "http://localhost/");
        assert_eq!(assets.may_serve(&request), found, "{method}");
        assert_eq!(assets.find(&request).await.is_some(), found, "{method}");
    }
}

#[tokio::test]
async fn a_request_is_taken_by_its_urls_path() {
    let tree = Tree::empty();
    tree.write("a.txt", "hello");
    let assets = assets(&tree.path(""));
    for (url, found) in [
        ("http://localhost:8080/a.txt", true),
        ("http://localhost:8080/a.txt?x=//y/", true),
        ("http://localhost:8080?x=/a.txt", false),
        ("http://localhost:8080", false),
    ] {
        assert_eq!(assets.find(&request("GET", url)).await.is_some(), found, "{url}");
    }
}

#[tokio::test]
async fn what_is_surely_no_asset_is_said_without_waiting() {
    let tree = Tree::empty();
    tree.write(".env", "secret");
    let assets = assets(&tree.path(""));
    for target in ["/.env", "/../x", "/%2e%2e/x", "/a%2fb", "/a%00", "/a?\r\nx: y", "//a"] {
        assert!(!assets.may_serve(&request("GET", &format!("http://localhost{target}"))), "{target}");
    }
}

#[tokio::test]
async fn a_folder_is_its_index_and_without_its_slash_leads_there() {
    let tree = Tree::empty();
    tree.write("docs/index.html", "index");
    tree.write("plain/a.txt", "a");
    let assets = assets(&tree.path(""));
    let reply = get(&assets, "/docs/", &NOTHING).await.unwrap();
    assert_eq!(header(&reply, "content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(text(reply).await, "index");
    for (target, location) in [("/docs", "/docs/"), ("/docs?a=/b?", "/docs/?a=/b?")] {
        let reply = get(&assets, target, &NOTHING).await.unwrap();
        assert_eq!((reply.status, header(&reply, "location")), (308, Some(location)));
    }
    for target in ["/", "/plain", "/plain/", "/docs/index.html/", "/plain/a.txt/", "/nothing"] {
        assert!(get(&assets, target, &NOTHING).await.is_none(), "{target}");
    }
}

#[tokio::test]
async fn a_client_that_has_this_version_gets_304_and_one_that_wants_another_412() {
    let tree = Tree::empty();
    tree.write("a.txt", "hello");
    let assets = assets(&tree.path(""));
    let first = get(&assets, "/a.txt", &NOTHING).await.unwrap();
    let (etag, modified) = (header(&first, "etag").unwrap(), header(&first, "last-modified").unwrap());
    for condition in [("if-none-match", etag), ("if-modified-since", modified)] {
        let reply = get(&assets, "/a.txt", &[condition]).await.unwrap();
        assert_eq!(reply.status, 304, "{condition:?}");
        assert_eq!(header(&reply, "etag"), Some(etag));
        assert_eq!(header(&reply, "vary"), Some("accept-encoding"));
        assert!(matches!(reply.body, Body::Empty));
    }
    let reply = get(&assets, "/a.txt", &[("if-match", "\"other\"")]).await.unwrap();
    assert_eq!(reply.status, 412);
    tree.write("a.txt", "other");
    let reply = get(&assets, "/a.txt", &[("if-none-match", etag)]).await.unwrap();
    assert_eq!((reply.status, text(reply).await), (200, "other".to_owned()));
}

#[tokio::test]
async fn a_range_gives_a_part_of_a_small_and_of_a_large_file() {
    let tree = Tree::empty();
    let large: String = ('a'..='z').cycle().take(200_000).collect();
    tree.write("small.txt", "0123456789");
    tree.write("large.txt", &large);
    tree.write("empty.txt", "");
    let assets = assets(&tree.path(""));
    let reply = get(&assets, "/small.txt", &[("range", "bytes=2-4")]).await.unwrap();
    assert_eq!((reply.status, header(&reply, "content-range")), (206, Some("bytes 2-4/10")));
    assert_eq!(text(reply).await, "234");
    let reply = get(&assets, "/large.txt", &[("range", "bytes=1-150000")]).await.unwrap();
    assert_eq!((reply.status, reply.body.exact_length()), (206, Some(150_000)));
    assert_eq!(text(reply).await, large[1..150_001]);
    let reply = get(&assets, "/small.txt", &[("range", "bytes=10-")]).await.unwrap();
    assert_eq!((reply.status, header(&reply, "content-range")), (416, Some("bytes */10")));
    assert_eq!(header(&reply, "content-type"), None);
    let reply = get(&assets, "/small.txt", &[("range", "bytes=0-1,3-4")]).await.unwrap();
    assert_eq!((reply.status, text(reply).await), (200, "0123456789".to_owned()));
    let reply = get(&assets, "/empty.txt", &NOTHING).await.unwrap();
    assert_eq!((reply.status, reply.body.exact_length()), (200, Some(0)));
}

#[tokio::test]
async fn if_range_gives_the_part_of_this_version_and_else_the_whole() {
    let tree = Tree::empty();
    tree.write("a.txt", "0123456789");
    let assets = assets(&tree.path(""));
    let etag = header(&get_settled(&assets, "/a.txt", &NOTHING), "etag").unwrap().to_owned();
    let range = ("range", "bytes=0-1");
    assert_eq!(get_settled(&assets, "/a.txt", &[range, ("if-range", &etag)]).status, 206);
    assert_eq!(get_settled(&assets, "/a.txt", &[range, ("if-range", "\"other\"")]).status, 200);
    assert_eq!(
        get(&assets, "/a.txt", &[range, ("if-range", &etag)]).await.unwrap().status,
        200,
        "still weak"
    );
}

#[tokio::test]
async fn a_precompressed_form_goes_to_who_accepts_it_with_a_tag_of_its_own() {
    let tree = Tree::empty();
    for (name, content) in [
        ("a.css", "plain"),
        ("a.css.gz", "gzipped"),
        ("a.css.br", "brotli"),
        ("b.css.gz", "alone"),
        ("p.png", "png"),
        ("p.png.gz", "no"),
    ] {
        tree.write(name, content);
    }
    let assets = assets(&tree.path(""));
    let mut tags = Vec::new();
    for (accept, encoding, content) in [
        ("identity", None, "plain"),
        ("gzip", Some("gzip"), "gzipped"),
        ("gzip, br", Some("br"), "brotli"),
        ("zstd", None, "plain"),
    ] {
        let reply = get(&assets, "/a.css", &[("accept-encoding", accept)]).await.unwrap();
        assert_eq!(header(&reply, "content-encoding"), encoding, "{accept}");
        assert_eq!(header(&reply, "content-type"), Some("text/css; charset=utf-8"));
        assert_eq!(header(&reply, "vary"), Some("accept-encoding"));
        tags.push(header(&reply, "etag").unwrap().to_owned());
        assert_eq!(text(reply).await, content);
    }
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] == tags[3]);
    let part = get(&assets, "/a.css", &[("accept-encoding", "gzip"), ("range", "bytes=0-3")]).await.unwrap();
    assert_eq!(header(&part, "content-range"), Some("bytes 0-3/7"));
    assert_eq!(text(part).await, "gzip");
    assert!(get(&assets, "/b.css", &[("accept-encoding", "gzip")]).await.is_none(), "there is no plain form");
    let image = get(&assets, "/p.png", &[("accept-encoding", "gzip")]).await.unwrap();
    assert_eq!((header(&image, "vary"), header(&image, "content-encoding")), (None, None));
}

#[tokio::test]
async fn a_large_file_is_streamed_with_its_length() {
    let tree = Tree::empty();
    let content = "0123456789".repeat(100_000);
    tree.write("a.bin", &content);
    let reply = get(&assets(&tree.path("")), "/a.bin", &NOTHING).await.unwrap();
    assert!(matches!(reply.body, Body::Stream(_)));
    assert_eq!(reply.body.exact_length(), Some(1_000_000));
    assert_eq!(text(reply).await, content);
}

#[tokio::test]
async fn what_is_no_regular_file_is_no_asset() {
    let tree = Tree::empty();
    assert!(std::process::Command::new("mkfifo").arg(tree.path("fifo.txt")).status().unwrap().success());
    symlink("/dev/zero", tree.path("zero.txt")).unwrap();
    let assets = assets(&tree.path(""));
    for target in ["/fifo.txt", "/zero.txt"] {
        assert!(get(&assets, target, &NOTHING).await.is_none(), "{target}");
    }
}

#[tokio::test]
async fn the_pools_answer_is_the_same_as_the_caches() {
    let tree = Tree::with_secrets();
    tree.write("root/a.js.gz", "public");
    let assets = assets(&tree.path("root"));
    for target in ["/", "/a.js", "/sub", "/sub/in.js", "/nothing.js", "/out.js", "/folder-in/"] {
        let headers = [("accept-encoding", "gzip")];
        let here = get(&assets, target, &headers).await;
        let query = Query::new(path::parse(target).unwrap(), target, false, &headers.into_iter().collect());
        let there = assets.find_waiting(query).await;
        let (here, there) = (here.map(|r| (r.status, r.headers)), there.map(|r| (r.status, r.headers)));
        assert_eq!(here, there, "{target}");
        assert_eq!(here.is_none(), ["/nothing.js", "/out.js"].contains(&target), "{target}");
    }
}

fn segment() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "..",
        ".",
        "",
        "a.js",
        "in.js",
        "out.js",
        "sub",
        "up",
        "out",
        "folder-in",
        "folder-out",
        "sibling",
        "magic",
        "etc",
        "passwd",
        "absolute.js",
        "secret.js",
        "root-too",
        "root",
        "outside",
        "%2e%2e",
        "..%2f",
        "%00",
        "%5c",
        "%2E",
        "circle.js",
        "\\..",
        "b.js",
        "index.html",
        ".hidden",
        "a.js?",
        "..;",
    ];
    prop_oneof![9 => proptest::sample::select(KNOWN).prop_map(str::to_owned), 1 => "[^/]{0,4}"]
}

proptest! {
    #[test]
    fn no_path_gets_anything_from_outside_the_folder(segments in proptest::collection::vec(segment(), 0..7)) {
        thread_local!(static FIXTURE: (Tree, tokio::runtime::Runtime) = {
            let tree = Tree::with_secrets();
            tree.write("root/.hidden", "secret");
            (tree, tokio::runtime::Builder::new_current_thread().build().unwrap())
        });
        let target = format!("/{}", segments.join("/"));
        FIXTURE.with(|(tree, runtime)| {
            for root in both_ways(&tree.path("root")) {
                let assets = Assets { root: Arc::new(root), pool: runtime.handle().clone() };
                let found = runtime.block_on(async {
                    match get(&assets, &target, &NOTHING).await {
                        Some(reply) => Some((reply.status, text(reply).await)),
                        None => None,
                    }
                });
                match found {
                    None | Some((308, _)) => {}
                    Some((status, text)) => prop_assert_eq!((status, text.as_str()), (200, "public"), "{}", target),
                }
            }
            Ok(())
        })?;
    }
}
