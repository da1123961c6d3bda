"""Reads and presses the controls of a window by its accessibility tree (AT-SPI).

One request a line on stdin, one answer a line on stdout, both JSON. A control
is given by its role and name, inside of another one where "within" names it.

    {"do": "find", "role": "push button", "name": "Save"}   all that fit
    {"do": "press", ...}    presses the one that fits
    {"do": "focus", ...}    gives it the keyboard
    {"do": "text", ...}     all that stands in it
"""

import json
import sys

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, GLib  # noqa: E402

Atspi.set_timeout(1000, 1000)

APPLICATION = "chartkey"
OBJECT = "\ufffc"  # stands in a text for a child
DEEPEST = 80


class NotThere(Exception):
    pass


def children(node):
    for i in range(node.get_child_count()):
        child = node.get_child_at_index(i)
        if child is not None:
            yield child


def walk(node, depth=0):
    """Every control that is shown; one that goes away meanwhile is left out."""
    if depth > DEEPEST:
        return
    yield node
    try:
        below = list(children(node))
    except GLib.Error:
        return
    for child in below:
        yield from walk(child, depth + 1)


def text(node, depth=0):
    """All that stands in a control, in reading order."""
    if depth > DEEPEST:
        return ""
    try:
        below = list(children(node))
        own = ""
        interface = node.get_text_iface()
        if interface is not None:
            own = Atspi.Text.get_text(interface, 0, Atspi.Text.get_character_count(interface))
        if not below:
            return own or node.get_name() or ""
        if OBJECT not in own:
            return " ".join(part for part in [own, *(text(child, depth + 1) for child in below)] if part)
        parts = own.split(OBJECT)
        out = parts[0]
        for i, child in enumerate(below):
            out += " " + text(child, depth + 1) + " " + (parts[i + 1] if i + 1 < len(parts) else "")
        return out
    except GLib.Error:
        return ""


def fits(node, role, name):
    try:
        return (role is None or node.get_role_name() == role) and (name is None or node.get_name() == name)
    except GLib.Error:
        return False


def application():
    # What is known of the tree is brought up to date by the events that have
    # come in; what they do not tell of is asked for anew.
    while GLib.MainContext.default().iteration(False):
        pass
    for app in children(Atspi.get_desktop(0)):
        if app.get_name() == APPLICATION:
            app.clear_cache()
            return app
    raise NotThere("no window")


def candidates(request):
    root = application()
    within = request.get("within")
    if within:
        root = next((n for n in walk(root) if fits(n, within.get("role"), within.get("name"))), None)
        if root is None:
            return []
    return [n for n in walk(root) if fits(n, request.get("role"), request.get("name"))]


def one(request):
    found = [n for n in candidates(request) if shown(n)]
    if not found:
        raise NotThere("no such control")
    return found[0]


def shown(node):
    states = node.get_state_set()
    return states.contains(Atspi.StateType.VISIBLE) and not states.contains(Atspi.StateType.DEFUNCT)


def describe(node):
    states = node.get_state_set()
    return {
        "role": node.get_role_name(),
        "name": node.get_name(),
        "text": " ".join(text(node).split()),
        "focused": states.contains(Atspi.StateType.FOCUSED),
        "checked": states.contains(Atspi.StateType.CHECKED),
        "enabled": states.contains(Atspi.StateType.ENABLED),
    }


def press(node):
    if Atspi.Action.get_n_actions(node) < 1:
        raise NotThere("it cannot be pressed")
    return Atspi.Action.do_action(node, 0)


def answer(request):
    do = request["do"]
    if do == "find":
        return [describe(n) for n in candidates(request)]
    if do == "text":
        return " ".join(text(one(request)).split())
    if do == "press":
        return press(one(request))
    if do == "focus":
        return Atspi.Component.grab_focus(one(request))
    raise ValueError(do)


def main():
    for line in sys.stdin:
        try:
            out = {"answer": answer(json.loads(line))}
        except NotThere as absent:
            out = {"absent": str(absent)}
        except GLib.Error as changed:  # the tree changed while it was read
            out = {"absent": str(changed)}
        print(json.dumps(out), flush=True)


main()
