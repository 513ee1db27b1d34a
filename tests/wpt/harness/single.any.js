// META: title=the file is one test
setup({ single_test: true });
assert_true(true);
setTimeout(() => {
  assert_true(true);
  done();
}, 1);
