// Stands in for /common/utils.js of the web platform tests.
/** A name that no other test has. */
function token() {
  const digits = () => Math.floor(Math.random() * 0x10000).toString(16).padStart(4, "0");
  return [digits() + digits(), digits(), digits(), digits(), digits() + digits() + digits()].join("-");
}
