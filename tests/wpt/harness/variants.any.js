// META: script=/common/subset-tests.js
// META: variant=?1-1
// META: variant=?2-last
for (const number of [1, 2, 3]) {
  subsetTest(test, () => assert_equals(location.search, number === 1 ? "?1-1" : "?2-last"), `number ${number}`);
}
