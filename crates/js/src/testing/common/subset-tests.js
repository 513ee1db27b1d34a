// Stands in for /common/subset-tests.js of the web platform tests: a variant `?A-B` (or `?A-last`) runs the tests
// whose numbers, from 1, are between these.
(function () {
  const range = /[?&](\d+)-(\d+|last)(?=&|$)/.exec(location.search);
  const first = range === null ? 0 : Number(range[1]);
  const last = range === null || range[2] === "last" ? Infinity : Number(range[2]);
  let number = 0;
  self.shouldRunSubTest = (index) => index >= first && index <= last;
  self.subsetTest = (make, ...args) => (self.shouldRunSubTest(++number) ? make(...args) : null);
})();
