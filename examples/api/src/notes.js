export class NotFound extends Error {}

export class Notes {
  #notes = new Map();
  #last = 0;

  constructor(seed) {
    for (const note of seed) this.add(note);
  }

  get size() {
    return this.#notes.size;
  }

  all() {
    return [...this.#notes.values()];
  }

  get(id) {
    const note = this.#notes.get(id);
    if (!note) throw new NotFound(`note ${id}`);
    return note;
  }

  add({ text }) {
    if (typeof text !== "string" || text === "") throw new TypeError("a note needs a text");
    const note = { id: ++this.#last, text };
    this.#notes.set(note.id, note);
    return note;
  }

  delete(id) {
    if (!this.#notes.delete(id)) throw new NotFound(`note ${id}`);
  }
}
