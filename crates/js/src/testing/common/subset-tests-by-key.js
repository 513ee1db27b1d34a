// Stands in for /common/subset-tests-by-key.js of the web platform tests: a variant `?include=KEYS` or `?exclude=KEYS`
// runs the tests whose keys match this regular expression, or the others.
(function () {
  const chosen = /[?&](include|exclude)=([^&]*)/.exec(location.search);
  const keys = chosen === null ? null : new RegExp(`^${chosen[2]}$`);
  self.shouldRunSubTest = (key) => keys === null || !key || keys.test(key) === (chosen[1] === "include");
  self.subsetTestByKey = (key, make, ...args) => (self.shouldRunSubTest(key) ? make(...args) : null);
})();
