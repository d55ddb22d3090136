"""Reads a feed as a reader of news does, and holds it to what RFC 4287 says that has to be there.

Prints a JSON object: the feed's id, title and links, and its entries.
"""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree

import feedparser

text = sys.stdin.buffer.read()
atom = "{http://www.w3.org/2005/Atom}"
root = ElementTree.fromstring(text)
assert root.tag == f"{atom}feed", root.tag
date = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
entries = root.findall(f"{atom}entry")
for element in [root, *entries]:
    for needed in ["id", "title", "updated"]:
        assert len(element.findall(atom + needed)) == 1, (element, needed)
    for dated in element.findall(f"{atom}updated") + element.findall(f"{atom}published"):
        assert date.fullmatch(dated.text), dated.text
    assert re.match(r"[a-z]+:", element.findtext(f"{atom}id"))
    if element is not root:
        assert element.find(f"{atom}content").get("type") == "text"
assert root.find(f"{atom}author").findtext(f"{atom}name")
ids = [entry.findtext(f"{atom}id") for entry in entries]
assert len(ids) == len(set(ids)), "two entries with an id"

feed = feedparser.parse(text)
assert not feed.bozo, feed.bozo_exception
assert feed.version == "atom10", feed.version
assert len(feed.entries) == len(entries)
json.dump(
    {
        "id": feed.feed.id,
        "title": feed.feed.title,
        "updated": feed.feed.updated,
        "links": [link.href for link in feed.feed.get("links", [])],
        "entries": [
            {
                "id": entry.id,
                "title": entry.title,
                "published": entry.published,
                "updated": entry.updated,
                "text": entry.content[0].value,
            }
            for entry in feed.entries
        ],
    },
    sys.stdout,
)
