// Databases: what `env` has for a binding to one. The interface is that of D1.
// https://developers.cloudflare.com/d1/worker-api/
(function (nexus) {
  "use strict";
  const { ops } = nexus;
  const { finishInterface, illegalConstructor, usvString, dictionary, bufferSource, isArrayBuffer } = nexus.webidl;
  const { isArray, isView, Bytes, copyBytes, typedLength, defineProperty } = nexus.builtins;
  const TOKEN = nexus.builtins.Symbol();
  // The places of what the host tells of a statement.
  const COLUMNS = 0, VALUES = 1, CHANGES = 2, LAST_ROW_ID = 3, ROWS_READ = 4, TOOK = 5, SIZE_AFTER = 6, STATEMENTS = 7;

  /** A parameter as the host takes it. */
  const parameter = (value) => {
    switch (typeof value) {
      case "string":
      case "number":
      case "boolean":
      case "bigint":
        return value;
      case "object":
        if (value === null) return value;
        if (isView(value) || isArrayBuffer(value)) return copyBytes(bufferSource(value, "bind"));
        if (isArray(value)) return bytesOf(value);
        break;
      default:
    }
    throw new TypeError(
      `bind: a parameter is null, a number, a string, a boolean, an ArrayBuffer or a view of one, not ${kindOf(value)}`,
    );
  };
  const kindOf = (value) => (typeof value === "object" ? "another object" : typeof value);
  /** D1 gives bytes as an array of numbers, and takes them back. */
  const bytesOf = (array) => {
    const bytes = new Bytes(array.length);
    for (let i = 0; i < array.length; i++) {
      const byte = array[i];
      if (typeof byte !== "number" || byte < 0 || byte > 255 || byte % 1 !== 0) {
        throw new TypeError("bind: an array stands for bytes: whole numbers from 0 to 255");
      }
      bytes[i] = byte;
    }
    return bytes;
  };

  /** A value of a row: bytes as an array of numbers, as D1 gives them. */
  const told = (value) => {
    if (typeof value !== "object" || value === null) return value;
    const numbers = [];
    const length = typedLength(value);
    for (let i = 0; i < length; i++) numbers[i] = value[i];
    return numbers;
  };

  const put = (row, column, value) => {
    // What an assignment would take for something else.
    if (column === "__proto__") {
      defineProperty(row, column, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
    } else {
      row[column] = value;
    }
  };
  /** The row that begins at this place of the values. */
  const rowAt = (columns, values, place) => {
    const row = {};
    for (let i = 0; i < columns.length; i++) put(row, columns[i], told(values[place + i]));
    return row;
  };
  const rowsOf = (result) => {
    const { [COLUMNS]: columns, [VALUES]: values } = result;
    const rows = [];
    if (columns.length === 0) return rows;
    for (let place = 0; place < values.length; place += columns.length) {
      rows[rows.length] = rowAt(columns, values, place);
    }
    return rows;
  };
  const metaOf = (result) => ({
    served_by: "nexus",
    duration: result[TOOK],
    changes: result[CHANGES],
    last_row_id: result[LAST_ROW_ID],
    changed_db: result[CHANGES] > 0,
    size_after: result[SIZE_AFTER],
    rows_read: result[ROWS_READ],
    rows_written: result[CHANGES],
  });
  const whole = (result) => ({ success: true, meta: metaOf(result), results: rowsOf(result) });

  // The parts of a prepared statement: its database, its text, its parameters.
  let partsOf;

  class Database {
    #id;

    constructor(token, id) {
      if (token !== TOKEN) throw illegalConstructor();
      this.#id = id;
    }

    /** A statement, to be run later, and as often as wanted. */
    prepare(query) {
      return new PreparedStatement(TOKEN, this.#id, usvString(query), NONE);
    }

    /** Runs statements in order, in one transaction: all of them, or none. */
    async batch(statements) {
      const id = this.#id;
      if (!isArray(statements)) throw new TypeError("batch: it takes an array of prepared statements");
      const texts = [], parameters = [];
      for (let i = 0; i < statements.length; i++) {
        const { 0: owner, 1: text, 2: values } = partsOf(statements[i]);
        if (owner !== id) throw new TypeError("batch: a statement is one of another database");
        texts[i] = text;
        parameters[i] = values;
      }
      if (texts.length === 0) return [];
      const results = await ops.sqlBatch(id, texts, parameters);
      const all = [];
      for (let i = 0; i < results.length; i++) all[i] = whole(results[i]);
      return all;
    }

    /** Runs the statements of a text, in one transaction; nothing can be bound. */
    async exec(query) {
      const { 0: result } = await ops.sqlScript(this.#id, usvString(query));
      return { count: result[STATEMENTS], duration: result[TOOK] };
    }
  }
  const NONE = [];

  class PreparedStatement {
    #id;
    #text;
    #parameters;

    constructor(token, id, text, parameters) {
      if (token !== TOKEN) throw illegalConstructor();
      this.#id = id;
      this.#text = text;
      this.#parameters = parameters;
    }

    static {
      partsOf = (statement) => {
        if (typeof statement !== "object" || statement === null || !(#id in statement)) {
          throw new TypeError("batch: it takes what `prepare` and `bind` return");
        }
        return [statement.#id, statement.#text, statement.#parameters];
      };
    }

    /** The same statement with these parameters. */
    bind(...values) {
      const parameters = [];
      for (let i = 0; i < values.length; i++) parameters[i] = parameter(values[i]);
      return new PreparedStatement(TOKEN, this.#id, this.#text, parameters);
    }

    /** The first row, or null; with a column's name its value in that row. */
    async first(column = undefined) {
      const { 0: result } = await ops.sqlBatch(this.#id, [this.#text], [this.#parameters]);
      const { [COLUMNS]: columns, [VALUES]: values } = result;
      if (columns.length === 0 || values.length === 0) return null;
      if (column === undefined || column === null) return rowAt(columns, values, 0);
      const name = usvString(column);
      for (let i = columns.length - 1; i >= 0; i--) if (columns[i] === name) return told(values[i]);
      throw new Error(`first: the result has no column \`${name}\``);
    }

    /** All rows, as objects, and what the statement has done. */
    async all() {
      const { 0: result } = await ops.sqlBatch(this.#id, [this.#text], [this.#parameters]);
      return whole(result);
    }

    /** The same. */
    async run() {
      const { 0: result } = await ops.sqlBatch(this.#id, [this.#text], [this.#parameters]);
      return whole(result);
    }

    /** All rows, as arrays. */
    async raw(options = undefined) {
      const { columnNames } = dictionary(options, "raw");
      const { 0: result } = await ops.sqlBatch(this.#id, [this.#text], [this.#parameters]);
      const { [COLUMNS]: columns, [VALUES]: values } = result;
      const rows = [];
      if (columnNames) rows[0] = columns;
      if (columns.length === 0) return rows;
      for (let place = 0; place < values.length; place += columns.length) {
        const row = [];
        for (let i = 0; i < columns.length; i++) row[i] = told(values[place + i]);
        rows[rows.length] = row;
      }
      return rows;
    }
  }

  finishInterface(Database, { global: false });
  finishInterface(PreparedStatement, { global: false });

  nexus.makeDatabase = (id) => new Database(TOKEN, id);
})
