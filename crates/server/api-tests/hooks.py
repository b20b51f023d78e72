"""What the generator does not know by itself."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """A string is the body as it is; a list, one item a line."""
    if isinstance(value, list):
        value = "\n".join(json.dumps(item) for item in value)
    return value if isinstance(value, bytes) else str(value).encode()
