// The OpenAPI document as the page needs it: references followed, what is composed put together.

/** In the order in which one meets them: make, look, remove. */
export const METHODS = ["put", "post", "get", "delete"];

/** What tells kinds apart comes first, what may be missing last. */
function rank({ required = [], properties = {} }) {
  const constant = Object.values(properties).some((property) => property.enum?.length === 1);
  return constant ? 0 : required.length > 0 ? 1 : 2;
}

export class Document {
  constructor(json) {
    this.json = json;
  }

  /** What a reference leads to; a description beside it wins. */
  resolve(node) {
    if (!node?.$ref) return node ?? {};
    const found = node.$ref.split("/").slice(1).reduce((part, key) => part[key.replaceAll("~1", "/")], this.json);
    return { ...this.resolve(found), ...(node.description && { description: node.description }) };
  }

  /** Each tag with its operations, in the order of the document. */
  groups() {
    const operations = Object.entries(this.json.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method]).map((method) => ({ path, method, ...item[method] })),
    );
    return this.json.tags.map((tag) => ({
      ...tag,
      operations: operations.filter((operation) => operation.tags.includes(tag.name)),
    }));
  }

  /**
   * A schema without references, compositions and `null` at its top: `{schema, nullable, name}`, or with `variants` where
   * there is a choice.
   */
  shape(node) {
    const name = node?.$ref?.split("/").at(-1);
    const schema = this.resolve(node);
    if (schema.allOf) return { ...this.#merged(schema), name };
    const choices = schema.oneOf ?? schema.anyOf;
    if (choices) {
      const real = choices.filter((choice) => choice.type !== "null");
      const nullable = real.length < choices.length;
      if (real.length > 1) return { schema, nullable, name, variants: real };
      const only = this.shape(real[0]);
      const description = schema.description ?? only.schema.description;
      return { ...only, schema: { ...only.schema, description }, nullable: true, name: only.name ?? name };
    }
    const types = [schema.type ?? []].flat();
    const nullable = types.includes("null");
    const type = types.find((one) => one !== "null");
    return { schema: { ...schema, type }, nullable, name };
  }

  /** Parts of an object as one object; a choice among them stays a choice of whole objects. */
  #merged({ allOf, ...rest }) {
    const parts = allOf.map((part) => this.shape(part));
    const choice = parts.find((part) => part.variants);
    const objects = parts.filter((part) => part !== choice).map((part) => part.schema);
    objects.sort((one, other) => rank(one) - rank(other));
    const schema = {
      ...rest,
      type: "object",
      description: rest.description ?? objects.find((object) => object.description)?.description,
      required: objects.flatMap((object) => object.required ?? []),
      properties: Object.assign({}, ...objects.map((object) => object.properties ?? {})),
    };
    if (!choice) return { schema, nullable: false };
    // Properties that are a choice's are there or not.
    for (const variant of choice.variants.map((part) => this.shape(part))) {
      schema.properties = { ...variant.schema.properties, ...schema.properties };
    }
    return { schema, nullable: false };
  }

  /** An example with its fields in the order of their schema, which JSON has none of. */
  ordered(node, value) {
    if (Array.isArray(value)) {
      const { schema, variants } = this.shape(node);
      return value.map((item) => (variants ? item : this.ordered(schema.items, item)));
    }
    if (value === null || typeof value !== "object") return value;
    const { schema, variants } = this.shape(node ?? {});
    const chosen = variants && this.shape(variants.find((variant) => this.#fits(variant, value)) ?? {}).schema;
    const properties = (chosen ?? schema).properties ?? {};
    const keys = [...Object.keys(properties).filter((key) => key in value), ...Object.keys(value)];
    return Object.fromEntries([...new Set(keys)].map((key) => [key, this.ordered(properties[key] ?? {}, value[key])]));
  }

  #fits(variant, value) {
    const { schema } = this.shape(variant);
    const fits = (property, key) => !property?.enum || property.enum.includes(value[key]);
    return (schema.required ?? []).every((key) => key in value && fits(this.shape(schema.properties?.[key] ?? {}).schema, key));
  }
}
