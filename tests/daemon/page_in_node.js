// Runs the script of an atlas page on a document that has as much of a browser as the script asks for, and prints what
// somebody would see who searches, orders and copies. Usage: node page_in_node.js PAGE
"use strict";
const fs = require("fs");
const html = fs.readFileSync(process.argv[2], "utf8");
const [, facts] = html.match(/<script type="application\/json" id="facts">([\s\S]*?)<\/script>/);
const [, script] = html.match(/<script>\n([\s\S]*?)<\/script>/);

let made = 0;
class Element {
  constructor(tag) { made += 1; Object.assign(this, { tag, children: [], style: {}, dataset: {}, own: "", value: "", open: false, hidden: false }); }
  get textContent() { return this.own + this.children.map(child => child.textContent ?? child).join(""); }
  set textContent(text) { this.own = text; this.children = []; }
  append(...parts) {
    for (const part of parts) {
      if (part instanceof Element) {
        if (part.parent) part.parent.children.splice(part.parent.children.indexOf(part), 1); // a node is in one place
        part.parent = this;
      }
      this.children.push(part);
    }
  }
  showModal() { this.open = true; }
  close() { this.open = false; }
  get visible() { return this.children.filter(child => !child.hidden); }
  get visibleText() { return this.hidden ? "" : this.own + this.visible.map(child => child.visibleText ?? child).join(""); }
  get cells() { return this.visible.flatMap(part => part.className === "cell" ? [part] : part.cells ?? []); }
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
  setTimeout: later => { later(); return 0; },
  clearTimeout() {},
};
new Function(...Object.keys(world), script)(...Object.values(world));

const seen = () => byId("main").cells.map(cell => cell.children[1].textContent);
(async () => {
  const told = { first: seen(), count: byId("count").textContent };
  const images = byId("main").cells.map(cell => cell.children[0]);
  told.sources = images.map(image => image.src.split(",")[0]);
  told.areLazy = images.every(image => image.loading === "lazy");
  const before = made;
  byId("order").value = "";
  byId("order").onchange();
  told.inOrder = seen();
  told.headings = byId("main").visible.filter(part => part.tag === "h2").map(part => part.visibleText);
  byId("search").value = "elephant";
  byId("search").oninput();
  told.found = seen();
  told.foundCount = byId("count").textContent;
  byId("search").value = "there is no such thing";
  byId("search").oninput();
  told.nothing = byId("main").visibleText;
  byId("search").value = "";
  byId("search").oninput();
  told.madeMeanwhile = made - before;
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
