// META: script=/common/utils.js
// META: script=resources/template.sub.js
// What the tests' server answers: files, and the handlers of fetch/api/resources.

const RESOURCES = "/fetch/api/resources/";
const handler = (name, query = "") => fetch(`${RESOURCES}${name}.py?${query}`);
const origin = "http://web-platform.test:8000";

promise_test(async () => {
  const response = await fetch("resources/data.json");
  assert_equals(response.url, `${origin}/harness/resources/data.json`);
  assert_equals(response.headers.get("content-type"), "application/json");
  assert_equals((await response.json()).text, "ä");
  assert_equals(new Request("../x").url, `${origin}/x`);
}, "relative URLs are the file's");
promise_test(async () => {
  const response = await fetch("resources/fields.txt");
  assert_equals(response.headers.get("x-a"), "1, 2");
  assert_equals(response.headers.get("content-type"), "text/x-own");
  assert_equals(await response.text(), "fields\n");
}, "a file has the fields of its .headers file");
promise_test(async () => {
  const text = await (await fetch("resources/template.sub.js")).text();
  assert_true(text.includes("web-platform.test"), text);
}, "templates are filled in");
promise_test(async () => {
  const response = await fetch("resources/fields.txt?pipe=header(x-a,b)|status(418)|slice(1,3)");
  assert_array_equals([response.status, response.headers.get("x-a"), await response.text()], [418, "b", "ie"]);
}, "pipes");
promise_test(async () => {
  const response = await fetch("resources/raw.asis");
  assert_array_equals([response.status, response.statusText, await response.text()], [299, "As it is", "body\n"]);
}, "an .asis file is sent as it is");
promise_test(async () => assert_equals((await fetch("resources/data.json", { method: "POST" })).status, 405), "files take GET");
promise_test(async () => {
  for (const path of ["/../wpt.rs", "/%2e%2e/%2e%2e/Cargo.toml", "/harness/%2e%2e%2f%2e%2e%2f%2e%2e%2fCargo.toml", "/harness"]) {
    assert_equals((await fetch(path)).status, 404, path);
  }
}, "no path leads out of the checkout");
promise_test(async () => assert_true((await fetch("gone.txt")).ok), "out of reach: a file that is not there");
promise_test(async () => assert_true((await handler("gone")).ok), "out of reach: a handler that is not there");
promise_test(async () => {
  const response = await fetch("resources/fields.txt?pipe=gzip");
  assert_true(response.ok);
}, "out of reach: a pipe that is not there");

promise_test(async () => {
  const init = { method: "PUT", headers: { "content-language": "en" }, body: "text" };
  const response = await fetch(`${RESOURCES}method.py`, init);
  assert_equals(response.headers.get("x-request-method"), "PUT");
  assert_equals(response.headers.get("x-request-content-type"), "text/plain;charset=UTF-8");
  assert_equals(response.headers.get("x-request-content-language"), "en");
  assert_equals(response.headers.get("x-request-content-encoding"), "NO");
  assert_equals(await response.text(), "text");
}, "method.py tells the method, and what the body is");
promise_test(async () => {
  const body = new Blob(["a stream"]).stream();
  const response = await fetch(`${RESOURCES}echo-content.py`, { method: "POST", body, duplex: "half" });
  assert_equals(response.headers.get("x-request-content-length"), "NO");
  assert_equals(await response.text(), "a stream");
}, "echo-content.py gives a body that came in chunks");
promise_test(async () => {
  const response = await fetch(`${RESOURCES}inspect-headers.py?headers=X-A|x-b`, { headers: { "x-a": "1" } });
  assert_array_equals(["a", "b"].map((name) => response.headers.get(`x-request-x-${name}`)), ["1", null]);
}, "inspect-headers.py tells the fields that it is asked for");
promise_test(async () => {
  const response = await handler("status", "code=299&text=Hm&content=body&type=text/x");
  const { status, statusText, headers } = response;
  assert_array_equals([status, statusText, headers.get("content-type")], [299, "Hm", "text/x"]);
  assert_equals(await response.text(), "body");
}, "status.py");

promise_test(async () => {
  const response = await handler("redirect", "redirect_status=307&location=method.py%3Fx");
  assert_true(response.redirected);
  assert_equals(response.url, `${origin}${RESOURCES}method.py?x&redirect_status=307&location=method.py%3Fx&count=1`);
}, "redirect.py leads on, with the query that it had");
promise_test(async (t) => {
  const key = token();
  const circle = (most) => handler("redirect", `token=${key}&max_count=${most}&location=redirect.py`);
  assert_equals(await (await circle(3)).text(), "3");
  assert_equals(await (await handler("clean-stash", `token=${key}`)).text(), "1");
  await promise_rejects_js(t, TypeError, handler("redirect-empty-location"));
  await promise_rejects_js(t, TypeError, circle(21));
}, "redirect.py counts");
promise_test(async () => {
  for (const origin of ["http://www1.web-platform.test:8001", "https://web-platform.test:8443"]) {
    const response = await fetch(`${RESOURCES}redirect.py?simple&location=${origin}/harness/resources/data.json`);
    assert_equals(response.url, `${origin}/harness/resources/data.json`);
  }
}, "the server has several names and ports");

promise_test(async () => {
  const key = token();
  const take = async () => (await handler("stash-take", `key=${key}`)).json();
  assert_equals(await take(), null);
  await handler("stash-put", `key=${key}&value=a%20b`);
  assert_equals(await take(), "a b");
  assert_equals(await take(), null);
}, "the stash gives a value once");
promise_test(async () => {
  const statuses = [];
  for (let i = 0; i < 1001; i++) statuses.push((await handler("stash-put", `key=full-${i}&value=x`)).status);
  assert_equals(statuses.at(-1), 500);
  for (let i = 0; i < 1001; i++) await handler("stash-take", `key=full-${i}`);
}, "the stash has room for so many values");

promise_test(async () => {
  const response = await handler("trickle", "ms=10&count=4");
  const reader = response.body.getReader();
  const first = await reader.read();
  assert_equals(new TextDecoder().decode(first.value).slice(0, 13), "TEST_TRICKLE\n");
  let length = first.value.length;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
  }
  assert_equals(length, 52);
}, "trickle.py gives its body piece by piece");
promise_test(async (t) => {
  const response = await handler("bad-chunk-encoding", "ms=0&count=1");
  await promise_rejects_js(t, TypeError, response.text());
  const reader = (await handler("bad-chunk-encoding", "ms=0&count=1")).body.getReader();
  assert_equals((await reader.read()).value.length, 10);
  await promise_rejects_js(t, TypeError, reader.closed);
}, "bad-chunk-encoding.py breaks off");
promise_test(async (t) => {
  await promise_rejects_js(t, TypeError, (await handler("bad-gzip-body")).text());
}, "bad-gzip-body.py");
promise_test(async () => {
  const message = encodeURIComponent("HTTP/1.1 200 OK\nx: a\n b\nContent-Length: 2\n\nok");
  const response = await fetch(`/fetch/h1-parsing/resources/message.py?message=${message}`);
  assert_regexp_match(response.headers.get("x"), /^a +b$/);
  assert_equals(await response.text(), "ok");
  const length = await fetch("/fetch/content-length/resources/content-length.py?length=Content-Length:%2030");
  assert_equals((await length.text()).length, 30);
}, "message.py and content-length.py send what they are told");
promise_test(async (t) => {
  const key = token();
  const state = async () => (await handler("stash-take", `key=${key}`)).json();
  const controller = new AbortController();
  const url = `${RESOURCES}infinite-slow-response.py?stateKey=${key}`;
  const response = await fetch(url, { signal: controller.signal });
  assert_equals(await state(), "open");
  const text = response.text();
  controller.abort();
  await promise_rejects_dom(t, "AbortError", text);
  let last;
  while ((last = await state()) === null) await new Promise((resolve) => t.step_timeout(resolve, 20));
  assert_equals(last, "closed");
}, "a request that is aborted is gone at the server, too");
promise_test(async () => {
  const key = token();
  const response = await handler("infinite-slow-response", `abortKey=${key}`);
  await handler("stash-put", `key=${key}&value=close`);
  assert_true((await response.text()).startsWith("..."));
}, "a response without end ends when it is told to");

promise_test(async () => {
  const authorization = `Basic ${btoa("user:password")}`;
  const statuses = [undefined, { authorization }].map(async (headers) => {
    return (await fetch(`${RESOURCES}authentication.py`, { headers })).status;
  });
  assert_array_equals(await Promise.all(statuses), [401, 200]);
  const dump = await fetch(`${RESOURCES}dump-authorization-header.py`, { headers: { authorization } });
  assert_equals(await dump.text(), authorization);
}, "authentication.py and dump-authorization-header.py");
promise_test(async () => {
  const response = await handler("cache");
  const headers = { "if-none-match": response.headers.get("etag") };
  assert_equals((await fetch(`${RESOURCES}cache.py`, { headers })).status, 304);
}, "cache.py");
promise_test(async () => {
  const events = [];
  const source = new EventSource("/eventsource/resources/message.py?message=event%3Aa%0Aid%3A7%0Adata%3Ab");
  await new Promise((resolve) => source.addEventListener("a", (event) => resolve(events.push(event))));
  source.close();
  assert_array_equals([events[0].data, events[0].lastEventId, events[0].origin], ["b", "7", origin]);
}, "message.py sends events");

async_test((t) => {
  const source = new EventSource("/eventsource/resources/gone.py");
  source.onmessage = t.unreached_func("no event");
  t.add_cleanup(() => source.close());
  t.step_timeout(() => t.timeout(), 500);
}, "out of reach: events of a handler that is not there");

for (const url of [
  "http://127.0.0.1/", "http://localhost:8000/", "http://[::1]:8000/", "http://web-platform.test:80/", "http://example.com/",
  "https://web-platform.test:8000/",
]) {
  promise_test((t) => promise_rejects_js(t, TypeError, fetch(url)), `${url} is not reached`);
}
promise_test(async () => {
  await fetch("http://example.com/");
}, "out of reach: another server");
promise_test(async (t) => {
  const controller = new AbortController();
  controller.abort();
  await promise_rejects_dom(t, "AbortError", fetch("resources/data.json", { signal: controller.signal }));
}, "what is aborted before is not sent");
