// What the host gives to test code, taken before any test can change it.
const hooks = globalThis.$262;

export const { evalScript, gc } = hooks;
const { readText, report: send } = hooks;
// The rest is for the harness only.
delete hooks.readText;
delete hooks.report;

const { stringify } = JSON;

/** The text of a file of the checkout, by its path from the root; undefined if it is not there. */
export { readText };

/** Tells the host something: one object. */
export function report(what) {
  send(stringify({ __proto__: null, ...what }));
}

/** Beyond these many characters a text of a test is cut. */
const LONGEST = 16_384;

/** A text as all transports take it: lone surrogates are written out. */
export function plainText(text) {
  text = String(text);
  if (text.length > LONGEST) text = `${text.slice(0, LONGEST)}… (${text.length} characters)`;
  if (text.isWellFormed()) return text;
  let out = "";
  for (const character of text) {
    const code = character.codePointAt(0);
    out += code >= 0xd800 && code <= 0xdfff ? `U+${code.toString(16)}` : character;
  }
  return out;
}

/** A stack without the harness's own frames, and without the message that V8 repeats in front of it. */
export function plainStack(stack) {
  if (typeof stack !== "string") return null;
  const frames = stack.split("\n").filter((line) => /^\s+at /.test(line) && !line.includes("file:///.nexus/"));
  return frames.length === 0 ? null : plainText(frames.slice(0, 8).join("\n"));
}
