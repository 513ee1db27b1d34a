// The page: shows the items, and sends what is done with them.
const list = document.querySelector("ul");

async function api(method, path = "", body = undefined) {
  const response = await fetch(`/api/items${path}`, { method, body: body && JSON.stringify(body) });
  if (!response.ok) throw new Error(await response.text());
  return response.status === 204 ? null : response.json();
}

async function show() {
  const items = await api("GET");
  list.replaceChildren(...items.map(({ id, text, done }) => {
    const item = document.createElement("li");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: Boolean(done) });
    box.addEventListener("change", () => api("PUT", `/${id}`, { done: box.checked }).then(show));
    item.className = done ? "done" : "";
    item.append(box, Object.assign(document.createElement("span"), { textContent: text }));
    return item;
  }));
}

document.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  await api("POST", "", { text: event.target.text.value });
  event.target.reset();
  await show();
});
document.querySelector("#clear").addEventListener("click", () => api("DELETE").then(show));
show();
