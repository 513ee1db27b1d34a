// An app that holds its guest to `list.json`, and answers with what is not as it should be.
import list from "./list.json" with { type: "json" };

const ECMASCRIPT = `Object Function Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol Date Promise
  RegExp Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError SuppressedError globalThis JSON
  Math Intl Temporal ArrayBuffer Atomics Uint8Array Int8Array Uint16Array Int16Array Uint32Array Int32Array BigUint64Array
  BigInt64Array Uint8ClampedArray Float16Array Float32Array Float64Array DataView Map BigInt Set Iterator WeakMap WeakSet WeakRef
  FinalizationRegistry DisposableStack AsyncDisposableStack Proxy Reflect decodeURI decodeURIComponent encodeURI
  encodeURIComponent escape unescape eval isFinite isNaN`.split(/\s+/);

const problems = [];
const check = (condition, what) => {
  if (!condition) problems.push(what);
};
const has = (object, key, wanted, what) => {
  const descriptor = Object.getOwnPropertyDescriptor(object, key);
  if (descriptor === undefined) {
    problems.push(`${what}: is missing`);
    return undefined;
  }
  for (const [attribute, value] of Object.entries(wanted)) {
    check(descriptor[attribute] === value, `${what}: ${attribute} is ${String(descriptor[attribute])}, not ${value}`);
  }
  return descriptor;
};
const HIDDEN = { writable: true, enumerable: false, configurable: true };
const SHOWN = { writable: true, enumerable: true, configurable: true };
const FIXED = { writable: false, enumerable: false, configurable: true };

const isFunction = (value, name, length, what) => {
  if (typeof value !== "function") {
    problems.push(`${what}: is no function`);
    return;
  }
  has(value, "name", { ...FIXED, value: name }, `${what}.name`);
  has(value, "length", { ...FIXED, value: length }, `${what}.length`);
};
const throws = (run, what) => {
  try {
    run();
  } catch (error) {
    check(error instanceof TypeError, `${what}: throws ${String(error)}`);
    return;
  }
  problems.push(`${what}: does not throw`);
};
const pending = [];
const rejects = (run, what) => {
  try {
    pending.push(run().then(
      () => problems.push(`${what}: does not reject`),
      (error) => check(error instanceof TypeError, `${what}: rejects with ${String(error)}`),
    ));
  } catch (error) {
    problems.push(`${what}: throws ${String(error)}, where it should reject`);
  }
};

const checkMember = (holder, member, what, { branded }) => {
  const { name, kind } = member;
  if (name.startsWith("[")) {
    const symbol = Symbol[name.slice("[Symbol.".length, -1)];
    const descriptor = has(holder, symbol, HIDDEN, `${what}${name}`);
    const twin = name === "[Symbol.iterator]" ? "entries" : "values";
    if (descriptor !== undefined) check(descriptor.value === holder[twin], `${what}${name}: is not ${twin}`);
    return symbol;
  }
  const at = `${what}.${name}`;
  if (kind === "constant") {
    has(holder, name, { writable: false, enumerable: true, configurable: false, value: member.value }, at);
  } else if (kind === "method") {
    const descriptor = has(holder, name, SHOWN, at);
    if (descriptor === undefined) return name;
    isFunction(descriptor.value, name, member.length, at);
    throws(() => Reflect.construct(Object, [], descriptor.value), `${at}: as a constructor`);
    if (branded) (member.promise ? rejects : throws)(() => descriptor.value.call({}), `${at} on another object`);
  } else if (!member.own) {
    const descriptor = has(holder, name, { enumerable: true, configurable: true }, at);
    if (descriptor === undefined) return name;
    isFunction(descriptor.get, `get ${name}`, 0, `${at}: getter`);
    if (member.readonly) check(descriptor.set === undefined, `${at}: has a setter`);
    else isFunction(descriptor.set, `set ${name}`, 1, `${at}: setter`);
    if (branded && descriptor.get) (member.promise ? rejects : throws)(() => descriptor.get.call({}), `${at} of another object`);
  }
  return member.own ? undefined : name;
};

const nothingElse = (object, known, what) => {
  for (const key of Reflect.ownKeys(object)) check(known.has(key), `${what}: has ${String(key)}, which is not in the list`);
};
const find = (name) => name.split(".").reduce((object, key) => object?.[key], globalThis);

const checkers = {
  interface({ name, parent, length, members, statics }) {
    const [short, space] = name.split(".").reverse();
    const Class = has(space ? globalThis[space] : globalThis, short, HIDDEN, name)?.value;
    if (typeof Class !== "function") return;
    isFunction(Class, short, length ?? 0, name);
    const Parent = parent === null ? null : find(parent);
    check(Object.getPrototypeOf(Class) === (Parent && parent !== "Error" ? Parent : Function.prototype), `${name}: its parent`);
    const prototype = has(Class, "prototype", { writable: false, enumerable: false, configurable: false }, `${name}.prototype`).value;
    check(Object.getPrototypeOf(prototype) === (Parent ?? Object).prototype, `${name}.prototype: its parent`);
    has(prototype, "constructor", { ...HIDDEN, value: Class }, `${name}.prototype.constructor`);
    has(prototype, Symbol.toStringTag, { ...FIXED, value: name }, `${name}.prototype[Symbol.toStringTag]`);
    throws(() => Class(), `${name}() without new`);
    if (length === null) throws(() => new Class(), `new ${name}()`);
    if (length > 0) throws(() => new Class(), `new ${name}() without arguments`);
    const known = new Set(["constructor", Symbol.toStringTag]);
    for (const member of members) known.add(checkMember(prototype, member, `${name}.prototype`, { branded: true }));
    nothingElse(prototype, known, `${name}.prototype`);
    const own = new Set(["length", "name", "prototype"]);
    for (const member of statics) own.add(checkMember(Class, member, name, { branded: false }));
    nothingElse(Class, own, name);
  },
  error({ name }) {
    const [short, space] = name.split(".").reverse();
    const Class = has(globalThis[space], short, HIDDEN, name)?.value;
    if (Class === undefined) return;
    isFunction(Class, short, 1, name);
    check(Object.getPrototypeOf(Class) === Error && new Class("m") instanceof Error, `${name}: is no error`);
    has(Class.prototype, "name", { ...HIDDEN, value: short }, `${name}.prototype.name`);
  },
  function({ name, length, inherited }) {
    const [short, space] = name.split(".").reverse();
    const holder = space ? globalThis[space] : globalThis;
    if (inherited) check(!Object.hasOwn(holder, short), `${name}: is the global object's own`);
    else has(holder, short, SHOWN, name);
    isFunction(holder[short], short, length, name);
  },
  attribute({ name, short, of, readonly }) {
    const space = name === short ? globalThis : globalThis[name.split(".")[0]];
    const descriptor = has(space, short, { enumerable: true, configurable: true }, name);
    if (descriptor === undefined) return;
    isFunction(descriptor.get, `get ${short}`, 0, `${name}: getter`);
    if (readonly) check(descriptor.set === undefined, `${name}: has a setter`);
    else isFunction(descriptor.set, `set ${short}`, 1, `${name}: setter`);
    const Class = name === short ? globalThis[of] : space[of];
    if (typeof Class === "function") check(space[short] instanceof Class, `${name}: is no ${of}`);
  },
  namespace({ name, members = null }) {
    const object = has(globalThis, name, HIDDEN, name)?.value;
    if (object === undefined) return;
    has(object, Symbol.toStringTag, { ...FIXED, value: name }, `${name}[Symbol.toStringTag]`);
    const known = new Set([Symbol.toStringTag]);
    if (members === null) {
      for (const other of list) if (other.name.startsWith(`${name}.`)) known.add(other.name.slice(name.length + 1));
    } else {
      for (const member of members) known.add(checkMember(object, member, name, { branded: false }));
    }
    nothingElse(object, known, name);
  },
};

export default {
  async fetch() {
    for (const entry of list) {
      try {
        checkers[entry.kind](entry);
      } catch (error) {
        problems.push(`${entry.name}: ${String(error)} ${error.stack}`);
      }
    }
    await Promise.all(pending);
    nothingElse(globalThis, new Set([...ECMASCRIPT, ...list.map((entry) => entry.name)]), "globalThis");
    return Response.json(problems);
  },
};
