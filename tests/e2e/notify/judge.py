"""Validates each line of standard input against the JSON Schema in a file."""

import json
import sys

import jsonschema

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
validator = jsonschema.validators.validator_for(schema)
validator.check_schema(schema)
for line in sys.stdin:
    validator(schema, format_checker=validator.FORMAT_CHECKER).validate(json.loads(line))
