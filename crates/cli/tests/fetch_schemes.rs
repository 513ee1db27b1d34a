//! What `fetch` needs no connection for, and `EventSource`, which rests on it.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::time::Duration;

use harness::fetching::{echo, result, serve};
use harness::{Upstream, until};
use serde_json::json;

#[test]
fn data_urls_and_integrity_need_no_connection() {
    let upstream = Upstream::new(echo);
    let told = result(
        &upstream,
        "async () => {
            const told = async (url, init) => {
                try { const r = await fetch(url, init); return [r.status, r.headers.get('content-type'), await r.text()]; }
                catch (e) { return e.name; }
            };
            const integrity = 'sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=';
            return [
                await told('data:text/html;charset=utf-8,%3Cp%3E#x'), await told('data:;base64,aGVsbG8'), await told('data:nonsense'),
                await told('data:,hello', { integrity }), await told('data:,hellO', { integrity }),
                await told('ftp://example.com/'), await told('nonsense'), await told('http://user@example.com/'),
            ];
        }",
    );
    assert_eq!(
        told,
        json!([
            [200, "text/html;charset=utf-8", "<p>"],
            [200, "text/plain;charset=US-ASCII", "hello"],
            "TypeError",
            [200, "text/plain;charset=US-ASCII", "hello"],
            "TypeError",
            "TypeError",
            "TypeError",
            "TypeError",
        ])
    );
    assert_eq!(upstream.accepted(), 0);
}

#[test]
fn blob_urls_are_the_guests_own_until_they_are_revoked() {
    let upstream = Upstream::new(echo);
    let told = result(
        &upstream,
        "async () => {
            const url = URL.createObjectURL(new Blob(['hello ', 'blob'], { type: 'a/b' }));
            const told = async (url, init) => {
                try { const r = await fetch(url, init); return [r.status, r.headers.get('content-type'), r.headers.get('content-range'), await r.text()]; }
                catch (e) { return e.name; }
            };
            const range = (value) => told(url, { headers: { range: value } });
            const all = [
                /^blob:null\\/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(url),
                await told(url + '#x'), await told(url, { method: 'POST' }), await range('bytes=2-4'), await range('bytes \\t= 6 -'),
                await range('bytes=-4'), await range('bytes=20-'), await range('bytes=-'), await range('lines=1-2'),
            ];
            URL.revokeObjectURL(url);
            all.push(await told(url));
            try { URL.createObjectURL({}); } catch (e) { all.push(e.name); }
            return all;
        }",
    );
    assert_eq!(
        told,
        json!([
            true,
            [200, "a/b", null, "hello blob"],
            "TypeError",
            [206, "a/b", "bytes 2-4/10", "llo"],
            [206, "a/b", "bytes 6-9/10", "blob"],
            [206, "a/b", "bytes 6-9/10", "blob"],
            "TypeError",
            "TypeError",
            "TypeError",
            "TypeError",
            "TypeError",
        ])
    );
}

#[test]
fn an_event_source_hears_events_and_connects_again_where_it_was() {
    let upstream = Upstream::new(|asked| {
        asked.close();
        let last = asked.field("last-event-id").to_owned();
        assert_eq!((asked.field("accept"), asked.field("cache-control")), ("text/event-stream", "no-cache"));
        if asked.path() == "/wrong" {
            return asked.reply("200 OK", &["content-type: text/plain"], "data: x\n\n");
        }
        if asked.path() == "/gone" {
            return asked.reply("204 No Content", &[], "");
        }
        asked.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n");
        if last.is_empty() {
            // Lines end in three ways, and pieces anywhere.
            for piece in [
                "\u{feff}: hi\nretry: 10\ndata: a",
                "\r\ndata:b\r\r",
                "\nid: 7\u{e4}\nevent: own\ndata",
                "\n\ndata: lost\n",
            ] {
                asked.write(piece);
                std::thread::sleep(Duration::from_millis(5));
            }
        } else {
            asked.write(format!("data: after {last}\n\n"));
            asked.await_close();
        }
    });
    let (_folder, nexus) = serve(
        &upstream,
        "async (request) => {
            const { pathname } = new URL(request.url);
            const events = new EventSource(U + pathname);
            const told = [events.readyState, events.url === U + pathname, events.withCredentials];
            return new Promise((resolve) => {
                const note = (e) => {
                    told.push([e.type, e.data ?? null, e.lastEventId ?? null, e.origin === U, events.readyState]);
                    if (e.data?.startsWith('after') || events.readyState === EventSource.CLOSED) { events.close(); resolve([...told, events.readyState]); }
                };
                events.onopen = events.onmessage = events.onerror = note;
                events.addEventListener('own', note);
            });
        }",
    );
    assert_eq!(
        nexus.client("app").get("/").json(),
        json!([
            0,
            true,
            false,
            ["open", null, null, false, 1],
            ["message", "a\nb", "", true, 1],
            ["own", "", "7\u{e4}", true, 1],
            ["error", null, null, false, 0],
            ["open", null, null, false, 1],
            ["message", "after 7\u{e4}", "7\u{e4}", true, 1],
            2,
        ])
    );
    for path in ["/wrong", "/gone"] {
        assert_eq!(
            nexus.client("app").get(path).json(),
            json!([0, true, false, ["error", null, null, false, 2], 2]),
            "{path}"
        );
    }
    until("nothing is left", || (upstream.open() == 0).then_some(()));
}

#[test]
fn an_event_source_that_is_not_granted_fails_for_good() {
    let upstream = Upstream::new(echo);
    let told = result(
        &upstream,
        "() => new Promise((resolve) => {
            const events = new EventSource('http://127.0.0.1:1/');
            events.onerror = () => resolve([events.readyState]);
        })",
    );
    assert_eq!(told, json!([2]));
}
