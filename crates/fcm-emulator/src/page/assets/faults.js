// The panel that makes things go wrong. Every change is put in force at once and whole, as the emulator takes it; what
// the panel doesn't know it leaves as it is. What the emulator refuses stays visible, with its reason.

import { putFaults } from "./control.js";
import { arrange, el, say } from "./dom.js";
import { calm, inWords, KINDS, percent, PRESETS, SWITCHES } from "./fault-kinds.js";

export class FaultPanel {
  #inForce = null;
  #draft = null;
  /** Changes that are not answered yet; they are sent one after the other. */
  #pending = 0;
  #sent = Promise.resolve();
  /** The emulator refused the draft, which stays to be mended. */
  #refused = false;
  #controls = [];
  #onChange;
  #summary = el("p", { class: "in-force", role: "status", text: "…" });
  #problem = el("p", { class: "problem", role: "alert", hidden: true });
  #presets = el("div", { class: "presets", role: "group", "aria-label": "Presets" });
  #rules = el("ul", { class: "rules" });
  #rulesBox = el("fieldset", { hidden: true }, el("legend", { text: "Rules for tokens" }), this.#rules);

  /** `onChange(faults)` is called with what is in force. */
  constructor(panel, onChange) {
    this.#onChange = onChange;
    const rates = (kinds) => kinds.map((kind) => this.#rate(kind));
    panel.append(
      el("header", {}, el("h2", { id: "faults-title", text: "Faults" }),
        el("button", { type: "button", text: "Reset", title: "Nothing goes wrong, no rules", on: { click: () => this.#reset() } })),
      this.#summary,
      this.#problem,
      this.#presets,
      el("fieldset", {}, el("legend", { text: "How often a send fails" }), ...rates(KINDS.filter(({ often }) => often)),
        el("details", {}, el("summary", { text: "More ways to fail" }), ...rates(KINDS.filter(({ often }) => !often)))),
      el("fieldset", {}, el("legend", { text: "How it answers" }),
        this.#pair("Latency", "ms", "latency_ms", ["min", "max"]),
        this.#pair("Retry-After", "s", "retry_after_s", ["min", "max"]),
        this.#pair("Quota", "sends", "quota", ["per_minute", "burst"]),
        ...SWITCHES.map((toggle) => this.#switch(toggle))),
      this.#rulesBox,
    );
    for (const preset of PRESETS) {
      this.#presets.append(el("button", { type: "button", text: preset.name, on: { click: () => this.#preset(preset) } }));
    }
  }

  /** Shows what the emulator says is in force, unless someone is in the middle of a change. */
  show(faults) {
    this.#inForce = faults;
    if (this.#pending === 0 && !this.#refused) this.#draft = structuredClone(faults);
    this.#draw();
    this.#onChange(faults);
  }

  /** Makes sends to one token fail for ever, or takes that back. */
  unregister(token, gone) {
    const prefix = `${token}$`;
    this.#change((faults) => {
      faults.tokens = faults.tokens.filter((rule) => rule.prefix !== prefix);
      if (gone) faults.tokens.unshift({ prefix, answer: "unregistered" });
    });
  }

  /** The weather alone: rules are about devices and have their own buttons. */
  #preset({ faults }) {
    this.#refused = false;
    this.#change((draft) => Object.assign(draft, calm(), structuredClone(faults)));
  }

  /** Everything, rules too. */
  #reset() {
    this.#refused = false;
    this.#change((draft) => {
      for (const key of Object.keys(draft)) delete draft[key];
      Object.assign(draft, calm(), { tokens: [] });
    });
  }

  /** Changes the draft and puts it in force; changes made meanwhile follow in one more request. */
  #change(edit) {
    if (!this.#draft) return;
    edit(this.#draft);
    setTimeout(() => this.#draw()); // once the focus has moved on, where it does
    this.#pending += 1;
    this.#sent = this.#sent.then(() => this.#send());
  }

  async #send() {
    try {
      const faults = await putFaults(this.#draft);
      this.#refused = false;
      this.#problem.hidden = true;
      this.#pending -= 1;
      this.show(faults);
    } catch (error) {
      this.#refused = true;
      this.#pending -= 1;
      this.#problem.hidden = false;
      this.#problem.replaceChildren(
        `Not in force: ${error.message} `,
        el("button", { type: "button", text: "Undo", on: { click: () => this.#undo() } }),
      );
    }
  }

  #undo() {
    this.#refused = false;
    this.#problem.hidden = true;
    this.show(this.#inForce);
  }

  #draw() {
    if (!this.#draft) return;
    say(this.#summary, inWords(this.#inForce));
    this.#summary.dataset.calm = String(inWords(this.#inForce) === inWords({}));
    for (const draw of this.#controls) draw(this.#draft);
    const now = JSON.stringify(comparable(this.#draft));
    [...this.#presets.children].forEach((button, index) => {
      button.setAttribute("aria-pressed", String(JSON.stringify(comparable(PRESETS[index].faults)) === now));
    });
    this.#rulesBox.hidden = this.#draft.tokens.length === 0;
    arrange(this.#rules, this.#draft.tokens.map((rule, index) => this.#rule(rule, index)));
  }

  #rule(rule, index) {
    const whole = rule.prefix.endsWith("$");
    const name = whole ? rule.prefix.slice(0, -1) : `${rule.prefix}…`;
    const what = `${rule.answer}${rule.first ? `, first ${rule.first}` : ""}${rule.status ? `, as ${rule.status}` : ""}`;
    const remove = () => this.#change((faults) => faults.tokens.splice(index, 1));
    return el("li", {}, el("span", { class: "token", text: name, title: name }), el("span", { text: what }),
      el("button", { type: "button", "aria-label": `Remove the rule for ${name}`, text: "×", on: { click: remove } }));
  }

  #rate({ key, name, what }) {
    const output = el("output", {});
    const slider = el("input", { type: "range", min: "0", max: "100", step: "1", id: `rate-${key}`, "aria-describedby": `what-${key}` });
    const fill = (rate) => {
      say(output, percent(rate));
      slider.style.setProperty("--fill", `${rate * 100}%`);
      slider.setAttribute("aria-valuetext", percent(rate));
    };
    slider.addEventListener("input", () => fill(slider.valueAsNumber / 100));
    slider.addEventListener("change", () => this.#change((faults) => {
      faults.rates = { ...faults.rates, [key]: slider.valueAsNumber / 100 };
    }));
    this.#controls.push((faults) => {
      const rate = faults.rates?.[key] ?? 0;
      if (slider.matches(":active")) return; // someone holds it
      slider.value = String(rate * 100);
      fill(rate);
    });
    return el("div", { class: "rate" },
      el("label", { for: slider.id, text: name }), el("small", { id: `what-${key}`, text: what, title: what }), output, slider);
  }

  #pair(name, unit, key, [one, other]) {
    const input = (part) => el("input", { type: "number", min: "0", inputmode: "numeric", placeholder: part.replace("per_", ""), "aria-label": `${name}, ${part.replace("_", " ")}` });
    const inputs = [input(one), input(other)];
    const change = () => this.#change((faults) => {
      const [a, b] = inputs.map((field) => (field.value === "" ? null : field.valueAsNumber));
      faults[key] = a === null && b === null ? null : { [one]: a ?? (one === "min" ? 0 : b), [other]: b ?? a };
    });
    const box = el("div", { class: "pair" }, el("span", {}, name, el("small", { text: unit })), ...inputs);
    const draw = (faults) => {
      if (box.matches(":focus-within")) return; // someone is typing there
      inputs[0].value = faults[key]?.[one] ?? "";
      inputs[1].value = faults[key]?.[other] ?? "";
    };
    box.addEventListener("change", change);
    box.addEventListener("focusout", () => setTimeout(() => this.#draft && draw(this.#draft)));
    this.#controls.push(draw);
    return box;
  }

  #switch({ key, name }) {
    const box = el("input", { type: "checkbox" });
    box.addEventListener("change", () => this.#change((faults) => {
      faults[key] = box.checked;
    }));
    this.#controls.push((faults) => {
      box.checked = faults[key] === true;
    });
    return el("label", { class: "switch" }, box, name);
  }
}

/** Faults without what is off and without rules: what a preset is compared by. */
function comparable(faults) {
  return [
    KINDS.map(({ key }) => faults.rates?.[key] ?? 0),
    ["latency_ms", "retry_after_s", "quota"].map((key) => faults[key] ?? null),
    SWITCHES.map(({ key }) => faults[key] === true),
  ];
}
