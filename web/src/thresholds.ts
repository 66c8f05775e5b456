/** Thresholds of one category: what other ones would find is shown at once, and only used when a person says so. */

import { h, set, write } from "./dom.ts";
import type { Events } from "./editing.ts";
import type { Limit } from "./geometry.ts";
import type { Thresholds } from "./types.ts";
import { counted } from "./words.ts";

const WORDS: Readonly<Record<Limit, string>> = { audio: "heard", visual: "seen", combined: "heard and seen" };

export function limitWord(limit: Limit): string {
  return WORDS[limit];
}

/** The localizer's thresholds for a category. One of both together counts where there is none of each alone. */
export function limitsOf(thresholds: Thresholds, category: string): Map<Limit, number> {
  const valueOf = (name: string): number | undefined => {
    const given = thresholds[name];
    return typeof given === "number" ? given : (given?.[category] ?? given?.["default"]);
  };
  const found = new Map<Limit, number>();
  for (const limit of ["audio", "visual"] as const) {
    const value = valueOf(limit);
    if (value !== undefined) found.set(limit, value);
  }
  const both = valueOf("av");
  if (found.size === 0 && both !== undefined) found.set("combined", both);
  return found;
}

export class ThresholdPanel {
  readonly element: HTMLElement;
  #title = h("h2", { id: "thresholds-title" });
  #rows = new Map<Limit, { row: HTMLElement; input: HTMLInputElement; value: HTMLElement }>();
  #result = h("p", { class: "soft", role: "status" });
  #use: HTMLButtonElement;
  #back: HTMLButtonElement;

  constructor(moved: (limit: Limit, value: number) => void, use: () => void, back: () => void) {
    this.#use = h("button", { class: "small", onclick: use, title: "Put the events that these thresholds give in place of those that are there" }, "Use");
    this.#back = h("button", { class: "small", onclick: back, title: "The thresholds as they were" }, "Put back");
    this.element = h("section", { class: "thresholds", "aria-labelledby": "thresholds-title" }, this.#title);
    for (const limit of Object.keys(WORDS) as Limit[]) {
      const input = h("input", { type: "range", min: 0.01, max: 0.99, step: 0.01, id: `threshold-${limit}` });
      const value = h("output", { for: input.id });
      input.addEventListener("input", () => moved(limit, input.valueAsNumber));
      const word = h("label", { for: input.id }, `${limitWord(limit)} from`);
      const row = h("div", { class: "row" }, h("i", { class: `swatch ${limit === "combined" ? "audio-visual" : limit}` }), word, input, value);
      this.#rows.set(limit, { row, input, value });
      this.element.append(row);
    }
    this.element.append(h("div", { class: "row outcome" }, this.#result, this.#use, this.#back));
  }

  show(
    category: string | null,
    limits: ReadonlyMap<Limit, number>,
    now: number,
    preview: Events | null,
    changed: boolean,
  ): void {
    this.element.hidden = category === null || limits.size === 0;
    if (category === null) return;
    write(this.#title, `${category} counts as`);
    for (const [limit, { row, input, value }] of this.#rows) {
      const at = limits.get(limit);
      row.hidden = at === undefined;
      if (at === undefined) continue;
      if (input.valueAsNumber !== at) input.value = String(at);
      set(input, "aria-valuetext", at.toFixed(2));
      write(value, at.toFixed(2));
    }
    write(
      this.#result,
      preview === null
        ? "Move one to preview"
        : `${counted(preview.length, "event")} instead of ${now.toLocaleString("en")}`,
    );
    this.#use.disabled = preview === null;
    this.#back.disabled = !changed;
  }
}
