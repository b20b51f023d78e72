"""The document's examples, and answers about what is there, against its own schemas."""

from jsonschema_rs import Draft202012Validator


def check_examples(document) -> bool:
    """Whether every example of a body fits; says which don't."""
    found, problems = 0, []
    for where, content in contents(document):
        if "example" not in content or not where.endswith("json"):
            continue
        found += 1
        problems += [f"{where}: {error}" for error in misfits(document, content["schema"], content["example"])]
    print("\n".join(problems), end="\n" if problems else "")
    return found > 50 and not problems


def contents(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            bodies = [("request", operation.get("requestBody", {}))]
            bodies += [(status, resolved(document, answer)) for status, answer in operation["responses"].items()]
            for what, body in bodies:
                for media_type, content in body.get("content", {}).items():
                    yield f"{method} {path} {what} {media_type}", content


def resolved(document, answer):
    for part in answer.get("$ref", "").split("/")[1:]:
        document = document[part]
    return document if "$ref" in answer else answer


def misfits(document, schema, value):
    # References lead into the document, so the schema must stand in it.
    whole = {**schema, "components": document["components"]}
    return [error.message for error in Draft202012Validator(whole, validate_formats=True).iter_errors(value)]


def looking(document):
    """The paths of all operations that look at something and answer JSON."""
    for path, item in document["paths"].items():
        if "application/json" in item.get("get", {"responses": {"200": {}}})["responses"]["200"].get("content", {}):
            yield path


def check_answer(world, document, path) -> bool:
    """Whether a thing that is there is answered as documented."""
    things = world.things()
    named = {
        "/v1/notifications/{id}": things["notifications"][0],
        "/v1/deliveries/{id}": things["deliveries"][0],
        "/v1/dead-letters/{id}": things["dead_letters"][0],
        "/v1/dead-letters/redrive/{id}": world.redrive,
    }
    filled = path.replace("{id}", named.get(path, "")).replace("{user}", "ann").replace("{device}", "phone")
    schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    problems = misfits(document, schema, world.done("GET", filled))
    print("\n".join(problems), end="\n" if problems else "")
    return not problems
