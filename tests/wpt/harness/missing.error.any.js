// META: script=resources/gone.js
test(() => {}, "never seen");
