// One operation: what it takes and answers on the left, a request and its answer to copy on the right.

import { h } from "./dom.js";
import { inline, paragraphs } from "./markdown.js";
import { fields, row } from "./schema.js";
import { curl, panel } from "./snippet.js";

const PLACES = { path: "path", query: "query", header: "header" };

export function operationCard(doc, operation) {
  const id = operation.operationId;
  return h("article.operation", { id, "data-search": words(operation) },
    h("header", {},
      h("h3", {}, h("a", { href: `#${id}` }, operation.summary)),
      h("p.route", {}, method(operation.method), path(operation.path), scope(operation)),
    ),
    h("div.columns", {},
      h("div.reference", {},
        paragraphs(operation.description),
        parameters(doc, operation),
        requestBody(doc, operation),
        answers(doc, operation),
        problems(doc, operation),
      ),
      h("div.examples", {}, examples(doc, operation)),
    ),
  );
}

export function method(name) {
  return h(`span.method.${name}`, {}, name.toUpperCase());
}

/** The path with its parameters set apart. */
function path(text) {
  const parts = text.split(/(\{\w+\})/).map((part) => (part.startsWith("{") ? h("i", {}, part) : part));
  return h("code.path", {}, parts);
}

function scope(operation) {
  const scopes = operation.security.flatMap((needed) => needed.key ?? []);
  return scopes.length > 0
    ? h("span.scope", { title: "The scope that the key needs" }, "scope ", h("b", {}, scopes.join(", ")))
    : h("span.scope.open", {}, "no key needed");
}

function part(title, note, ...children) {
  return h("section.part", {}, h("h4", {}, title, note ? h("small", {}, note) : null), ...children);
}

function parameters(doc, operation) {
  const all = (operation.parameters ?? []).map((parameter) => doc.resolve(parameter));
  if (all.length === 0) return null;
  const rows = all.map((parameter) => row(doc, {
    name: parameter.name, node: parameter.schema, required: parameter.required, description: parameter.description, from: PLACES[parameter.in],
  }));
  return part("Parameters", null, h("ul.rows", {}, rows));
}

function requestBody(doc, operation) {
  const body = operation.requestBody;
  if (!body) return null;
  const types = Object.keys(body.content);
  return part("Body", `${types.join(" or ")} · ${body.description}`, fields(doc, body.content[types[0]].schema));
}

function answered(doc, operation) {
  return Object.entries(operation.responses).map(([status, response]) => ({ status, response: doc.resolve(response) }));
}

function isProblem({ response }) {
  return "application/problem+json" in (response.content ?? {});
}

function answers(doc, operation) {
  return answered(doc, operation).filter((answer) => !isProblem(answer)).map(({ status, response }) => {
    const content = response.content?.["application/json"];
    const headers = Object.entries(response.headers ?? {}).filter(([name]) => name !== "X-Request-Id");
    return part(
      h("span", {}, badge(status), "Answer"), null,
      h("p", {}, inline(response.description)),
      headers.length > 0
        ? h("ul.rows", {}, headers.map(([name, header]) => {
          const found = doc.resolve(header);
          return row(doc, { name, node: found.schema, description: found.description, from: "header" });
        }))
        : null,
      content ? fields(doc, content.schema) : null,
    );
  });
}

function badge(status) {
  return h(`span.status.s${status[0]}`, {}, status);
}

function problems(doc, operation) {
  const all = answered(doc, operation).filter(isProblem);
  if (all.length === 0) return null;
  const line = ({ status, response }) => h("li", {}, badge(status), h("span", {}, inline(response.description)));
  return h("details.part.problems", {},
    h("summary", {}, "Problems", h("small", {}, all.map(({ status }) => status).join(" · "))),
    h("ul", {}, all.map(line)),
  );
}

function examples(doc, operation) {
  const shown = [panel("Request", curl(doc, operation))];
  const lines = operation.requestBody?.content["application/x-ndjson"]?.example;
  if (lines) shown.push(panel("Body as lines", lines.trimEnd(), { json: true, note: "application/x-ndjson" }));
  for (const { status, response } of answered(doc, operation).filter((answer) => !isProblem(answer))) {
    const content = response.content?.["application/json"];
    if (content?.example === undefined) continue;
    const text = JSON.stringify(doc.ordered(content.schema, content.example), null, 2);
    shown.push(panel("Answer", text, { json: true, note: status }));
  }
  return shown;
}

/** What a search looks at. */
function words({ summary, path: route, method: verb, operationId, description = "" }) {
  return `${summary} ${verb} ${route} ${operationId} ${description}`.toLowerCase();
}
