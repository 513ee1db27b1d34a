// FormData. XMLHttpRequest Standard. https://xhr.spec.whatwg.org/#interface-formdata
(function (nexus) {
  "use strict";
  const { required, usvString, finishInterface, pairIterable } = nexus.webidl;
  const { newFile, blobParts, blobType, fileLastModified } = nexus;
  const { now } = nexus.builtins;

  // Asked anew each time: before its file has run nothing is one.
  const isBlob = (value) => nexus.isBlob(value);
  const isFile = (value) => isBlob(value) && nexus.isFile(value);

  /** The value of an entry: a string, or a File. `filename` is undefined if none was given. */
  const entryValue = (value, filename) => {
    if (typeof value === "string") return value;
    if (!isFile(value)) return newFile(blobParts(value), blobType(value), filename ?? "blob", now());
    if (filename === undefined) return value;
    return newFile(blobParts(value), blobType(value), filename, fileLastModified(value));
  };

  let listOf;
  class FormData {
    // Names and values in turn.
    #list = [];
    static {
      listOf = (form) => form.#list;
      nexus.isFormData = (value) => typeof value === "object" && value !== null && #list in value;
      nexus.formDataList = listOf;
      /** A form of these entries; the list is taken over. */
      nexus.newFormData = (list) => {
        const form = new FormData();
        form.#list = list;
        return form;
      };
    }
    constructor(form = undefined, submitter = null) {
      // There are no forms and no elements here.
      if (form !== undefined) throw new TypeError("FormData: the form is not an HTMLFormElement");
      if (submitter === null || submitter === undefined) return;
      throw new TypeError("FormData: the submitter is not an HTMLElement");
    }

    // Of the two overloads the one for blobs takes a third argument.
    static #convert(count, name, value, filename, what) {
      required(count, 2, what);
      name = usvString(name);
      if (!isBlob(value)) {
        if (count > 2) throw new TypeError(`${what}: with a file's name, the value must be a Blob`);
        return [name, usvString(value)];
      }
      return [name, entryValue(value, count > 2 && filename !== undefined ? usvString(filename) : undefined)];
    }

    append(name, value, filename = undefined) {
      const list = this.#list;
      const entry = FormData.#convert(arguments.length, name, value, filename, "FormData.append");
      list[list.length] = entry[0];
      list[list.length] = entry[1];
    }
    delete(name) {
      const list = this.#list;
      required(arguments.length, 1, "FormData.delete");
      name = usvString(name);
      let kept = 0;
      for (let i = 0; i < list.length; i += 2) {
        if (list[i] === name) continue;
        list[kept++] = list[i];
        list[kept++] = list[i + 1];
      }
      list.length = kept;
    }
    get(name) {
      const list = this.#list;
      required(arguments.length, 1, "FormData.get");
      name = usvString(name);
      for (let i = 0; i < list.length; i += 2) if (list[i] === name) return list[i + 1];
      return null;
    }
    getAll(name) {
      const list = this.#list;
      required(arguments.length, 1, "FormData.getAll");
      name = usvString(name);
      const values = [];
      for (let i = 0; i < list.length; i += 2) if (list[i] === name) values[values.length] = list[i + 1];
      return values;
    }
    has(name) {
      const list = this.#list;
      required(arguments.length, 1, "FormData.has");
      name = usvString(name);
      for (let i = 0; i < list.length; i += 2) if (list[i] === name) return true;
      return false;
    }
    set(name, value, filename = undefined) {
      const list = this.#list;
      const entry = FormData.#convert(arguments.length, name, value, filename, "FormData.set");
      let found = false;
      let kept = 0;
      for (let i = 0; i < list.length; i += 2) {
        const match = list[i] === entry[0];
        if (match && found) continue;
        list[kept++] = list[i];
        list[kept++] = match ? entry[1] : list[i + 1];
        found ||= match;
      }
      list.length = kept;
      if (!found) {
        list[kept] = entry[0];
        list[kept + 1] = entry[1];
      }
    }
  }
  pairIterable(FormData, (form, index) => {
    const list = listOf(form);
    const at = index * 2;
    return at < list.length ? [list[at], list[at + 1]] : undefined;
  });
  finishInterface(FormData);
})
