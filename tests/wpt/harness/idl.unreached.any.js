// META: script=/resources/WebIDLParser.js
// META: script=/resources/idlharness.js
idl_test([], [], () => {});
