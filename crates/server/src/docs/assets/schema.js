// A schema as people read it: one row for each field, and what is inside it below.

import { h } from "./dom.js";
import { inline } from "./markdown.js";

const number = new Intl.NumberFormat("en");

/** The kind of value, in words. */
export function typeOf(doc, node) {
  const { schema, nullable, variants } = doc.shape(node);
  const orNull = nullable ? " or null" : "";
  if (variants) return `one of several kinds${orNull}`;
  if (schema.enum) return (schema.enum.length === 1 ? `“${schema.enum[0]}”` : "one word of") + orNull;
  if (schema.type === "array") return `array of ${plural(typeOf(doc, schema.items))}${orNull}`;
  if (schema.type === "object" && typeof schema.additionalProperties === "object") {
    return `object of ${plural(typeOf(doc, schema.additionalProperties))}${orNull}`;
  }
  const formats = { uuid: "UUID", "date-time": "time" };
  return (formats[schema.format] ?? schema.type ?? "anything") + orNull;
}

function plural(type) {
  return type === "one word of" ? "words" : type.startsWith("one of several") ? "several kinds" : `${type}s`;
}

/** What bounds a value, as short phrases. */
function bounds(schema) {
  const range = (min, max, unit) => {
    if (max === undefined) return min === undefined || (min <= 1 && unit) ? null : `${number.format(min)} or more ${unit}`;
    return `${number.format(min ?? 0)} to ${number.format(max)} ${unit}`;
  };
  return [
    range(schema.minimum, schema.maximum, "")?.trim(),
    range(schema.minLength, schema.maxLength, "characters"),
    range(schema.minItems, schema.maxItems, "items"),
    schema.maxProperties ? `at most ${number.format(schema.maxProperties)} entries` : null,
    schema.uniqueItems ? "each once" : null,
    schema.default !== undefined ? `default ${JSON.stringify(schema.default)}` : null,
  ].filter(Boolean);
}

/** One field, parameter or header: its name, what it is, and what is inside. */
export function row(doc, { name, node, required, description, from }) {
  const { schema, variants } = doc.shape(node);
  const items = schema.type === "array" ? doc.shape(schema.items) : null;
  const words = schema.enum ?? items?.schema.enum ?? [];
  const inner = variants ?? items?.variants;
  const text = description ?? schema.description;
  return h("li.row", {},
    h("div.name", {}, h("code", {}, name), " ", required ? h("span.required", {}, "required") : null, from ? h("span.from", {}, from) : null),
    h("div.about", {},
      h("span.type", {}, typeOf(doc, node)),
      bounds(schema).map((bound) => [" ", h("span.bound", {}, bound)]),
      " ",
      words.length > 1 ? h("span.words", {}, words.map((word) => [h("code", {}, String(word)), " "])) : null,
      text ? h("p", {}, inline(text)) : null,
      inner ? h("div.variants", {}, inner.map((variant) => box(doc, variant, variantName(doc, variant)))) : null,
      !inner && schema.properties ? box(doc, node, "fields") : null,
      !inner && items?.schema.properties ? box(doc, schema.items, "fields of an item") : null,
    ),
  );
}

function variantName(doc, variant) {
  const { schema, name } = doc.shape(variant);
  const constants = Object.entries(schema.properties ?? {}).filter(([, part]) => part.enum?.length === 1);
  if (constants.length > 0) return constants.map(([key, part]) => `${key}: “${part.enum[0]}”`).join(", ");
  return name ?? (schema.required ?? Object.keys(schema.properties ?? {})).join(", ");
}

function box(doc, node, title) {
  return h("details.inner", {}, h("summary", {}, title), fields(doc, node));
}

/** The fields of an object; the one row of anything else. */
export function fields(doc, node) {
  const { schema, variants } = doc.shape(node);
  if (variants) return h("div.variants", {}, variants.map((variant) => box(doc, variant, variantName(doc, variant))));
  if (schema.type === "array") return h("ul.rows", {}, row(doc, { name: "[ ]", node }));
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([name, part]) => row(doc, { name, node: part, required: required.has(name) }));
  return rows.length > 0 ? h("ul.rows", {}, rows) : h("p.nothing", {}, schema.description ?? "Text.");
}
