#!/usr/bin/env python3
"""Drives Firefox by Marionette for the stories: loads one page and answers what the browser asks.

    firefox.py --profile DIR --url URL [--pin FILE]... [--shot PNG] [--seconds N] -- FIREFOX...

FIREFOX is the program with its own options. Each prompt for a PIN gets the next FILE's contents, as if
typed; when there is none left it is cancelled. A dialog that lets choose a certificate is accepted with
the certificate that it proposes. What happens is printed, one event a line:

    prompt: TEXT    the browser asks for a PIN     answer: typed, or cancelled
    choose: NAMES   it asks which certificate      page: TEXT, or error: NAME

The page's picture becomes the file PNG. Exit code 0: the page was loaded, 1: an error page was, 2: neither,
in time. Only what Python brings is used.
"""

import argparse
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time

# Runs in the parent process, before the page is asked for. While a prompt for a PIN is open Firefox's socket
# thread waits for it, and with that thread everybody who would speak to Firefox: so who answers must be
# inside already. arguments: the PINs, in turn.
WATCH = """
const [pins] = arguments;
const events = window.storyEvents = [];
function prompt(win) {
    const ui = win.Dialog.ui;
    const pin = pins.shift();
    events.push(["prompt", ui.infoBody.textContent]);
    if (pin !== undefined) ui.password1Textbox.setUserInput(pin);
    events.push(["answer", pin === undefined ? "cancelled" : "typed"]);
    (pin === undefined ? ui.button1 : ui.button0).click();
}
function choose(dialog) {
    const doc = dialog.ownerDocument;
    const names = [...doc.getElementById("nicknames").menupopup.children].map(i => i.label);
    events.push(["choose", names.join(", ")]);
    dialog.acceptDialog();
}
const watch = (subject, topic) => {
    try {
        topic === "cert-dialog-loaded" ? choose(subject) : prompt(subject);
    } catch (e) {
        events.push(["trouble", String(e)]);
    }
};
Services.obs.addObserver(watch, "common-dialog-loaded");
Services.obs.addObserver(watch, "cert-dialog-loaded");
"""

EVENTS = "return window.storyEvents.splice(0);"

# As the address bar does: WebDriver's own command would wait for the page, and for who answers the prompt.
LOAD = """
const triggeringPrincipal = Services.scriptSecurityManager.getSystemPrincipal();
window.gBrowser.selectedBrowser.fixupAndLoadURIString(arguments[0], { triggeringPrincipal });
"""

PAGE = """
const text = document.body ? document.body.innerText : "";
const info = document.documentURI.startsWith("about:neterror") ? document.getNetErrorInfo() : null;
return [document.documentURI, document.readyState, text, info ? info.errorCodeString : ""];
"""


class Marionette:
    """Mozilla's remote protocol, version 3: LENGTH:[type, id, ...] in both directions."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.data = b""
        self.count = 0
        self._read()

    def _read(self):
        while b":" not in self.data:
            self._more()
        length, self.data = self.data.split(b":", 1)
        while len(self.data) < int(length):
            self._more()
        message, self.data = self.data[: int(length)], self.data[int(length) :]
        return json.loads(message)

    def _more(self):
        part = self.sock.recv(65536)
        if not part:
            raise EOFError("the browser has closed the connection")
        self.data += part

    def call(self, name, **params):
        self.count += 1
        body = json.dumps([0, self.count, name, params]).encode()
        self.sock.sendall(b"%d:%s" % (len(body), body))
        while True:
            kind, number, error, result = self._read()
            if kind == 1 and number == self.count:
                break
        if error:
            raise RuntimeError(f"{name}: {error['error']}: {error['message']}")
        return result.get("value") if isinstance(result, dict) and set(result) == {"value"} else result

    def script(self, context, text, *args):
        self.call("Marionette:SetContext", value=context)
        return self.call("WebDriver:ExecuteScript", script=text, args=list(args), sandbox="system")

    def shot(self, context, path, full):
        self.call("Marionette:SetContext", value=context)
        png = self.call("WebDriver:TakeScreenshot", full=full, hash=False)
        with open(path, "wb") as f:
            f.write(base64.b64decode(png))


def say(what, text):
    print(f"{what}: {' '.join(str(text).split())[:20000]}", flush=True)


def connect(profile, browser, until):
    """Firefox writes the port that it listens at into its profile."""
    path = os.path.join(profile, "MarionetteActivePort")
    while time.monotonic() < until and browser.poll() is None:
        try:
            with open(path, encoding="ascii") as f:
                return Marionette(int(f.read()))
        except (OSError, ValueError):
            time.sleep(0.05)
    raise TimeoutError("Firefox does not listen")


def load(m, args, until):
    m.call("WebDriver:NewSession", capabilities={"alwaysMatch": {"pageLoadStrategy": "none"}})
    pins = []
    for path in args.pin:
        with open(path, encoding="utf-8") as f:
            pins.append(f.read())
    m.script("chrome", WATCH, pins)
    m.script("chrome", LOAD, args.url)
    while time.monotonic() < until:
        # Nothing while one document gives way to another.
        uri, ready, text, error = m.script("content", PAGE) or ("", "", "", "")
        for what, happened in m.script("chrome", EVENTS):
            say(what, happened)
        if uri.startswith("about:neterror") or uri.startswith("about:certerror"):
            say("error", error + " " + uri)
            return 1
        if uri.startswith(args.url) and ready == "complete":
            say("page", text)
            if args.shot:
                m.shot("content", args.shot, True)
            return 0
        time.sleep(0.05)
    say("error", "no page in time")
    return 2


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--profile", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--pin", action="append", default=[])
    parser.add_argument("--shot")
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("firefox", nargs="+")
    args = parser.parse_args()
    until = time.monotonic() + args.seconds
    command = args.firefox + ["--headless", "--no-remote", "--profile", args.profile, "--marionette",
                              "--remote-allow-system-access", "about:blank"]
    # Its own process group: its children end with it.
    browser = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)
    try:
        m = connect(args.profile, browser, until)
        code = load(m, args, until)
        m.call("Marionette:Quit", flags=["eForceQuit"])
        browser.wait(timeout=15)
        return code
    finally:
        if browser.poll() is None:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()


if __name__ == "__main__":
    sys.exit(main())
