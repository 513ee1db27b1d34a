// Pattern strings: the tokenizer, the parser, and what is generated of their parts.
// https://urlpattern.spec.whatwg.org/#pattern-strings
//
// Positions are in UTF-16 code units. All strings here are well-formed.
(function (nexus) {
  "use strict";
  const { slice, charCodeAt, codePointAt } = nexus.builtins.string;
  const { exec } = nexus.builtins.regexp;
  const { RegExp } = nexus.builtins.clonable;
  const { setPrototypeOf } = nexus.builtins;
  const { SafeSet } = nexus.webidl;
  // A list that no guest's Object.prototype or Array.prototype has a say in.
  const newList = () => setPrototypeOf([], null);

  // Types of tokens.
  const OPEN = 1, CLOSE = 2, REGEXP = 3, NAME = 4, CHAR = 5, ESCAPED_CHAR = 6, OTHER_MODIFIER = 7, ASTERISK = 8;
  const END = 9, INVALID_CHAR = 10;

  const IDENTIFIER_START = /^[$_\p{ID_Start}]/u;
  const IDENTIFIER_PART = /^[$\u200c\u200d\p{ID_Continue}]/u;

  const width = (codePoint) => (codePoint > 0xffff ? 2 : 1);
  const isDigit = (code) => code >= 48 && code <= 57;

  /** Is a valid name code point, for the one at this position. */
  const isNameAt = (text, position, first) => {
    const code = charCodeAt(text, position);
    if (code < 128) {
      if ((code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || code === 36) return true;
      return !first && isDigit(code);
    }
    const character = slice(text, position, position + width(codePointAt(text, position)));
    return exec(first ? IDENTIFIER_START : IDENTIFIER_PART, character) !== null;
  };

  /** Where a regular expression ends that begins at `start`, after its parenthesis; -1 if it is not one. */
  const regexpEnd = (input, start) => {
    const { length } = input;
    let depth = 1;
    let position = start;
    while (position < length) {
      const code = charCodeAt(input, position);
      if (code > 127) return -1;
      if (position === start && code === 63) return -1;
      if (code === 92) {
        if (position === length - 1 || charCodeAt(input, position + 1) > 127) return -1;
        position += 2;
        continue;
      }
      position++;
      if (code === 41) {
        if (--depth === 0) return position - start === 1 ? -1 : position;
      } else if (code === 40) {
        depth++;
        // Only groups that do not capture.
        if (position === length || charCodeAt(input, position) !== 63) return -1;
      }
    }
    return -1;
  };

  /** Tokenize; what is wrong makes a token of its own if `lenient`. */
  const tokenize = (input, lenient) => {
    const tokens = newList();
    const { length } = input;
    let index = 0;
    const add = (type, next, start, end) => {
      tokens[tokens.length] = { type, index, value: slice(input, start, end) };
      index = next;
    };
    const fail = (next, start) => {
      if (!lenient) throw new TypeError(`URLPattern: character ${index} of the pattern is not understood: "${input}"`);
      add(INVALID_CHAR, next, start, next);
    };
    while (index < length) {
      const code = charCodeAt(input, index);
      const next = index + 1;
      if (code === 42) {
        add(ASTERISK, next, index, next);
      } else if (code === 43 || code === 63) {
        add(OTHER_MODIFIER, next, index, next);
      } else if (code === 123) {
        add(OPEN, next, index, next);
      } else if (code === 125) {
        add(CLOSE, next, index, next);
      } else if (code === 92) {
        if (next === length) {
          fail(next, index);
        } else {
          const end = next + width(codePointAt(input, next));
          add(ESCAPED_CHAR, end, next, end);
        }
      } else if (code === 58) {
        let end = next;
        while (end < length && isNameAt(input, end, end === next)) end += width(codePointAt(input, end));
        if (end === next) fail(next, index);
        else add(NAME, end, next, end);
      } else if (code === 40) {
        const end = regexpEnd(input, next);
        if (end < 0) fail(next, index);
        else add(REGEXP, end, next, end - 1);
      } else {
        const end = index + width(codePointAt(input, index));
        add(CHAR, end, index, end);
      }
    }
    add(END, index, index, index);
    return tokens;
  };

  /** Puts a backslash before each character that is in `special`. */
  const escapeWith = (special) => (text) => {
    let out = "";
    let clean = 0;
    for (let i = 0; i < text.length; i++) {
      if (special[text[i]] !== true) continue;
      out += `${slice(text, clean, i)}\\`;
      clean = i;
    }
    return out === "" ? text : out + slice(text, clean);
  };
  const charactersOf = (text) => {
    const set = { __proto__: null };
    for (let i = 0; i < text.length; i++) set[text[i]] = true;
    return set;
  };
  const escapeRegexp = escapeWith(charactersOf(".+*?^${}()[]|/\\"));
  const escapePattern = escapeWith(charactersOf("+*?:{}()\\"));

  // Types of parts.
  const FIXED_TEXT = 1, REGEXP_PART = 2, SEGMENT_WILDCARD = 3, FULL_WILDCARD = 4;
  const FULL_WILDCARD_REGEXP = ".*";
  const segmentWildcard = (options) => `[^${escapeRegexp(options.delimiter)}]+?`;

  /** Parse a pattern string. A part's modifier is its character, or empty. */
  const parse = (input, options, encode) => {
    const tokens = tokenize(input, false);
    const wildcard = segmentWildcard(options);
    const parts = newList();
    const names = new SafeSet();
    let pending = "";
    let index = 0;
    let nextNumber = 0;

    const take = (type) => (tokens[index].type === type ? tokens[index++] : null);
    const takeModifier = () => take(OTHER_MODIFIER) ?? take(ASTERISK);
    const takeRegexpOrWildcard = (name) => take(REGEXP) ?? (name === null ? take(ASTERISK) : null);
    const takeText = () => {
      let text = "";
      for (;;) {
        const token = take(CHAR) ?? take(ESCAPED_CHAR);
        if (token === null) return text;
        text += token.value;
      }
    };
    const require = (type) => {
      if (take(type) === null) {
        throw new TypeError(`URLPattern: unexpected "${tokens[index].value}" at ${tokens[index].index} of "${input}"`);
      }
    };
    const addText = (text, modifier) => {
      parts[parts.length] = { type: FIXED_TEXT, value: encode(text), modifier, name: "", prefix: "", suffix: "" };
    };
    const flush = () => {
      if (pending === "") return;
      const text = pending;
      pending = "";
      addText(text, "");
    };
    const addPart = (prefix, name, regexp, suffix, modifierToken) => {
      const modifier = modifierToken === null ? "" : modifierToken.value;
      if (name === null && regexp === null && modifier === "") {
        pending += prefix;
        return;
      }
      flush();
      if (name === null && regexp === null) {
        if (prefix !== "") addText(prefix, modifier);
        return;
      }
      let value = regexp === null ? wildcard : regexp.type === ASTERISK ? FULL_WILDCARD_REGEXP : regexp.value;
      let type = REGEXP_PART;
      if (value === wildcard) {
        type = SEGMENT_WILDCARD;
        value = "";
      } else if (value === FULL_WILDCARD_REGEXP) {
        type = FULL_WILDCARD;
        value = "";
      }
      const label = name !== null ? name.value : `${nextNumber++}`;
      if (names.has(label)) throw new TypeError(`URLPattern: two groups are named "${label}" in "${input}"`);
      names.add(label);
      prefix = encode(prefix);
      parts[parts.length] = { type, value, modifier, name: label, prefix, suffix: encode(suffix) };
    };

    while (index < tokens.length) {
      const char = take(CHAR);
      let name = take(NAME);
      let regexp = takeRegexpOrWildcard(name);
      if (name !== null || regexp !== null) {
        let prefix = char === null ? "" : char.value;
        if (prefix !== "" && prefix !== options.prefix) {
          pending += prefix;
          prefix = "";
        }
        flush();
        addPart(prefix, name, regexp, "", takeModifier());
        continue;
      }
      const fixed = char ?? take(ESCAPED_CHAR);
      if (fixed !== null) {
        pending += fixed.value;
        continue;
      }
      if (take(OPEN) !== null) {
        const prefix = takeText();
        name = take(NAME);
        regexp = takeRegexpOrWildcard(name);
        const suffix = takeText();
        require(CLOSE);
        addPart(prefix, name, regexp, suffix, takeModifier());
        continue;
      }
      flush();
      require(END);
    }
    return parts;
  };

  /** Generate a regular expression: its source. The names of its groups are those of the parts, in order. */
  const regexpSource = (parts, options) => {
    let out = "^";
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i];
      const { type, modifier } = part;
      if (type === FIXED_TEXT) {
        const text = escapeRegexp(part.value);
        out += modifier === "" ? text : `(?:${text})${modifier}`;
        continue;
      }
      let { value } = part;
      if (type === SEGMENT_WILDCARD) value = segmentWildcard(options);
      else if (type === FULL_WILDCARD) value = FULL_WILDCARD_REGEXP;
      const once = modifier === "" || modifier === "?";
      const prefix = escapeRegexp(part.prefix);
      const suffix = escapeRegexp(part.suffix);
      if (prefix === "" && suffix === "") {
        out += once ? `(${value})${modifier}` : `((?:${value})${modifier})`;
      } else if (once) {
        out += `(?:${prefix}(${value})${suffix})${modifier}`;
      } else {
        // The first prefix and the last suffix are not in the group; those between repetitions are.
        out += `(?:${prefix}((?:${value})(?:${suffix}${prefix}(?:${value}))*)${suffix})${modifier === "*" ? "?" : ""}`;
      }
    }
    return `${out}$`;
  };

  /** Generate a pattern string. */
  const patternString = (parts, options) => {
    let out = "";
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i];
      const previous = i > 0 ? parts[i - 1] : null;
      const next = i + 1 < parts.length ? parts[i + 1] : null;
      const { type, modifier, name, prefix, suffix } = part;
      if (type === FIXED_TEXT) {
        const text = escapePattern(part.value);
        out += modifier === "" ? text : `{${text}}${modifier}`;
        continue;
      }
      const custom = !isDigit(charCodeAt(name, 0));
      let grouped = suffix !== "" || (prefix !== "" && prefix !== options.prefix);
      if (
        !grouped && custom && type === SEGMENT_WILDCARD && modifier === "" && next !== null && next.prefix === "" &&
        next.suffix === ""
      ) {
        grouped = next.type === FIXED_TEXT ? isNameAt(next.value, 0, false) : isDigit(charCodeAt(next.name, 0));
      }
      if (!grouped && prefix === "" && previous !== null && previous.type === FIXED_TEXT) {
        const { value } = previous;
        grouped = options.prefix !== "" && value[value.length - 1] === options.prefix;
      }
      if (grouped) out += "{";
      out += escapePattern(prefix);
      if (custom) out += `:${name}`;
      if (type === REGEXP_PART) {
        out += `(${part.value})`;
      } else if (type === SEGMENT_WILDCARD) {
        if (!custom) out += `(${segmentWildcard(options)})`;
        else if (suffix !== "" && isNameAt(suffix, 0, false)) out += "\\";
      } else if (
        !custom &&
        (previous === null || previous.type === FIXED_TEXT || previous.modifier !== "" || grouped || prefix !== "")
      ) {
        out += "*";
      } else {
        out += `(${FULL_WILDCARD_REGEXP})`;
      }
      out += escapePattern(suffix);
      if (grouped) out += "}";
      out += modifier;
    }
    return out;
  };

  // How a component is matched: anything goes, one text, or as the regular expression says.
  const ANY = 1, TEXT = 2, PATTERN = 3;

  const newRegexp = (parts, options) => new RegExp(regexpSource(parts, options), options.ignoreCase ? "vi" : "v");

  const compile = (input, options, encode) => {
    const parts = parse(input, options, encode);
    const names = newList();
    let hasRegexpGroups = false;
    for (let i = 0; i < parts.length; i++) {
      if (parts[i].type === REGEXP_PART) hasRegexpGroups = true;
      if (parts[i].type !== FIXED_TEXT) names[names.length] = parts[i].name;
    }
    const component = {
      __proto__: null, pattern: patternString(parts, options), names, hasRegexpGroups, kind: PATTERN,
      // The text to be equal to or, of a regular expression, to begin with.
      text: "",
      regexp: null,
    };
    const first = parts.length > 0 ? parts[0] : null;
    if (first === null) {
      component.kind = TEXT;
    } else if (
      parts.length === 1 && first.type === FULL_WILDCARD && first.modifier === "" && first.prefix === "" &&
      first.suffix === ""
    ) {
      component.kind = ANY;
    } else if (!options.ignoreCase && first.type === FIXED_TEXT && first.modifier === "") {
      component.text = first.value;
      if (parts.length === 1) component.kind = TEXT;
      else if (parts[1].modifier === "" || parts[1].modifier === "+") component.text += parts[1].prefix;
    } else if (!options.ignoreCase && first.type !== FIXED_TEXT && (first.modifier === "" || first.modifier === "+")) {
      component.text = first.prefix;
    }
    if (component.kind === PATTERN) {
      try {
        component.regexp = newRegexp(parts, options);
      } catch (error) {
        throw new TypeError(`URLPattern: invalid regular expression in "${input}"`, { __proto__: null, cause: error });
      }
    }
    return component;
  };

  nexus.urlPatternParser = {
    __proto__: null, newList, tokenize, compile, escapePattern, ANY, TEXT, PATTERN,
    OPEN, CLOSE, REGEXP, NAME, CHAR, ESCAPED_CHAR, ASTERISK, END, INVALID_CHAR,
  };
})
