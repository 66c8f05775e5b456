/** The library: every video with its state, found by name, state or category. */

import type { Api } from "./api.ts";
import { h, notify, set, write } from "./dom.ts";
import { downloadLink } from "./download.ts";
import { Moments } from "./moments.ts";
import { addressOf, type Asked } from "./search.ts";
import { STATES, type State, type VideoPage, type VideoSummary } from "./types.ts";
import { Uploads } from "./uploads.ts";
import { badge, isWorking, STATE_WORDS, stateText } from "./videostate.ts";
import { layout, visible, type Layout } from "./virtual.ts";
import { bytes, clock, counted, timeOf } from "./words.ts";

const PAGE = 200;
/** Of words that moments are looked for by, as the server has it. */
const MOST_CHARACTERS = 200;
const GAP = 14;
const TEXT_HEIGHT = 112;
/** So many categories can be chosen from at once; the others are found by typing. */
const SHOWN_CATEGORIES = 40;
const ORDERS = [
  ["name", "By name"],
  ["added", "Newest first"],
  ["confidence", "Least sure first"],
] as const;
/** The list stands still once it has not been scrolled for so long. */
const SETTLED_MS = 120;

interface Filter {
  query: string;
  state: string;
  category: string;
  order: string;
}

export class LibraryView {
  readonly element = h("main", { class: "library", id: "main" });
  #filter: Filter = { query: "", state: "", category: "", order: "name" };
  #total = 0;
  #answer: VideoPage | null = null;
  #videos = new Map<number, VideoSummary>();
  #asked = new Set<number>();
  #generation = 0;
  #cards = new Map<number, { element: HTMLElement; video: VideoSummary | null }>();
  #layout: Layout = layout(0, 0, 1, 0, () => 1);
  #rail = h("div", { class: "rail", role: "list", "aria-label": "Videos" });
  #count = h("p", { class: "count", role: "status" });
  #states = h("ul", { class: "filters" });
  #categories = h("ul", { class: "filters" });
  #categoryQuery = h("input", { type: "search", placeholder: "Find a category", "aria-label": "Find a category" });
  #search = h("input", { type: "search", placeholder: "Search by name", "aria-label": "Search by name", id: "search" });
  #mode = h("select", { "aria-label": "Search for" });
  #byFile = h("button", { hidden: true, title: "Find moments like a sound, a picture or a video of yours" }, "By a file …");
  #moments: Moments;
  #columns = h("div", { class: "columns" });
  #uploads: Uploads;
  #empty = h("div", { class: "empty", hidden: true });
  #runAll = h("button", { hidden: true, onclick: () => void this.#forAll("new", (id) => this.api.run(id, false)) });
  #cancelAll = h("button", { hidden: true, onclick: () => void this.#forAll("queued", (id) => this.api.cancel(id)) });
  #cleanup = new AbortController();
  #timer = 0;
  #frame = 0;
  #scrolled = 0;
  #settling = 0;

  constructor(
    private readonly api: Api,
    asked: Asked | null,
  ) {
    const { signal } = this.#cleanup;
    this.#uploads = new Uploads(api, () => this.#later());
    this.#moments = new Moments(api, { ask: (again) => this.#find(again), leave: () => this.#leaveMoments() });
    this.element.append(...this.#assembled());
    document.title = `${api.session.title} · avel`;
    const update = (): void => this.#schedule();
    const scrolled = (): void => {
      this.#scrolled = performance.now();
      update();
    };
    window.addEventListener("scroll", scrolled, { signal, passive: true });
    window.addEventListener("resize", update, { signal });
    const resize = new ResizeObserver(update);
    resize.observe(this.#rail);
    signal.addEventListener("abort", () => resize.disconnect());
    this.#drop(signal);
    void this.#reload();
    if (asked !== null) this.#showMoments(asked);
  }

  close(): void {
    this.#cleanup.abort();
    clearTimeout(this.#timer);
    clearTimeout(this.#settling);
    this.#moments.close();
    cancelAnimationFrame(this.#frame);
  }

  get unsaved(): boolean {
    return this.#uploads.sending;
  }

  key(event: KeyboardEvent): void {
    if (event.key === "/" && !(event.target instanceof HTMLInputElement)) {
      event.preventDefault();
      this.#search.focus();
    }
    if (!this.#moments.shown || event.defaultPrevented || event.isComposing) return;
    if (event.target instanceof HTMLSelectElement) return; // to which these keys mean something of their own
    if (event.key === "Escape") this.#leaveMoments();
    else if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    else if (!this.#moments.step(event.key === "ArrowDown" ? 1 : -1)) return;
    event.preventDefault();
  }

  /** Looks for moments, at an address that Back comes back to. */
  #find(asked: Asked): void {
    history.pushState(null, "", addressOf(asked));
    this.#showMoments(asked);
  }

  #showMoments(asked: Asked): void {
    this.#mode.value = "moment";
    this.#modeChanged();
    this.#search.value = asked.kind === "words" ? asked.text : "";
    this.#columns.hidden = true;
    void this.#moments.ask(asked);
  }

  #leaveMoments(): void {
    history.pushState(null, "", "/");
    this.#moments.close();
    this.#columns.hidden = false;
    this.#search.value = "";
    this.#search.focus();
    this.#schedule();
  }

  /** What is uploaded is seen among the videos. */
  #add(files: Iterable<File>): void {
    if (this.#moments.shown) this.#leaveMoments();
    this.#uploads.add(files);
  }

  #modeChanged(): void {
    const isMoment = this.#mode.value === "moment";
    const words = isMoment ? "Such as: dog barking" : "Search by name";
    this.#byFile.hidden = !isMoment || this.api.session.upload.max_bytes === 0;
    set(this.#search, "placeholder", words);
    set(this.#search, "aria-label", isMoment ? "Find a moment, by what is heard or seen" : words);
    set(this.#search, "maxlength", isMoment ? MOST_CHARACTERS : null);
  }

  /** A change of a video, told by the server. */
  videoChanged(video: VideoSummary): void {
    for (const [index, known] of this.#videos) {
      if (known.id !== video.id) continue;
      this.#videos.set(index, video);
      const card = this.#cards.get(index);
      if (card) this.#fill(card, video, index);
      this.#showPictures();
      if (known.state !== video.state) this.#later();
      return;
    }
    this.#later();
  }

  reviewChanged(): void {
    // A video's own message says what is new of it.
  }

  reconnected(): void {
    void this.#reload();
  }

  /** Counts and filters follow soon, however many changes there are. */
  #later(): void {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#reload(), 400);
  }

  #set(change: Partial<Filter>): void {
    this.#filter = { ...this.#filter, ...change };
    window.scrollTo(0, 0);
    void this.#reload();
  }

  async #reload(): Promise<void> {
    const generation = ++this.#generation;
    this.#asked.clear();
    const first = visible(this.#layout, this.#top(), window.innerHeight, Math.max(this.#total, 1)).from;
    const page = Math.floor(first / PAGE);
    await this.#fetch(page, generation, true);
  }

  async #fetch(page: number, generation: number, anew = false): Promise<void> {
    if (this.#asked.has(page)) return;
    this.#asked.add(page);
    try {
      const answer = await this.api.videos({ offset: page * PAGE, limit: PAGE, ...this.#filter });
      if (generation !== this.#generation || this.#cleanup.signal.aborted) return;
      if (anew) this.#videos.clear();
      answer.videos.forEach((video, index) => this.#videos.set(page * PAGE + index, video));
      this.#total = answer.total;
      this.#answer = answer;
      this.#show();
    } catch (error) {
      if (generation !== this.#generation || this.#cleanup.signal.aborted) return;
      this.#asked.delete(page);
      write(this.#count, error instanceof Error ? error.message : String(error));
    }
  }

  #show(): void {
    const { query, state, category } = this.#filter;
    const filtered = query !== "" || state !== "" || category !== "";
    write(
      this.#count,
      this.#total === 0
        ? filtered
          ? "No video fits."
          : "No videos yet."
        : counted(this.#total, "video"),
    );
    this.#empty.hidden = this.#total > 0 || filtered;
    this.#showFilters();
    this.#schedule();
  }

  /** Asks the same of every video of a state, whatever is filtered; it ends when the library is left. */
  async #forAll(state: State, request: (id: string) => Promise<VideoSummary>): Promise<void> {
    const done = new Set<string>();
    this.#runAll.disabled = this.#cancelAll.disabled = true;
    try {
      while (!this.#cleanup.signal.aborted) {
        const { videos } = await this.api.videos({ offset: 0, limit: PAGE, state, query: "", category: "", order: "name" });
        const rest = videos.filter(({ id }) => !done.has(id));
        if (rest.length === 0) break;
        for (const { id } of rest) {
          if (this.#cleanup.signal.aborted) return;
          done.add(id);
          await request(id);
        }
      }
    } catch (error) {
      notify(error instanceof Error ? error.message : String(error), "error");
    } finally {
      this.#runAll.disabled = this.#cancelAll.disabled = false;
      this.#later();
    }
  }

  async #rescan(button: HTMLButtonElement): Promise<void> {
    button.disabled = true;
    try {
      const { videos, results } = await this.api.rescan();
      notify(videos + results === 0 ? "Nothing new." : `${counted(videos, "new video")}, ${counted(results, "new result")}.`);
      await this.#reload();
    } catch (error) {
      notify(error instanceof Error ? error.message : String(error), "error");
    } finally {
      button.disabled = false;
    }
  }

  #showFilters(): void {
    const counts = this.#answer?.counts ?? {};
    const fresh = counts["new"] ?? 0;
    const waiting = counts["queued"] ?? 0;
    this.#runAll.hidden = fresh < 2;
    write(this.#runAll, `Find events in all ${fresh.toLocaleString("en")} new`);
    this.#cancelAll.hidden = waiting < 2;
    write(this.#cancelAll, `Cancel all ${waiting.toLocaleString("en")} waiting`);
    const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
    filled(this.#states, [
      choice("state", "All", "", all, this.#filter.state === "", (value) => this.#set({ state: value })),
      ...STATES.filter((state) => (counts[state] ?? 0) > 0 || state === this.#filter.state).map((state) =>
        choice("state", STATE_WORDS[state], state, counts[state] ?? 0, state === this.#filter.state, (value) =>
          this.#set({ state: value }),
        ),
      ),
    ]);
    const wanted = this.#categoryQuery.value.trim().toLowerCase();
    const found = Object.entries(this.#answer?.categories ?? {})
      .filter(([name]) => name.toLowerCase().includes(wanted) || name === this.#filter.category)
      .sort(([a, x], [b, y]) => y - x || a.localeCompare(b));
    this.#categoryQuery.hidden = Object.keys(this.#answer?.categories ?? {}).length <= 12;
    filled(this.#categories, [
      choice("category", "Any", "", null, this.#filter.category === "", (value) => this.#set({ category: value })),
      ...found
        .slice(0, SHOWN_CATEGORIES)
        .map(([name, count]) =>
          choice("category", name, name, count, name === this.#filter.category, (value) => this.#set({ category: value })),
        ),
    ]);
  }

  #schedule(): void {
    if (this.#frame === 0 && !this.#cleanup.signal.aborted) {
      this.#frame = requestAnimationFrame(() => {
        this.#frame = 0;
        this.#render();
      });
    }
  }

  #top(): number {
    return Math.max(0, -this.#rail.getBoundingClientRect().top);
  }

  #render(): void {
    const width = this.#rail.clientWidth;
    if (width === 0) return;
    const least = width < 520 ? 150 : width > 2200 ? 300 : 216;
    const before = this.#layout;
    this.#layout = layout(width, this.#total, least, GAP, (wide) => Math.round((wide * 9) / 16) + TEXT_HEIGHT);
    const { columns, rowHeight, height } = this.#layout;
    const isSame = before.columns === columns && before.rowHeight === rowHeight && before.height === height;
    if (!isSame) this.#rail.style.height = `${height}px`;
    const { from, to } = visible(this.#layout, this.#top(), window.innerHeight, this.#total);
    for (const [index, { element }] of this.#cards) {
      // What has the focus stays, wherever it is scrolled to.
      if (index < this.#total && ((index >= from && index < to) || element.contains(document.activeElement))) continue;
      element.remove();
      this.#cards.delete(index);
    }
    const cardWidth = (width - GAP * (columns - 1)) / columns;
    for (let index = from; index < to; index += 1) {
      let card = this.#cards.get(index);
      const video = this.#videos.get(index) ?? null;
      const isNew = card === undefined;
      if (card === undefined) {
        card = { element: h("article", { class: "card", role: "listitem" }), video: null };
        this.#cards.set(index, card);
        this.#fill(card, video, index);
        this.#insert(index, card.element);
      } else if (card.video !== video) this.#fill(card, video, index);
      if (video === null) void this.#fetch(Math.floor(index / PAGE), this.#generation);
      if (!isNew && isSame) continue;
      const { style } = card.element;
      const [x, y] = [(index % columns) * (cardWidth + GAP), Math.floor(index / columns) * rowHeight];
      style.transform = `translate(${x}px, ${y}px)`;
      style.width = `${cardWidth}px`;
      style.height = `${rowHeight - GAP}px`;
      set(card.element, "aria-setsize", this.#total);
    }
    this.#showPictures();
  }

  /** Pictures of cards that are only scrolled past are not asked for. */
  #showPictures(): void {
    clearTimeout(this.#settling);
    const wait = SETTLED_MS - (performance.now() - this.#scrolled);
    if (wait > 0) {
      this.#settling = window.setTimeout(() => this.#showPictures(), wait);
      return;
    }
    for (const image of this.#rail.querySelectorAll<HTMLImageElement>("img[data-src]")) {
      image.src = image.dataset["src"]!;
      delete image.dataset["src"];
    }
  }

  /** In their order, for whoever goes through them by keyboard or ear. */
  #insert(index: number, element: HTMLElement): void {
    element.dataset["index"] = String(index);
    const after = [...this.#rail.children].find((other) => Number((other as HTMLElement).dataset["index"]) > index);
    this.#rail.insertBefore(element, after ?? null);
  }

  #fill(card: { element: HTMLElement; video: VideoSummary | null }, video: VideoSummary | null, index: number): void {
    const focused = card.element.contains(document.activeElement)
      ? (document.activeElement as HTMLElement).dataset["part"]
      : undefined;
    card.video = video;
    set(card.element, "aria-posinset", index + 1);
    if (video === null) {
      card.element.replaceChildren(h("div", { class: "thumb" }));
      return;
    }
    const working = isWorking(video);
    const image = h("img", { "data-src": video.thumbnail_url, alt: "", decoding: "async" });
    image.addEventListener("error", () => image.remove());
    const chips = video.categories.slice(0, 3).map((name) => h("span", { class: "chip" }, name));
    const more = video.categories.length - chips.length;
    card.element.replaceChildren(
      h(
        "a",
        { href: `/video/${encodeURIComponent(video.id)}`, "data-link": true, "data-part": "link", title: video.name },
        h(
          "div",
          { class: "thumb" },
          image,
          badge(video),
          video.duration_seconds !== null && h("span", { class: "length" }, clock(video.duration_seconds, 0)),
        ),
        h("span", { class: "title" }, video.name),
      ),
      h("p", { class: video.state === "failed" ? "state bad" : "state", title: video.reason }, stateText(video)),
      working
        ? h("progress", { max: 1, value: video.progress, "aria-label": `Progress of ${video.name}` })
        : h("p", { class: "chips" }, ...chips, more > 0 && h("span", { class: "chip more" }, `+${more}`)),
    );
    const tool = this.#tool(video, working);
    if (tool !== null) card.element.append(tool);
    if (focused) card.element.querySelector<HTMLElement>(`[data-part="${focused}"]`)?.focus({ preventScroll: true });
  }

  #tool(video: VideoSummary, working: boolean): HTMLElement | null {
    const button = (text: string, request: () => Promise<VideoSummary>): HTMLElement =>
      h(
        "button",
        {
          class: "small",
          "data-part": "tool",
          "aria-label": `${text}: ${video.name}`,
          onclick: async () => {
            try {
              this.videoChanged(await request());
            } catch (error) {
              notify(error instanceof Error ? error.message : String(error), "error");
            }
          },
        },
        text,
      );
    if (working) return button("Cancel", () => this.api.cancel(video.id));
    if (video.state === "new") return button("Find events", () => this.api.run(video.id, false));
    if (video.state === "failed") return button("Try again", () => this.api.run(video.id, true));
    return null;
  }

  #assembled(): HTMLElement[] {
    const { session } = this.api;
    let waits = 0;
    this.#mode.append(h("option", { value: "name" }, "Find a video"), h("option", { value: "moment" }, "Find a moment"));
    this.#mode.addEventListener("change", () => {
      this.#modeChanged();
      this.#search.value = "";
      if (this.#moments.shown) this.#leaveMoments();
      else if (this.#filter.query !== "") this.#set({ query: "" });
      this.#search.focus();
    });
    this.#search.addEventListener("keydown", (event) => {
      const text = this.#search.value.trim();
      if (event.key !== "Enter" || event.isComposing || this.#mode.value !== "moment" || text === "") return;
      this.#find({ kind: "words", text, lookedIn: this.#moments.lookedIn });
    });
    this.#search.addEventListener("input", () => {
      if (this.#mode.value === "moment") return; // which is looked for when it is whole
      clearTimeout(waits);
      waits = window.setTimeout(() => this.#set({ query: this.#search.value.trim() }), 150);
    });
    this.#categoryQuery.addEventListener("input", () => this.#showFilters());
    const order = h("select", { "aria-label": "Order" }, ...ORDERS.map(([value, text]) => h("option", { value }, text)));
    order.addEventListener("change", () => this.#set({ order: order.value }));
    const file = h("input", {
      type: "file",
      multiple: true,
      class: "hidden",
      tabindex: -1,
      "aria-hidden": "true",
      accept: session.upload.suffixes.map((suffix) => `.${suffix.replace(/^\./, "")}`).join(","),
    });
    file.addEventListener("change", () => {
      this.#add(file.files ?? []);
      file.value = "";
    });
    const query = h("input", {
      type: "file",
      class: "hidden",
      tabindex: -1,
      "aria-hidden": "true",
      "data-part": "query",
      accept: "audio/*,image/*,video/*",
    });
    query.addEventListener("change", () => {
      const [given] = query.files ?? [];
      query.value = "";
      if (given !== undefined) this.#find({ kind: "file", file: given, lookedIn: this.#moments.lookedIn });
    });
    this.#byFile.addEventListener("click", () => query.click());
    if (session.upload.max_bytes > 0) {
      this.#empty.append(
        h("p", {}, "Drop videos here"),
        h("button", { class: "primary", onclick: () => file.click() }, "Choose videos"),
        h("p", { class: "soft" }, `Up to ${bytes(session.upload.max_bytes)} and ${timeOf(session.upload.max_seconds)} each. They stay on this machine.`),
      );
    }
    const again = h(
      "button",
      { title: "Look for new videos and results", onclick: () => void this.#rescan(again) },
      "Look again",
    );
    const next = h("button", {}, "Review next");
    next.addEventListener("click", async () => {
      const id = await this.api.next(null).catch(() => null);
      if (id === null) notify("No video waits for a review.");
      else this.element.dispatchEvent(new CustomEvent("go", { bubbles: true, detail: `/video/${encodeURIComponent(id)}` }));
    });
    this.#columns.append(
      h(
        "aside",
        { "aria-label": "Filters" },
        fieldset("State", this.#states),
        fieldset("Found category", this.#categoryQuery, this.#categories),
      ),
      h(
        "section",
        { class: "found", "aria-label": "Videos" },
        h("div", { class: "listhead" }, this.#count, this.#runAll, this.#cancelAll, session.source !== "uploads" && again, order),
        session.source === "uploads" &&
          h("p", { class: "soft" }, "Uploaded videos and their events are removed when avel serve ends; export what you want to keep."),
        this.#uploads.element,
        this.#empty,
        this.#rail,
      ),
    );
    return [
      h(
        "header",
        { class: "head" },
        h("span", { class: "brand", "aria-hidden": "true" }, "avel"),
        h("h1", { title: session.title }, session.title),
        h(
          "div",
          { class: "tools" },
          session.search && this.#mode,
          this.#search,
          session.search && this.#byFile,
          session.search && query,
          session.upload.max_bytes > 0 && h("button", { class: "primary", onclick: () => file.click() }, "Add videos"),
          file,
          next,
          downloadLink(
            this.api,
            "/api/labels",
            { class: "button", title: "The events of all corrected and reviewed videos, as a CSV file for avel train" },
            "Labels",
          ),
        ),
      ),
      this.#moments.element,
      this.#columns,
    ];
  }

  #drop(signal: AbortSignal): void {
    if (this.api.session.upload.max_bytes === 0) return;
    const veil = h("div", { class: "dropveil", hidden: true }, h("p", {}, "Drop videos to add them"));
    this.element.append(veil);
    let depth = 0;
    const carries = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
    const shown = (change: number): void => {
      depth = Math.max(0, depth + change);
      veil.hidden = depth === 0;
    };
    window.addEventListener("dragenter", (event) => carries(event) && shown(1), { signal });
    window.addEventListener("dragleave", (event) => carries(event) && shown(-1), { signal });
    window.addEventListener("dragover", (event) => carries(event) && event.preventDefault(), { signal });
    window.addEventListener(
      "drop",
      (event) => {
        if (!carries(event)) return;
        event.preventDefault();
        shown(-depth);
        this.#add(event.dataTransfer?.files ?? []);
      },
      { signal },
    );
  }
}

function fieldset(title: string, ...children: HTMLElement[]): HTMLElement {
  return h("fieldset", {}, h("legend", {}, title), ...children);
}

function choice(
  name: string,
  text: string,
  value: string,
  count: number | null,
  checked: boolean,
  chosen: (value: string) => void,
): HTMLElement {
  const input = h("input", { type: "radio", name, value, checked, onchange: () => chosen(value) });
  return h(
    "li",
    {},
    h("label", {}, input, h("span", { class: "what" }, text), count !== null && h("span", { class: "number" }, count.toLocaleString("en"))),
  );
}

/** New choices in place of old ones; the focus stays on the one it was on. */
function filled(list: HTMLElement, choices: HTMLElement[]): void {
  const focused = list.contains(document.activeElement) ? (document.activeElement as HTMLInputElement).value : null;
  list.replaceChildren(...choices);
  if (focused === null) return;
  for (const input of list.querySelectorAll("input")) if (input.value === focused) input.focus({ preventScroll: true });
}
