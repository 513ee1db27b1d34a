importScripts("/resources/testharness.js", "resources/beside.js");
test(() => assert_equals(fromBeside, "beside"), "importScripts runs scripts");
done();
test(() => {}, "not too late: nothing has completed yet");
