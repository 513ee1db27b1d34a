// A default export whose fetch is a getter that loops.
//
// Tries: to compute when the host looks for the handler.
// Must: not be served for its startup limit, or be stopped at its CPU limit.
//
// @status 503
// @limit cpu, startup
// @refused startup
// @dead

export default { get fetch() { for (;;); } };
