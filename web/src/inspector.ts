/** The chosen event, and everything that can be done to it. */

import { h, set, write } from "./dom.ts";
import type { Action } from "./keys.ts";
import { MODALITIES, MODALITY_WORDS, type EventSpan, type Modality } from "./types.ts";

export interface InspectorEvents {
  act(action: Action): void;
  category(category: string): void;
  modality(modality: Modality): void;
  boundary(side: "start" | "end", seconds: number): void;
}

export class Inspector {
  readonly element: HTMLElement;
  readonly category = h("select", { id: "event-category" });
  #title = h("h2", { id: "event-title" });
  #modality = h("select", { id: "event-modality" });
  #ends = new Map<"start" | "end", HTMLInputElement>();
  #buttons = new Map<Action, HTMLButtonElement>();
  #hint = h("p", { class: "soft" });
  #form: HTMLElement;
  #names: readonly string[] = [];

  constructor(told: InspectorEvents, duration: number, canSearch: boolean) {
    this.#modality.append(...MODALITIES.map((name) => h("option", { value: name }, MODALITY_WORDS[name])));
    this.category.addEventListener("change", () => told.category(this.category.value));
    this.#modality.addEventListener("change", () => told.modality(this.#modality.value as Modality));
    const fields = [
      field("Category", this.category),
      field("Noticed", this.#modality),
    ];
    for (const side of ["start", "end"] as const) {
      const input = h("input", { type: "number", id: `event-${side}`, min: 0, max: duration, step: 0.01 });
      input.addEventListener("change", () => {
        if (Number.isFinite(input.valueAsNumber)) told.boundary(side, input.valueAsNumber);
      });
      this.#ends.set(side, input);
      fields.push(field(side === "start" ? "Start (s)" : "End (s)", input));
    }
    const button = (action: Action, text: string, help: string): HTMLButtonElement => {
      const made = h("button", { class: "small", onclick: () => told.act(action), title: help }, text);
      this.#buttons.set(action, made);
      return made;
    };
    this.#form = h(
      "div",
      {},
      h("div", { class: "fields" }, ...fields),
      h(
        "div",
        { class: "buttons" },
        button("set-start", "Start here", "The event starts where the video stands. Key: ["),
        button("set-end", "End here", "The event ends where the video stands. Key: ]"),
        button("split", "Split", "Cut in two where the video stands. Key: S"),
        button("merge", "Merge", "Join with the next event of this category. Key: M"),
        button("delete", "Delete", "Key: Delete"),
        canSearch && button("alike", "More like this event", "Find moments like this one in the library. Key: F"),
      ),
    );
    this.element = h("section", { class: "inspector", "aria-labelledby": "event-title" }, this.#title, this.#hint, this.#form);
  }

  show(event: EventSpan | null, lane: string | null, categories: readonly string[], can: ReadonlySet<Action>): void {
    if (categories !== this.#names) {
      this.#names = categories;
      this.category.replaceChildren(...categories.map((name) => h("option", { value: name }, name)));
    }
    write(this.#title, event === null ? "No event chosen" : "Chosen event");
    write(
      this.#hint,
      event !== null
        ? ""
        : lane === null
          ? "Choose an event in the list or on the timeline."
          : `Choose an event, or draw a new ${lane} on its lane.`,
    );
    this.#hint.hidden = event !== null;
    this.#form.hidden = event === null;
    if (event === null) return;
    this.category.value = event.category;
    this.#modality.value = event.modality;
    for (const [side, input] of this.#ends) {
      const text = (side === "start" ? event.start_seconds : event.end_seconds).toFixed(2);
      if (document.activeElement !== input || input.valueAsNumber.toFixed(2) !== text) input.value = text;
    }
    for (const [action, made] of this.#buttons) set(made, "disabled", !can.has(action));
  }
}

function field(name: string, input: HTMLElement): HTMLElement {
  return h("div", { class: "field" }, h("label", { for: input.id }, name), input);
}
