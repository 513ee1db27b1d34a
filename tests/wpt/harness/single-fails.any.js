// META: title=fails: the file is one test
setup({ single_test: true });
setTimeout(() => {
  assert_true(false);
  done();
}, 1);
