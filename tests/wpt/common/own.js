// A script that tests ask for by `META: script=/common/own.js`.
var fromCommon = "common";
