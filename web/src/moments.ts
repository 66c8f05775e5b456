/** Moments that were found in a library: ranked, with a picture, when, and why. */

import type { Api } from "./api.ts";
import { h, set, write } from "./dom.ts";
import { LOOKED_IN, momentAddress, type Asked, type LookedIn } from "./search.ts";
import { MODALITY_WORDS, type Found, type Moment } from "./types.ts";
import { clock, counted } from "./words.ts";

const LOOKED_IN_WORDS: Readonly<Record<LookedIn, string>> = {
  both: "heard or seen",
  audio: "heard",
  visual: "seen",
};

export class Moments {
  readonly element = h("section", { class: "moments", "aria-labelledby": "moments-title", hidden: true });
  #title = h("h2", { id: "moments-title" });
  #status = h("p", { class: "count", role: "status" });
  #meaning = h("p", { class: "soft" });
  #warnings = h("ul", { class: "soft" });
  #lookedIn = h("select", { "aria-label": "Look at what is" });
  #list = h("ol", { class: "momentlist", "aria-label": "Moments, the closest first" });
  #far = h("details", { class: "far", hidden: true });
  #asked: Asked | null = null;
  #asking: AbortController | null = null;

  constructor(
    private readonly api: Api,
    told: { ask(asked: Asked): void; leave(): void },
  ) {
    this.#lookedIn.append(...LOOKED_IN.map((value) => h("option", { value }, LOOKED_IN_WORDS[value])));
    this.#lookedIn.addEventListener("change", () => {
      const lookedIn = LOOKED_IN.find((one) => one === this.#lookedIn.value);
      if (this.#asked !== null && lookedIn !== undefined) told.ask({ ...this.#asked, lookedIn });
    });
    this.element.append(
      h(
        "div",
        { class: "listhead" },
        this.#title,
        this.#lookedIn,
        h("button", { onclick: () => told.leave(), title: "Key: Esc" }, "All videos"),
      ),
      this.#status,
      this.#meaning,
      this.#warnings,
      this.#list,
      this.#far,
    );
  }

  get shown(): boolean {
    return !this.element.hidden;
  }

  get lookedIn(): LookedIn {
    return this.#asked?.lookedIn ?? "both";
  }

  close(): void {
    this.#asking?.abort();
    this.#asked = null;
    this.element.hidden = true;
  }

  async ask(asked: Asked): Promise<void> {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    this.#asked = asked;
    this.element.hidden = false;
    this.#lookedIn.value = asked.lookedIn;
    write(this.#title, asked.kind === "words" ? `Moments of “${asked.text}”` : `Moments like ${asked.kind === "file" ? asked.file.name : "an event"}`);
    write(this.#status, "Looking …");
    this.#clear();
    set(this.element, "aria-busy", "true");
    try {
      const found = await this.api.search(asked, asking.signal);
      if (!asking.signal.aborted) this.#show(asked, found);
    } catch (error) {
      if (!asking.signal.aborted) write(this.#status, error instanceof Error ? error.message : String(error));
    } finally {
      if (this.#asking === asking) set(this.element, "aria-busy", null);
    }
  }

  /** From one moment to the next; from the field to the first. Whether there was one. */
  step(by: 1 | -1): boolean {
    const links = [...this.element.querySelectorAll<HTMLElement>("a.moment")].filter((link) => link.checkVisibility());
    const place = links.findIndex((link) => link === document.activeElement);
    const next = place < 0 ? (by > 0 ? links[0] : undefined) : links[place + by];
    next?.focus();
    return next !== undefined;
  }

  #clear(): void {
    for (const element of [this.#meaning, this.#warnings, this.#list, this.#far]) element.replaceChildren();
    this.#meaning.hidden = this.#warnings.hidden = this.#far.hidden = true;
  }

  #show(asked: Asked, found: Found): void {
    const close = found.hits.filter(({ is_close }) => is_close);
    const far = found.hits.filter(({ is_close }) => !is_close);
    if (asked.kind !== "words") write(this.#title, `Moments like ${found.asked}`);
    write(this.#status, found.note ?? (close.length === 1 ? "1 moment." : `${counted(close.length, "moment")}, the closest first.`));
    write(this.#meaning, found.meaning ? `Taken for ${found.meaning}.` : "");
    this.#meaning.hidden = !found.meaning;
    this.#warnings.replaceChildren(...found.warnings.map((text) => h("li", {}, text)));
    this.#warnings.hidden = found.warnings.length === 0;
    this.#list.replaceChildren(...close.map((moment) => h("li", {}, shown(this.api, moment))));
    this.#far.hidden = far.length === 0;
    this.#far.open = false;
    this.#far.replaceChildren(
      h("summary", {}, `${counted(far.length, "moment")} that ${far.length === 1 ? "is" : "are"} not close`),
      h("ol", { class: "momentlist" }, ...far.map((moment) => h("li", {}, shown(this.api, moment)))),
    );
  }
}

function shown(api: Api, moment: Moment): HTMLElement {
  const { video_id: id, start_seconds: start, end_seconds: end } = moment;
  const thumb = h("span", { class: "thumb" });
  if (id !== null) {
    const image = h("img", { src: api.partUrl(id, "thumbnail", { at: ((start + end) / 2).toFixed(1) }), alt: "", loading: "lazy" });
    image.addEventListener("error", () => image.remove());
    thumb.append(image);
  }
  const text = h(
    "span",
    { class: "about" },
    h("span", { class: "title" }, moment.name),
    h(
      "span",
      { class: "when" },
      `${clock(start, 1)} – ${clock(end, 1)}, ${MODALITY_WORDS[moment.modality]}, score ${moment.score.toFixed(2)}`,
    ),
    h("span", { class: "why" }, moment.why),
    id === null && h("span", { class: "why" }, "This video is not on this page. Open it with avel serve to play it."),
  );
  return id === null
    ? h("span", { class: "moment" }, thumb, text)
    : h("a", { class: "moment", href: momentAddress(id, start), "data-link": true }, thumb, text);
}
