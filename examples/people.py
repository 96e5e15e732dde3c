#!/usr/bin/env python3
"""Prints people as JSON lines, and after every hundred a cursor. aqueduct starts it with the last cursor that is committed."""
import json
import os
import uuid

LAST = int(os.environ.get("PEOPLE", "1000"))
TEAM = os.environ.get("AQUEDUCT_TEAM", "none")

cursor = os.environ.get("AQUEDUCT_CURSOR", "")
done = json.loads(cursor)["done"] if cursor else 0

for number in range(done + 1, LAST + 1):
    person = {
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{TEAM}/{number}")),
        "team": TEAM,
        "number": number,
    }
    print(json.dumps(person))
    if number % 100 == 0 or number == LAST:
        print(json.dumps({"cursor": {"done": number}}), flush=True)
