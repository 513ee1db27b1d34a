// DOMException and QuotaExceededError. https://webidl.spec.whatwg.org/#idl-DOMException
//
// Instances are genuine errors (with a stack, and `Error.isError`), yet the interface inherits from nothing:
// the constructor makes an Error for the derived prototype and stamps the private fields onto it.
(function (nexus) {
  "use strict";
  const { construct, setPrototypeOf, Error: NativeError } = nexus.builtins;
  const { domString, dictionary, finishInterface, constants } = nexus.webidl;

  // Index + 1 is the legacy code; names that never had one of their own are left out.
  const NAMES = [
    "IndexSizeError", , "HierarchyRequestError", "WrongDocumentError", "InvalidCharacterError", ,
    "NoModificationAllowedError", "NotFoundError", "NotSupportedError", "InUseAttributeError", "InvalidStateError",
    "SyntaxError", "InvalidModificationError", "NamespaceError", "InvalidAccessError", , "TypeMismatchError",
    "SecurityError", "NetworkError", "AbortError", "URLMismatchError", "QuotaExceededError", "TimeoutError",
    "InvalidNodeTypeError", "DataCloneError",
  ];
  const CONSTANTS = [
    "INDEX_SIZE", "DOMSTRING_SIZE", "HIERARCHY_REQUEST", "WRONG_DOCUMENT", "INVALID_CHARACTER", "NO_DATA_ALLOWED",
    "NO_MODIFICATION_ALLOWED", "NOT_FOUND", "NOT_SUPPORTED", "INUSE_ATTRIBUTE", "INVALID_STATE", "SYNTAX",
    "INVALID_MODIFICATION", "NAMESPACE", "INVALID_ACCESS", "VALIDATION", "TYPE_MISMATCH", "SECURITY", "NETWORK",
    "ABORT", "URL_MISMATCH", "QUOTA_EXCEEDED", "TIMEOUT", "INVALID_NODE_TYPE", "DATA_CLONE",
  ];
  const codes = { __proto__: null };
  for (let i = 0; i < NAMES.length; i++) if (NAMES[i] !== undefined) codes[NAMES[i]] = i + 1;

  let stamp, nameOf, messageOf;
  class Stamp extends (function (object) { return object; }) {
    #name;
    #message;
    static {
      stamp = (object, name, message) => {
        const stamped = new Stamp(object);
        stamped.#name = name;
        stamped.#message = message;
        return stamped;
      };
      nexus.isDOMException = (object) => #name in object;
      nameOf = (object) => object.#name;
      messageOf = (object) => object.#message;
    }
  }

  class DOMException {
    constructor(message = "", name = "Error") {
      message = domString(message);
      name = domString(name);
      // V8 takes the stack's head line from the error's own message, which an interface's attribute then replaces.
      const error = construct(NativeError, [message], new.target);
      delete error.message;
      return stamp(error, name, message);
    }
    get name() {
      return nameOf(this);
    }
    get message() {
      return messageOf(this);
    }
    get code() {
      return codes[nameOf(this)] ?? 0;
    }
  }
  setPrototypeOf(DOMException.prototype, NativeError.prototype);
  const values = {};
  for (let i = 0; i < CONSTANTS.length; i++) values[`${CONSTANTS[i]}_ERR`] = i + 1;
  constants(DOMException, values);
  nexus.DOMException = finishInterface(DOMException);

  const double = (value, what) => {
    const number = +value;
    if (number - number !== 0) throw new TypeError(`QuotaExceededError: ${what} is not a finite number`);
    return number;
  };
  const notNegative = (number, what) => {
    if (number < 0) throw new RangeError(`QuotaExceededError: ${what} is negative`);
    return number;
  };
  class QuotaExceededError extends DOMException {
    #quota = null;
    #requested = null;
    static {
      /** For structured_clone.js. */
      nexus.cloneDOMException = (value) => {
        const message = messageOf(value);
        if (!(#quota in value)) return new DOMException(message, nameOf(value));
        const copy = new QuotaExceededError(message);
        copy.#quota = value.#quota;
        copy.#requested = value.#requested;
        return copy;
      };
    }
    constructor(message = "", options = undefined) {
      message = domString(message);
      const given = dictionary(options, "QuotaExceededError");
      // Both are converted before either is looked at.
      let { quota } = given;
      if (quota !== undefined) quota = double(quota, "quota");
      let { requested } = given;
      if (requested !== undefined) requested = double(requested, "requested");
      super(message, "QuotaExceededError");
      if (quota !== undefined) this.#quota = notNegative(quota, "quota");
      if (requested !== undefined) this.#requested = notNegative(requested, "requested");
      if (quota !== undefined && requested !== undefined && requested < quota) {
        throw new RangeError("QuotaExceededError: less was requested than the quota is");
      }
    }
    get quota() {
      return this.#quota;
    }
    get requested() {
      return this.#requested;
    }
  }
  finishInterface(QuotaExceededError);
  nexus.QuotaExceededError = QuotaExceededError;
})
