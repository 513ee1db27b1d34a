// META: title=The title
// The kinds of tests, their order, names, steps and cleanups.
const order = [];
const firstPromise = [];

test(() => order.push("one") && undefined, "a test runs at once");
test(() => assert_array_equals(order, ["one"]), "after those before it");

promise_test(async () => {
  firstPromise.push("begins");
  await new Promise((resolve) => setTimeout(resolve, 5));
  firstPromise.push("ends");
}, "a promise test");
promise_test(async () => assert_array_equals(firstPromise, ["begins", "ends"]), "runs when the one before is done");
promise_test(() => Promise.reject(new Error("no")), "fails: a promise test that is rejected");
promise_test(() => {}, "fails: a promise test that gives no promise");
promise_test(() => {
  throw new Error("no");
}, "fails: a promise test that throws");

async_test((t) => {
  setTimeout(t.step_func_done((value) => assert_equals(value, 7)), 1, 7);
}, "step_func_done ends an asynchronous test");
async_test((t) => {
  setTimeout(t.step_func(() => assert_true(false)), 1);
}, "fails: a step that throws ends an asynchronous test");
async_test((t) => t.unreached_func("no")(), "fails: unreached_func");
const outside = async_test("a test without a function");
outside.step(function (value) {
  assert_equals(this, outside);
  assert_equals(value, undefined);
});
outside.step_timeout(function (a, b) {
  assert_array_equals([a, b], [1, 2]);
  this.done();
}, 1, 1, 2);
promise_test(async (t) => {
  let calls = 0;
  await t.step_wait(() => ++calls === 3, "three times", 1000, 1);
  assert_equals(calls, 3);
}, "step_wait asks until it holds");
promise_test((t) => t.step_wait(() => false, "never", 5, 1), "fails: step_wait that never holds");
async_test((t) => t.step_wait_func_done(() => Promise.resolve(true)), "step_wait_func_done takes promises");
async_test((t) => {
  t.force_timeout();
  t.step(() => assert_unreached());
}, "times out: force_timeout");

const cleaned = [];
test((t) => {
  t.add_cleanup(() => cleaned.push("first") && undefined);
  t.add_cleanup(() => cleaned.push("second") && undefined);
  assert_array_equals(cleaned, []);
  throw new Error("no");
}, "fails: a test with cleanups");
test(() => assert_array_equals(cleaned, ["first", "second"]), "cleanups run in order, however the test ended");
let slow = false;
promise_test(async (t) => {
  t.add_cleanup(() => new Promise((resolve) => setTimeout(resolve, 5)).then(() => (slow = true)));
}, "a cleanup may take its time");
promise_test(async () => assert_true(slow), "and the next promise test waits for it");
let signal;
test((t) => {
  signal = t.get_signal();
  assert_false(signal.aborted);
}, "get_signal");
test(() => assert_true(signal.aborted), "aborts when the test is over");

test(() => assert_true(true));
test(() => assert_true(true));
test(function () {
  assert_true(true);
});
test(function () {
  assert_true(true);
});
generate_tests(assert_equals, [["generated 1", 1, 1], ["fails: generated 2", 1, 2]]);

add_completion_callback((tests, status) => {
  const names = tests.map((test) => test.name);
  for (const name of ["assert_true(true)", "assert_true(true) 1", "The title", "The title 1"]) {
    if (!names.includes(name)) throw new Error(`no test is called ${name}: ${names}`);
  }
  if (status.status !== status.OK) throw new Error("not OK");
});
