importScripts("/resources/testharness.js");
importScripts("/resources/gone.js");
test(() => {}, "not run");
done();
