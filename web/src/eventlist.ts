/** The events as a list: to be read, heard and chosen from without seeing the timeline. */

import { h, set } from "./dom.ts";
import { byStart, type Events } from "./editing.ts";
import { MODALITY_WORDS, type EventSpan } from "./types.ts";
import { counted, described, span } from "./words.ts";

export class EventList {
  readonly element: HTMLElement;
  #title = h("h2", { id: "events-title" });
  #list = h("ul", { role: "listbox", tabindex: 0, "aria-labelledby": "events-title", class: "events" });
  #empty = h("p", { class: "soft" });
  #shown: Events | null = null;

  constructor(select: (id: string) => void) {
    this.#list.addEventListener("click", (event) => {
      const option = event.target instanceof Element ? event.target.closest("[data-id]") : null;
      if (option instanceof HTMLElement) select(option.dataset["id"]!);
    });
    this.element = h("section", { class: "eventlist", "aria-labelledby": "events-title" }, this.#title, this.#empty, this.#list);
  }

  show(events: Events, selected: string | null, empty: string): void {
    if (events !== this.#shown) {
      this.#shown = events;
      this.#title.textContent = events.length > 0 ? counted(events.length, "event") : "Events";
      this.#empty.textContent = events.length > 0 ? "" : empty;
      this.#empty.hidden = events.length > 0;
      this.#list.hidden = events.length === 0;
      this.#list.replaceChildren(...byStart(events).map(option));
    }
    for (const element of this.#list.querySelectorAll('[aria-selected="true"]')) {
      if ((element as HTMLElement).dataset["id"] !== selected) set(element, "aria-selected", "false");
    }
    const chosen = selected === null ? null : document.getElementById(optionId(selected));
    set(this.#list, "aria-activedescendant", chosen?.id);
    if (chosen === null || chosen.getAttribute("aria-selected") === "true") return;
    set(chosen, "aria-selected", "true");
    // Only the list itself scrolls, never the page.
    const [top, height] = [chosen.offsetTop - this.#list.offsetTop, chosen.offsetHeight];
    if (top < this.#list.scrollTop) this.#list.scrollTop = top;
    else if (top + height > this.#list.scrollTop + this.#list.clientHeight) {
      this.#list.scrollTop = top + height - this.#list.clientHeight;
    }
  }
}

function optionId(id: string): string {
  return `event-${id}`;
}

function option(event: EventSpan): HTMLElement {
  return h(
    "li",
    {
      role: "option",
      id: optionId(event.id),
      "data-id": event.id,
      "aria-selected": "false",
    },
    h("i", { class: `swatch ${event.modality}`, title: MODALITY_WORDS[event.modality], "aria-hidden": "true" }),
    h("span", { class: "what", title: event.category, "aria-hidden": "true" }, event.category),
    h("span", { class: "when", "aria-hidden": "true" }, span(event.start_seconds, event.end_seconds)),
    h("span", { class: "score", "aria-hidden": "true" }, event.score === null ? "by hand" : event.score.toFixed(2)),
    h("span", { class: "hidden" }, described(event)),
  );
}
