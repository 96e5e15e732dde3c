#!/usr/bin/env python3
"""A small Singer tap (https://hub.meltano.com/singer/spec): tap_countries.py --config FILE [--state FILE]."""
import argparse
import json

parser = argparse.ArgumentParser()
parser.add_argument("--config", required=True)
parser.add_argument("--state")
args = parser.parse_args()

with open(args.config, encoding="utf-8") as file:
    countries = json.load(file)["countries"]
state = {}
if args.state:
    with open(args.state, encoding="utf-8") as file:
        state = json.load(file)
done = state.get("bookmarks", {}).get("countries", {}).get("done", 0)


def say(**message):
    print(json.dumps(message), flush=True)


schema = {"type": "object", "properties": {"code": {"type": "string"}, "name": {"type": "string"}}}
say(type="SCHEMA", stream="countries", schema=schema, key_properties=["code"])
for number, country in enumerate(countries[done:], start=done + 1):
    say(type="RECORD", stream="countries", record=country)
    say(type="STATE", value={"bookmarks": {"countries": {"done": number}}})
