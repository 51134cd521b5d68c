"""The Django side of the test: a project whose cache has groups as django-cache-utils stores them.

Reads one JSON request a line from standard input and answers each with a line.
"""
import json
import sys
import time
import uuid

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.memcached import PyMemcacheCache


class GroupCache(PyMemcacheCache):
    """Entries in groups: the group's uuid is part of their key."""

    def __init__(self, server, params):
        super().__init__(server, params)
        self.project_version = params.get("OPTIONS", {}).pop("project_version", "")
        self._options.pop("project_version", None)

    def group_key(self, group):
        return f"{self.project_version}_group::{group}"

    def generation(self, group):
        found = self._cache.get(self.group_key(group))
        if found is None:
            found = str(uuid.uuid4())
            self._cache.set(self.group_key(group), found, 300)
        return found

    def entry_key(self, group, key):
        return f"{group}:{self.project_version}{key}-{self.generation(group)}"

    def set_in(self, group, key, value):
        packed = (value, time.time() + 60, False)
        self._cache.set(self.entry_key(group, key), packed, 90)

    def get_from(self, group, key):
        packed = self._cache.get(self.entry_key(group, key))
        return None if packed is None else packed[0]

    def invalidate_group(self, group):
        self._cache.set(self.group_key(group), str(uuid.uuid4()), 300)

    def forget_group(self, group):
        self._cache.delete(self.group_key(group))


def answer(request):
    groups, plain = caches["groups"], caches["default"]
    do, args = request["do"], request.get("args", [])
    if do in ("set_in", "get_from", "invalidate_group", "forget_group", "generation"):
        return getattr(groups, do)(*args)
    if do in ("set", "get", "incr", "add", "delete"):
        return getattr(plain, do)(*args)
    raise ValueError(do)


def main():
    address, project_version = sys.argv[1:]
    server = {"LOCATION": address}
    settings.configure(
        CACHES={
            "default": {"BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache", **server},
            "groups": {"BACKEND": "peer.GroupCache", "OPTIONS": {"project_version": project_version}, **server},
        }
    )
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        try:
            print(json.dumps({"result": answer(json.loads(line))}), flush=True)
        except Exception as e:
            print(json.dumps({"error": repr(e)}), flush=True)


if __name__ == "__main__":
    main()
