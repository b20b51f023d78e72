// The page: reads the document, shows it by tags, searches in it.

import { Document } from "./document.js";
import { h } from "./dom.js";
import { inline, paragraphs } from "./markdown.js";
import { method, operationCard } from "./operation.js";

const THEME = "pabal-docs-theme";
const $ = (id) => document.getElementById(id);

async function show() {
  const answer = await fetch("openapi.json");
  if (!answer.ok) throw new Error(`openapi.json was answered ${answer.status}`);
  const doc = new Document(await answer.json());
  const groups = doc.groups().filter((group) => group.operations.length > 0);
  introduce(doc.json.info);
  $("contents").replaceChildren(...groups.map(contents));
  $("operations").replaceChildren(...groups.map((group) => section(doc, group)));
  searchable();
  follow();
  document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
  document.body.dataset.state = "ready";
}

function introduce(info) {
  $("version").textContent = `v${info.version}`;
  const [first, ...others] = info.description.split(/\n\s*\n/);
  $("introduction").replaceChildren(
    h("h1", {}, `${info.title} API`),
    h("p.lead", {}, inline(first)),
    h("div.principles", {}, others.map((text) => h("div.principle", {}, paragraphs(text)))),
  );
}

function anchor(name) {
  return `tag-${name.toLowerCase().replaceAll(/\W+/g, "-")}`;
}

function contents({ name, operations }) {
  const link = (operation) => h("li", { "data-of": operation.operationId },
    h("a", { href: `#${operation.operationId}` }, method(operation.method), h("span", {}, operation.summary)));
  return h("section", {}, h("h2", {}, h("a", { href: `#${anchor(name)}` }, name)), h("ul", {}, operations.map(link)));
}

function section(doc, { name, description, operations }) {
  return h("section.group", { "aria-labelledby": anchor(name) },
    h("h2", { id: anchor(name) }, name),
    h("p.lead", {}, inline(description)),
    operations.map((operation) => operationCard(doc, operation)),
  );
}

/** Every word that is typed must be found. */
function searchable() {
  const input = $("search");
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const card of document.querySelectorAll(".operation")) {
      const fits = wanted.every((word) => card.dataset.search.includes(word));
      card.hidden = !fits;
      document.querySelector(`#contents [data-of="${card.id}"]`).hidden = !fits;
      found += fits ? 1 : 0;
    }
    for (const group of document.querySelectorAll(".group, #contents section")) {
      group.hidden = !group.querySelector(".operation:not([hidden]), li:not([hidden])");
    }
    $("introduction").hidden = wanted.length > 0;
    $("found").hidden = wanted.length === 0;
    $("found").textContent = found === 1 ? "1 operation fits" : `${found || "No"} operations fit`;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input")) {
      event.preventDefault();
      input.select();
    } else if (event.key === "Escape" && event.target === input && input.value) {
      input.value = "";
      input.dispatchEvent(new Event("input"));
    }
  });
}

/** Marks in the contents what is being read. */
function follow() {
  const seen = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) isIntersecting ? seen.add(target.id) : seen.delete(target.id);
    const current = [...document.querySelectorAll(".operation")].find((card) => seen.has(card.id));
    for (const item of document.querySelectorAll("#contents [data-of]")) {
      const link = item.firstElementChild;
      if (item.dataset.of === current?.id) {
        link.setAttribute("aria-current", "true");
        item.scrollIntoView({ block: "nearest" });
      } else {
        link.removeAttribute("aria-current");
      }
    }
  }, { rootMargin: "-80px 0px -55% 0px" });
  document.querySelectorAll(".operation").forEach((card) => observer.observe(card));
}

/** As the system has it, until somebody chooses. */
function themed() {
  const root = document.documentElement;
  const button = $("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const isDark = (localStorage.getItem(THEME) ?? (system.matches ? "dark" : "light")) === "dark";
    root.dataset.theme = isDark ? "dark" : "light";
    button.textContent = isDark ? "Light" : "Dark";
    button.setAttribute("aria-pressed", String(isDark));
  };
  button.addEventListener("click", () => {
    localStorage.setItem(THEME, root.dataset.theme === "dark" ? "light" : "dark");
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}

themed();
show().catch((error) => {
  $("operations").replaceChildren(h("p.loading", { role: "alert" }, `The document can't be shown: ${error.message}`));
});
