// Requests to try, and JSON with colours.

import { copyButton, h } from "./dom.js";

/** Where this server is, also behind a proxy that puts it below a path. */
const BASE = location.origin + location.pathname.replace(/\/docs\/?$/, "");
const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)/gi;

/** The request of an operation's example, for a shell. */
export function curl(doc, operation) {
  const example = (parameter) => {
    const { schema } = doc.shape(parameter.schema);
    return parameter.example ?? schema.examples?.[0] ?? schema.enum?.[0] ?? parameter.name;
  };
  const parameters = (operation.parameters ?? []).map((parameter) => doc.resolve(parameter));
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name) =>
    encodeURIComponent(example(parameters.find((parameter) => parameter.in === "path" && parameter.name === name))));
  const lines = [`curl ${operation.method === "get" ? "" : `-X ${operation.method.toUpperCase()} `}${quoted(BASE + path)}`];
  if (operation.security.some((needed) => needed.key)) lines.push('-H "Authorization: Bearer $PABAL_API_KEY"');
  for (const header of parameters.filter((parameter) => parameter.in === "header")) {
    lines.push(`-H ${quoted(`${header.name}: ${example(header)}`)}`);
  }
  const content = operation.requestBody?.content["application/json"];
  if (content) {
    lines.push(`-H 'Content-Type: application/json'`);
    lines.push(`-d ${quoted(JSON.stringify(doc.ordered(content.schema, content.example), null, 2))}`);
  }
  return lines.join(" \\\n  ");
}

function quoted(text) {
  return /^[\w:/.%-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** A panel with a title, text to copy, and colours where it is JSON. */
export function panel(title, text, { json = false, note = null } = {}) {
  return h("figure.panel", {},
    h("figcaption", {}, h("span", {}, title), note ? h("span.note", {}, note) : null, copyButton(() => text)),
    h("pre", { tabindex: "0" }, h("code", {}, json ? coloured(text) : text)),
  );
}

function coloured(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(TOKEN)) {
    const [whole, string, colon, word] = found;
    parts.push(text.slice(end, found.index));
    const kind = string ? (colon ? "key" : "string") : word ? "word" : "number";
    parts.push(h(`span.${kind}`, {}, string ?? whole), colon ?? "");
    end = found.index + whole.length;
  }
  return [...parts, text.slice(end)];
}
