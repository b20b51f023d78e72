// Wires the page: events in, devices drawn, buttons out. Events only change what is known; drawing happens apart, at
// most once per DRAW_PAUSE_MS, however many arrive.

import { clearMessages } from "./control.js";
import { DeviceCard } from "./device-card.js";
import { Devices } from "./devices.js";
import { arrange, el, number, say } from "./dom.js";
import { FaultPanel } from "./faults.js";
import { firstSteps } from "./first-steps.js";
import { ANNOUNCE_PAUSE_MS, CLOCK_MS, DEVICES_KEPT, DEVICES_SHOWN, DRAW_PAUSE_MS } from "./limits.js";
import { watch } from "./stream.js";

const $ = (id) => document.getElementById(id);

let devices = new Devices();
let faults = null;
let run = null;
let connected = false;
let unannounced = 0;
let skipped = 0;
let drawing = null;
/** Cards of the devices that are drawn, in the order in which they came on. */
let drawn = new Map();

const panel = new FaultPanel($("faults"), (inForce) => {
  faults = inForce;
  draw();
});

const act = {
  unregister: (device, gone) => panel.unregister(device.target, gone),
  changed: () => draw(),
};

function draw() {
  drawing ??= setTimeout(() => {
    drawing = null;
    drawDevices();
  }, DRAW_PAUSE_MS);
}

/** Those that are on stay in their places; new ones come on at the front, and the quietest go. */
function drawDevices() {
  const fitting = devices.find($("search").value, $("platform").value);
  const wanted = fitting.slice(0, DEVICES_SHOWN);
  const wantedSet = new Set(wanted);
  const staying = [...drawn.keys()].filter((device) => wantedSet.has(device));
  const coming = wanted.filter((device) => !drawn.has(device));
  drawn = new Map([...coming, ...staying].map((device) => [device, drawn.get(device) ?? new DeviceCard(device, act)]));
  for (const card of drawn.values()) card.draw(faults);
  arrange($("cards"), [...drawn.values()].map((card) => card.element));
  drawAround(fitting.length);
}

function drawAround(fitting) {
  const empty = devices.size === 0;
  $("toolbar").hidden = empty;
  $("first-steps").hidden = !empty || !connected;
  say($("shown"), empty ? "" : shownText(fitting));
}

function shownText(fitting) {
  const searching = $("search").value.trim() !== "" || $("platform").value !== "";
  const known = `${number(devices.size)} ${devices.size === 1 ? "device" : "devices"}`;
  const forgotten = devices.forgotten > 0 ? `; the latest ${number(DEVICES_KEPT)} at most are remembered` : "";
  if (fitting === 0) return `None of ${known} fits${forgotten}`;
  const of = searching ? `${number(fitting)} that fit, of ${known}` : known;
  return fitting > DEVICES_SHOWN ? `The latest ${DEVICES_SHOWN} of ${of}${forgotten}` : `${of}${forgotten}`;
}

/** A line above everything, until it is dismissed; one of each kind. */
function notice(kind, text) {
  const old = $("notices").querySelector(`[data-kind="${kind}"]`);
  const dismiss = el("button", { type: "button", "aria-label": "Dismiss", text: "×", on: { click: () => line.remove() } });
  const line = el("p", { class: "notice", "data-kind": kind }, el("span", { text }), dismiss);
  if (old) old.replaceWith(line);
  else $("notices").append(line);
}

function forget() {
  skipped = 0;
  $("notices").replaceChildren();
  drawn = new Map();
  draw();
}

const STATES = { connecting: "Connecting", live: "Live", lost: "Not connected" };

watch({
  state(name) {
    connected = name === "live";
    $("connection").dataset.state = name;
    say($("connection"), STATES[name]);
    draw();
  },
  hello(hello) {
    if (run !== null && run !== hello.run) {
      devices = new Devices();
      forget();
      notice("restarted", "The emulator was restarted; what it had received before is gone.");
    }
    run = hello.run;
    devices.clear(hello.cleared_at);
    arrange($("projects"), hello.projects.map((project) => el("li", { text: project })));
    firstSteps($("first-steps"), hello.projects);
    draw();
  },
  faults: (inForce) => panel.show(inForce),
  counts(counts) {
    say($("accepted"), number(counts.accepted));
    say($("unique"), number(counts.unique));
    say($("answers-lost"), number(counts.answers_lost));
  },
  cleared(cleared) {
    devices.clear(cleared.cleared_at);
    forget();
  },
  skipped({ count }) {
    skipped += count;
    notice("skipped", `${number(skipped)} messages are not shown, because more came than this page could follow. The counts are complete.`);
  },
  message(received) {
    devices.add(received);
    unannounced += 1;
    draw();
  },
});

$("address").textContent = window.location.host;
$("search").addEventListener("input", draw);
$("platform").addEventListener("change", draw);
$("clear").addEventListener("click", () => clearMessages().catch((error) => notice("clear", error.message)));
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select, textarea");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || $("toolbar").hidden) return;
  event.preventDefault();
  $("search").focus();
});

function showFaults(shown) {
  $("faults").hidden = !shown;
  $("faults-toggle").setAttribute("aria-expanded", String(shown));
}
$("faults-toggle").addEventListener("click", () => showFaults($("faults").hidden));
showFaults(window.matchMedia("(min-width: 64rem)").matches);

setInterval(() => {
  for (const card of drawn.values()) card.tick(Date.now());
}, CLOCK_MS);
setInterval(() => {
  if (unannounced > 0) say($("announcer"), `${number(unannounced)} new ${unannounced === 1 ? "message" : "messages"}`);
  unannounced = 0;
}, ANNOUNCE_PAUSE_MS);
