#!/usr/bin/env python3
"""Drives Chromium for the stories: loads one page and answers what the browser asks.

    chromium.py --profile DIR --url URL [--pin FILE]... [--shot PREFIX --screen XWD] [--seconds N] -- CHROMIUM...

CHROMIUM is the program with its own options. It shows its windows at $DISPLAY, where xdotool plays the
user: each window that asks for a PIN gets the next FILE's contents typed, and when there is none left it is
closed; the dialog that lets choose a certificate gets the Return key. The page is read through
--remote-debugging-pipe. What happens is printed, one event a line:

    prompt: TITLE   a window asks for a PIN      answer: typed, or cancelled
    choose          the dialog for certificates  page: TEXT, or error: NAME

With --shot pictures of each are kept: PREFIX-prompt.png and so on; XWD is the file in which Xvfb keeps its
screen. Exit code 0: the page was loaded, 1: an error page was, 2: neither, in time. Only what Python
brings is used, and xdotool.
"""

import argparse
import base64
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
import zlib

# What the window that asks for a PIN is called: by Chromium, in English.
PROMPT = "Unlock Security Device"

# The page's text, null while it is not complete.
TEXT = "document.readyState === 'complete' && document.body ? document.body.innerText : null"

# The connection was there when the user was asked, and no more when he had answered: he tries again.
GONE = "net::ERR_SOCKET_NOT_CONNECTED"


class DevTools:
    """The DevTools protocol on two pipes: messages of JSON that end in NUL."""

    def __init__(self, to_browser, from_browser):
        self.out, self.inp = to_browser, from_browser
        self.data = b""
        self.answers = {}
        self.count = 0
        self.session = None

    def send(self, method, **params):
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        return self.count

    def poll(self, number, seconds):
        """The answer to that message, or None when none has come in time."""
        until = time.monotonic() + seconds
        while number not in self.answers:
            if not select.select([self.inp], [], [], max(0, until - time.monotonic()))[0]:
                return None
            part = os.read(self.inp, 65536)
            if not part:
                raise EOFError("Chromium has closed the pipe")
            *whole, self.data = (self.data + part).split(b"\0")
            for message in map(json.loads, whole):
                if "id" in message:
                    self.answers[message["id"]] = message
        answer = self.answers.pop(number)
        if "error" in answer:
            raise RuntimeError(answer["error"]["message"])
        return answer["result"]

    def call(self, method, **params):
        answer = self.poll(self.send(method, **params), 20)
        if answer is None:
            raise TimeoutError(f"Chromium does not answer {method}")
        return answer


def say(what, text):
    print(f"{what}: {' '.join(str(text).split())[:20000]}", flush=True)


def xdo(*args, text=None):
    """The lines that xdotool prints; none when it fails, for the window is gone then."""
    done = subprocess.run(["xdotool", *args], input=text, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def picture(args, what):
    """The screen as a PNG. XWD, version 7: a header of 25 words, colours of 12 bytes each, rows of BGRX."""
    if not args.shot:
        return
    with open(args.screen, "rb") as f:
        data = f.read()
    head = struct.unpack(">25I", data[:100])
    width, height, stride, colours = head[4], head[5], head[12], head[19]
    start = head[0] + 12 * colours
    rows = bytearray()
    for y in range(height):
        row = data[start + y * stride : start + y * stride + 4 * width]
        line = bytearray(3 * width)
        line[0::3], line[1::3], line[2::3] = row[2::4], row[1::4], row[0::4]
        rows += b"\0" + line

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    with open(f"{args.shot}-{what}.png", "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b""))


class User:
    """Who sits before the screen. What is there before the page is asked for needs no answer."""

    def __init__(self, args):
        self.args = args
        self.pins = list(args.pin)
        self.before = self.windows()
        self.keys = {}  # of each window that was answered: the last key, and when it was pressed

    @staticmethod
    def windows():
        return {w: " ".join(xdo("getwindowname", w)) for w in xdo("search", "--onlyvisible", "--name", "")}

    def look(self):
        for window, title in self.windows().items():
            if window in self.before or title not in (PROMPT, ""):
                continue
            if window not in self.keys:
                xdo("windowfocus", "--sync", window)
                self.press(window, self.prompt() if title == PROMPT else self.choose())
            # A dialog does not hear what comes too soon after it has appeared.
            elif time.monotonic() > self.keys[window][1] + 2:
                self.press(window, self.keys[window][0])

    def press(self, window, key):
        xdo("key", key)
        self.keys[window] = key, time.monotonic()

    def choose(self):
        picture(self.args, "choose")
        say("choose", "the first certificate")
        return "Return"

    def prompt(self):
        say("prompt", PROMPT)
        picture(self.args, "prompt")
        if not self.pins:
            say("answer", "cancelled")
            return "Escape"
        xdo("type", "--file", self.pins.pop(0))
        say("answer", "typed")
        return "Return"


def navigate(devtools, args, user, until):
    """What came of it; None when nothing has in time."""
    navigation = devtools.send("Page.navigate", url=args.url)
    while time.monotonic() < until:
        result = devtools.poll(navigation, 0.1)
        if result is not None:
            return result
        user.look()
    return None


def load(devtools, args, until):
    page = [t for t in devtools.call("Target.getTargets")["targetInfos"] if t["type"] == "page"][0]
    devtools.session = devtools.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
    user = User(args)
    for tries in range(3):
        result = navigate(devtools, args, user, until)
        if result is None:
            picture(args, "late")
            say("error", "no page in time")
            return 2
        if "errorText" not in result:
            break
        say("error", result["errorText"])
        if result["errorText"] != GONE or tries == 2:
            return 1
    text = None
    while text is None and time.monotonic() < until:
        text = devtools.call("Runtime.evaluate", expression=TEXT, returnByValue=True)["result"].get("value")
    say("page", text)
    if args.shot:
        with open(args.shot + "-page.png", "wb") as f:
            f.write(base64.b64decode(devtools.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))
    return 0


def start(args):
    """Chromium reads messages from descriptor 3 and writes them to 4."""
    command = args.chromium + ["--user-data-dir=" + args.profile, "--remote-debugging-pipe", "--no-first-run",
                               "--lang=en", "about:blank"]
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    wrap = ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "chromium"]
    browser = subprocess.Popen(wrap + command, pass_fds=(theirs_in, theirs_out), start_new_session=True)
    os.close(theirs_in)
    os.close(theirs_out)
    return browser, DevTools(ours_out, ours_in)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--profile", required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--pin", action="append", default=[])
    parser.add_argument("--shot")
    parser.add_argument("--screen")
    parser.add_argument("--seconds", type=float, default=45)
    parser.add_argument("chromium", nargs="+")
    args = parser.parse_args()
    # Its own process group: its children end with it.
    browser, devtools = start(args)
    try:
        code = load(devtools, args, time.monotonic() + args.seconds)
        devtools.session = None
        devtools.send("Browser.close")
        browser.wait(timeout=15)
        return code
    finally:
        if browser.poll() is None:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()


if __name__ == "__main__":
    sys.exit(main())
