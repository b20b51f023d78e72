// The little Markdown that descriptions are written in: paragraphs, `code`, *emphasis*, **strong**.

import { h } from "./dom.js";

const SPAN = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*/g;

/** One line of text, with its spans. */
export function inline(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(SPAN)) {
    parts.push(text.slice(end, found.index));
    const [, code, strong, emphasis] = found;
    parts.push(code ? h("code", {}, code) : strong ? h("strong", {}, strong) : h("em", {}, emphasis));
    end = found.index + found[0].length;
  }
  parts.push(text.slice(end));
  return parts.filter((part) => part !== "");
}

/** Paragraphs. */
export function paragraphs(text = "") {
  return text.split(/\n\s*\n/).filter(Boolean).map((paragraph) => h("p", {}, inline(paragraph)));
}
