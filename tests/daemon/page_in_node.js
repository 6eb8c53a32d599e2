// Runs the script of an atlas page on a document that has as much of a browser as the script asks for, and prints what
// somebody would see who searches, orders and copies. Usage: node page_in_node.js PAGE
"use strict";
const fs = require("fs");
const html = fs.readFileSync(process.argv[2], "utf8");
const [, facts] = html.match(/<script type="application\/json" id="facts">([\s\S]*?)<\/script>/);
const [, script] = html.match(/<script>\n([\s\S]*?)<\/script>/);

class Element {
  constructor(tag) { Object.assign(this, { tag, children: [], style: {}, dataset: {}, own: "", value: "", open: false }); }
  get textContent() { return this.own + this.children.map(child => child.textContent ?? child).join(""); }
  set textContent(text) { this.own = text; this.children = []; }
  append(...parts) { this.children.push(...parts); }
  replaceChildren(...parts) { this.children = parts; }
  showModal() { this.open = true; }
  close() { this.open = false; }
  get cells() { return this.children.flatMap(part => part.className === "cell" ? [part] : part.cells ?? []); }
}
const known = {};
const byId = id => {
  if (!html.includes(`id="${id}"`)) throw new Error(`the page has no element ${id}`);
  if (!known[id]) { known[id] = new Element(id); known[id].parentElement = new Element("label"); }
  return known[id];
};
byId("facts").textContent = facts;
const buttons = [...html.matchAll(/<button data-copy="(\w+)"/g)].map(([, what]) => Object.assign(new Element("button"), { dataset: { copy: what } }));
let copied = "";
const world = {
  document: { getElementById: byId, createElement: tag => new Element(tag), querySelectorAll: () => buttons, documentElement: { style: { setProperty() {} } } },
  Option: function (text, value) { return Object.assign(new Element("option"), { own: text, value: String(value) }); },
  navigator: { clipboard: { writeText: async text => { copied = text; } } },
  setTimeout: () => 0,
};
new Function(...Object.keys(world), script)(...Object.values(world));

const seen = () => byId("main").cells.map(cell => cell.children[1].textContent);
(async () => {
  const told = { first: seen() };
  byId("order").value = "";
  byId("order").onchange();
  told.inOrder = seen();
  byId("search").value = "elephant";
  byId("search").oninput();
  told.found = seen();
  byId("search").value = "there is no such thing";
  byId("search").oninput();
  told.nothing = byId("main").textContent;
  byId("search").value = "";
  byId("search").oninput();
  byId("main").cells[0].onclick();
  told.name = byId("name").textContent;
  for (const button of buttons) {
    await button.onclick();
    told[button.dataset.copy] = copied;
  }
  byId("before").onclick();
  told.before = byId("name").textContent;
  byId("close").onclick();
  told.isOpen = byId("dialog").open;
  console.log(JSON.stringify(told));
})();
