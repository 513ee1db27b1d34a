// Forms as bodies: multipart/form-data and application/x-www-form-urlencoded, in and out.
// https://fetch.spec.whatwg.org/#dom-body-formdata
import { run, promise_test, assert_equals, assert_true, assert_array_equals, promise_rejects_js } from "./harness.js";

const TYPE = "multipart/form-data; boundary=boundary";
const parse = (body, type = TYPE, init = {}) =>
  new Response(body, { ...init, headers: type === null ? {} : { "content-type": type } }).formData();
const lines = (...all) => all.join("\r\n");
const field = (...head) => lines("--boundary", ...head, "", "value", "--boundary--", "");
const named = (parameters) => field(`Content-Disposition: form-data; ${parameters}`);

async function show(form) {
  const all = [];
  for (const [name, value] of form) {
    if (typeof value === "string") all.push([name, value]);
    else all.push([name, value.name, value.type, value.lastModified, await value.text()]);
  }
  return JSON.stringify(all);
}

promise_test(async () => {
  const cases = [
    [named('name="a"'), [["a", "value"]]],
    [named('name=""'), [["", "value"]]],
    [named("name=a"), [["a", "value"]]],
    [named('filename="f"; name="a"'), [["a", "f", "text/plain", 0, "value"]]],
    [named('name="a"; filename=""'), [["a", "", "text/plain", 0, "value"]]],
    [named('name="é;\u0001=b"; filename="😀"'), [["é;\u0001=b", "😀", "text/plain", 0, "value"]]],
    [named('name="a%0D%0A%22b\\"'), [["a%0D%0A%22b\\", "value"]]],
    [field('CONTENT-type : \tText/HTML;x="y z" ', ' content-DISPOSITION: Form-Data; NAME="a"; filename="f"'),
      [["a", "f", 'text/html;x="y z"', 0, "value"]]],
    [field('Content-Disposition: form-data; name="a"; filename="f"', "Content-Type: none"),
      [["a", "f", "", 0, "value"]]],
    [field('Content-Disposition: form-data; name="a"', "Content-Type: x/y", "X-Other: z"), [["a", "value"]]],
    [lines("--boundary \t", 'Content-Disposition: form-data; name="a"', "", "1\r\n--bound\r\n-- x--boundary",
      "--boundary-- ", "more"), [["a", "1\r\n--bound\r\n-- x--boundary"]]],
    [lines("--boundary", 'Content-Disposition: form-data; name="a"', "", "", "--boundary--"), [["a", ""]]],
    ["--boundary--", []],
  ];
  for (const [body, expected] of cases) assert_equals(await show(await parse(body)), JSON.stringify(expected), body);
}, "multipart/form-data is parsed");

promise_test(async () => {
  const cases = [
    "", "--boundary", "--boundary--x", "x\r\n--boundary--", "--boundary\r\n\r\nvalue\r\n--boundary--",
    field("X: y"), field("Content-Disposition form-data"), field('Content-Disposition: attachment; name="a"'),
    named('name="a'), named('name="a"b'), named('name="a\nb"'), named('name="a\rb"'), named('name="a\0b"'),
    named('filename="a"'),
    field('Content-Disposition: form-data; name="a"', "X: a\0"), field("Content-Disposition: form-data;", ' name="a"'),
    field('Content-Disposition: form-data; name="a"', "X y: z"), named('name="a"').replace("\r\n--boundary--", ""),
    lines("--boundary", 'Content-Disposition: form-data; name="a"', "", "value--boundary--"),
    named('name="a"').replaceAll("\r", ""),
    lines("--boundary", 'Content-Disposition: form-data; name="a"', "", "1", "--boundaryX", "", "--boundary--"),
  ];
  for (const body of cases) await promise_rejects_js(TypeError, parse(body), JSON.stringify(body));
  const types = [
    null, "", "multipart/form-data", 'multipart/form-data; boundary=""', "text/plain", "multipart/mixed; boundary=boundary",
  ];
  for (const type of types) {
    await promise_rejects_js(TypeError, parse(named('name="a"'), type), type);
  }
  await promise_rejects_js(TypeError, new Response(null, { headers: { "content-type": TYPE } }).formData());
}, "what is no multipart/form-data is refused");

promise_test(async () => {
  const form = await parse("a=1&b=%C3%A4+%22&a=&=x&c", "Application/X-WWW-Form-URLencoded; charset=x");
  assert_equals(await show(form), JSON.stringify([["a", "1"], ["b", 'ä "'], ["a", ""], ["", "x"], ["c", ""]]));
  assert_equals(await show(await new Response(new URLSearchParams([["?q", "&="]])).formData()), '[["?q","&="]]');
  assert_equals([...(await parse("", "application/x-www-form-urlencoded"))].length, 0);
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const request = new Request("http://a/", { method: "POST", headers });
  assert_equals([...(await request.formData())].length, 0);
}, "a URL-encoded form is parsed");

promise_test(async () => {
  const form = new FormData();
  form.append('a\n"b', "x\ny\rz\r\n");
  form.append("é", new File(["contents"], 'f\r"', { type: "t/x" }));
  form.append("c", new Blob([]));
  const response = new Response(form);
  form.append("later", "");
  const type = response.headers.get("content-type");
  const boundary = type.slice("multipart/form-data; boundary=".length);
  assert_true(/^multipart\/form-data; boundary=[0-9A-Za-z-]{27,70}$/.test(type), type);
  assert_true(new Response(form).headers.get("content-type") !== type);
  assert_equals(await response.text(), lines(
    `--${boundary}`, 'Content-Disposition: form-data; name="a%0D%0A%22b"', "", "x\r\ny\r\nz\r\n",
    `--${boundary}`, 'Content-Disposition: form-data; name="é"; filename="f%0D%22"', "Content-Type: t/x", "",
    "contents",
    `--${boundary}`, 'Content-Disposition: form-data; name="c"; filename="blob"',
    "Content-Type: application/octet-stream", "", "",
    `--${boundary}--`, "",
  ));
}, "a form is serialised as it is when it becomes a body");

promise_test(async () => {
  const form = await parse(named('name="a"').replace("value", "\ufeffb"));
  assert_equals(form.get("a"), "\ufeffb");
  const bytes = new TextEncoder().encode(named('name="a"; filename="f"').replace("value", "\u0001\u0001\u0001\u0001"));
  const at = bytes.indexOf(1);
  bytes.set([0, 0xff, 13, 10], at);
  assert_array_equals([...(await (await parse(bytes)).get("a").bytes())], [0, 0xff, 13, 10]);
  bytes.fill(0);
}, "a text keeps its byte order mark, and a file all of its bytes");

// Random numbers that are the same each time.
function generator(seed) {
  return (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
}

promise_test(async () => {
  const random = generator(7);
  const PIECES = ["\r", "\n", "\r\n", "-", "--", "--b", "\r\n--", "\r\n--b", "a", "", "é", "\0", "boundary", " ", "😀"];
  const piece = () => PIECES[random(PIECES.length)];
  const text = (most) => Array.from({ length: random(most) }, piece).join("");
  for (let round = 0; round < 150; round++) {
    const form = new FormData();
    for (let i = random(6); i > 0; i--) {
      const name = text(4).replaceAll("\0", "");
      const bytes = new Uint8Array(random(300)).map(() => 10 + random(4));
      if (random(2) === 0) form.append(name, text(40));
      else form.append(name, new File([text(40), bytes], text(3).replaceAll("\0", "")));
    }
    const response = new Response(form);
    const type = response.headers.get("content-type");
    const bytes = await response.bytes();
    // The same bytes in chunks of any size.
    let at = 0;
    const stream = new ReadableStream({
      pull(controller) {
        if (at >= bytes.length) controller.close();
        else controller.enqueue(bytes.slice(at, (at += random(60))));
      },
    });
    const parsed = await parse(stream, type);
    const normal = (string) => string.replace(/\r\n|\r|\n/g, "\r\n");
    const escaped = (string) => string.replaceAll("\r", "%0D").replaceAll("\n", "%0A");
    const before = [...form];
    const after = [...parsed];
    assert_equals(after.length, before.length, `round ${round}`);
    for (let i = 0; i < after.length; i++) {
      assert_equals(after[i][0], escaped(normal(before[i][0])));
      const value = before[i][1];
      if (typeof value === "string") {
        assert_equals(after[i][1], normal(value));
      } else {
        assert_equals(after[i][1].name, escaped(value.name));
        assert_array_equals(await after[i][1].bytes(), await value.bytes());
      }
    }
    // Whatever is broken in them, it is a form or a TypeError.
    for (let i = 0; i < 8; i++) {
      const broken = bytes.slice(0, random(3) === 0 ? random(bytes.length) : bytes.length);
      for (let k = 1 + random(3); k > 0 && broken.length > 0; k--) {
        broken[random(broken.length)] = [13, 10, 45, 34, 59, 0, 255][random(7)];
      }
      try {
        assert_true((await parse(broken, type)) instanceof FormData);
      } catch (error) {
        assert_equals(error.constructor, TypeError, `${error.stack}`);
      }
    }
  }
}, "any form comes back as it went, and broken ones break nothing");

promise_test(async () => {
  const large = new Uint8Array(3_000_000).map((_, i) => (i % 5 === 0 ? 13 : i % 7 === 0 ? 45 : i));
  const form = new FormData();
  form.append("a", "x".repeat(1_000_000));
  form.append("f", new File([large], "large"));
  const parsed = await new Response(form).formData();
  assert_equals(parsed.get("a").length, 1_000_000);
  const bytes = await parsed.get("f").bytes();
  assert_equals(bytes.length, large.length);
  assert_true(bytes.every((byte, i) => byte === large[i]));
}, "large forms are not cut off");

export default run;
