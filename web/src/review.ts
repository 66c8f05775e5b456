/** The review of one video: its player, its timeline, and what a person corrects. */

import { ApiError, type Api } from "./api.ts";
import { Corrections, type Happening } from "./corrections.ts";
import { announce, h, notify, set, write } from "./dom.ts";
import * as editing from "./editing.ts";
import { byStart, find, type Edit, type Events, type Grid } from "./editing.ts";
import { downloadLink } from "./download.ts";
import { EventList } from "./eventlist.ts";
import type { Limit } from "./geometry.ts";
import { showHelp, singleKeys } from "./help.ts";
import { Inspector } from "./inspector.ts";
import { actionOf, isSingle, type Action } from "./keys.ts";
import { Player, SPEEDS } from "./player.ts";
import { limitsOf, ThresholdPanel } from "./thresholds.ts";
import { addressOf } from "./search.ts";
import { Timeline } from "./timeline.ts";
import type { Media, Review, VideoDetail, VideoSummary } from "./types.ts";
import { badge, isWorking, stateText } from "./videostate.ts";
import { clock, described, spoken } from "./words.ts";

/** Up to so many lanes all show their scores; of more, only the one at work does. */
const FEW_LANES = 4;
const PEAKS_PER_SECOND = 50;
const STRIP_FRAMES = 120;
const FAR_SECONDS = 5;


export interface Place {
  go(path: string): void;
}

export class ReviewView {
  readonly element = h("main", { class: "review", id: "main" });
  #parts: Parts | null = null;
  #closed = false;
  #timer = 0;
  #summary: VideoSummary | null = null;
  /** A moment of a video without a result can be played as well. */
  #shownMoment: HTMLVideoElement | null = null;
  #head: Head;
  #body = h("div", { class: "body" });

  constructor(
    private readonly api: Api,
    private readonly id: string,
    /** Where it is opened, in seconds. */
    private readonly moment: number | null,
    private readonly place: Place,
  ) {
    this.#head = new Head(api, id, {
      undo: () => this.#parts?.act("undo"),
      redo: () => this.#parts?.act("redo"),
      reviewed: () => void this.#toggleReviewed(),
      next: () => void this.#next(),
      again: () => void this.#attempt(() => (this.#working ? this.api.cancel(this.id) : this.api.run(this.id, true))),
    });
    this.element.append(this.#head.element, this.#body);
    void this.#load();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#parts?.close();
  }

  get #working(): boolean {
    return this.#summary !== null && isWorking(this.#summary);
  }

  get unsaved(): boolean {
    return this.#parts?.corrections.unsaved ?? false;
  }

  /** A change of a video, told by the server. */
  videoChanged(video: VideoSummary): void {
    if (video.id !== this.id || this.#closed) return;
    const before = this.#summary;
    this.#summary = video;
    this.#head.video(video);
    const hasResult = (state: string): boolean => state === "done" || state === "reviewed";
    if (before !== null && hasResult(before.state) !== hasResult(video.state)) void this.#load();
    else if (this.#parts === null) this.#showState(video);
  }

  reviewChanged(id: string, review: Review): void {
    const corrections = this.#parts?.corrections;
    if (id !== this.id || !corrections || corrections.unsaved) return;
    if (review.revision === corrections.review.revision) {
      if (review.reviewed !== corrections.review.reviewed) corrections.marked(review);
      return;
    }
    void this.#refresh();
  }

  /** After the server was away, what is shown may be old. */
  reconnected(): void {
    if (this.#parts !== null && !this.unsaved) void this.#refresh();
    else if (this.#parts === null) void this.#load();
  }

  key(event: KeyboardEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    if (event.key === "Escape" && target?.matches("select, input")) {
      this.#parts?.focus(); // out of the field, back to where keys mean what they mean here
      event.preventDefault();
      return;
    }
    const action = actionFrom(event);
    if (action === null) return;
    if (action === "next-video") void this.#next();
    else if (action === "reviewed") void this.#toggleReviewed();
    else if (this.#parts === null || !this.#parts.act(action, event)) return;
    event.preventDefault();
  }

  async #load(): Promise<void> {
    let detail: VideoDetail;
    try {
      detail = await this.api.video(this.id);
    } catch (error) {
      if (this.#closed) return;
      this.#body.replaceChildren(h("p", { class: "problem", role: "alert" }, messageOf(error)));
      if (!(error instanceof ApiError)) this.#timer = window.setTimeout(() => void this.#load(), 2000);
      return;
    }
    if (this.#closed) return;
    this.#parts?.close();
    this.#parts = null;
    this.#summary = detail.video;
    this.#head.video(detail.video);
    document.title = `${detail.video.name} · avel`;
    if (detail.segments.length === 0) {
      this.#head.review(null);
      this.#showState(detail.video, detail.media);
      return;
    }
    this.#parts = new Parts(this.api, this.id, detail, {
      reviewed: (corrections) => this.#head.review(corrections),
      saving: (word) => this.#head.saving(word),
      go: (path) => this.place.go(path),
    });
    this.#body.replaceChildren(this.#parts.element);
    this.#parts.start(this.moment ?? 0);
    this.#whenPlayable(detail.media);
  }

  async #refresh(): Promise<void> {
    try {
      const detail = await this.api.video(this.id);
      if (!this.#closed) this.#parts?.corrections.receive({ events: detail.events, review: detail.review });
    } catch {
      // The next change or the next message of the server tries again.
    }
  }

  /** A file that no browser plays is made playable meanwhile; the rest can be used at once. */
  #whenPlayable(media: Media): void {
    if (media.kind !== "preparing") return;
    this.#timer = window.setTimeout(async () => {
      try {
        const now = (await this.api.video(this.id)).media;
        if (this.#closed) return;
        if (now.kind !== "preparing") this.#parts?.player.open(now);
        else if (now.note !== null) this.#parts?.player.say(now.note);
        this.#whenPlayable(now);
      } catch {
        if (!this.#closed) this.#whenPlayable(media);
      }
    }, 1500);
  }

  #showState(video: VideoSummary, media?: Media): void {
    const run = h("button", { class: "primary" }, video.state === "failed" ? "Try again" : "Find events");
    run.addEventListener("click", () => void this.#attempt(() => this.api.run(this.id, video.state === "failed")));
    const cancel = h("button", {}, "Cancel");
    cancel.addEventListener("click", () => void this.#attempt(() => this.api.cancel(this.id)));
    const working = isWorking(video);
    const bar = h("progress", { "aria-label": "Progress", max: 1, value: video.progress });
    if (this.moment !== null && (media?.kind === "original" || media?.kind === "proxy")) {
      const src = `${media.url}#t=${this.moment}`;
      this.#shownMoment ??= h("video", { src, controls: true, playsinline: true, "aria-label": "The video" });
    }
    this.#body.replaceChildren(
      h(
        "section",
        { class: "waiting" },
        this.#shownMoment ?? h("img", { src: video.thumbnail_url, alt: "", width: 320, height: 180 }),
        h("p", { role: "status" }, stateText(video)),
        working && bar,
        media?.note && h("p", { class: "soft" }, media.note),
        working ? cancel : run,
      ),
    );
  }

  async #attempt(request: () => Promise<VideoSummary>): Promise<void> {
    try {
      this.videoChanged(await request());
    } catch (error) {
      notify(messageOf(error), "error");
    }
  }

  async #toggleReviewed(): Promise<void> {
    const corrections = this.#parts?.corrections;
    if (!corrections) return;
    try {
      const { video, review } = await this.api.reviewed(this.id, !corrections.review.reviewed);
      corrections.marked(review);
      this.videoChanged(video);
      announce(review.reviewed ? "Marked as reviewed." : "No longer marked as reviewed.");
    } catch (error) {
      notify(messageOf(error), "error");
    }
  }

  async #next(): Promise<void> {
    try {
      const id = await this.api.next(this.id);
      if (id === null || id === this.id) notify("No other video waits for a review.");
      else this.place.go(`/video/${encodeURIComponent(id)}`);
    } catch (error) {
      notify(messageOf(error), "error");
    }
  }
}

/** Name, state and what concerns the whole video. */
class Head {
  readonly element: HTMLElement;
  #title = h("h1");
  #badge = h("span");
  #saving = h("p", { class: "saving", role: "status" });
  #undo: HTMLButtonElement;
  #redo: HTMLButtonElement;
  #reviewed: HTMLButtonElement;
  #again: HTMLButtonElement;
  #export: HTMLDetailsElement;
  #goes: HTMLElement;
  #video: VideoSummary | null = null;
  #hasResult = false;

  constructor(api: Api, id: string, told: { undo(): void; redo(): void; reviewed(): void; next(): void; again(): void }) {
    this.#undo = h("button", { class: "icon", "aria-label": "Undo", onclick: told.undo }, "↶");
    this.#redo = h("button", { class: "icon", "aria-label": "Redo", onclick: told.redo }, "↷");
    this.#reviewed = h("button", { "aria-pressed": "false", onclick: told.reviewed, title: "Key: R" }, "Reviewed");
    this.#again = h("button", { onclick: told.again, hidden: true });
    const links = api.session.formats.map(({ name, title, suffix }) =>
      h("li", {}, downloadLink(api, api.exportUrl(id, name), {}, title, h("small", {}, `.${suffix.replace(/^\./, "")}`))),
    );
    this.#goes = h("p", { class: "soft", hidden: true }, "This video was uploaded. It and its events are removed when avel serve ends.");
    this.#export = h("details", { class: "menu" }, h("summary", {}, "Export"), h("div", {}, this.#goes, h("ul", {}, ...links)));
    closesItself(this.#export);
    this.element = h(
      "header",
      { class: "head" },
      h("a", { class: "back", href: "/", "data-link": true, "aria-label": "All videos" }, "←"),
      this.#title,
      this.#badge,
      this.#saving,
      h(
        "div",
        { class: "tools" },
        this.#undo,
        this.#redo,
        this.#reviewed,
        this.#again,
        h("button", { onclick: told.next, title: "Key: N" }, "Next"),
        this.#export,
        h("button", { class: "icon", "aria-label": "Keys", title: "Key: ?", onclick: showHelp }, "?"),
      ),
    );
    this.review(null);
  }

  video(video: VideoSummary): void {
    write(this.#title, video.name);
    set(this.#title, "title", video.folder ? `${video.folder}/${video.name}` : video.name);
    this.#goes.hidden = video.uploaded !== true;
    const now = badge(video);
    this.#video = video;
    this.#showAgain();
    this.#badge.replaceWith(now);
    this.#badge = now;
  }

  /** What a person has looked at is not overwritten; without a result, the page itself has these buttons. */
  #showAgain(): void {
    const video = this.#video;
    const working = video !== null && isWorking(video);
    this.#again.hidden = !this.#hasResult || video === null || video.corrected || !(working || video.state === "done");
    write(this.#again, working ? "Cancel" : "Localize again");
    set(this.#again, "title", working ? "Keep what was found before" : "Find the events anew, with the model of this server");
  }

  saving(word: string): void {
    write(this.#saving, word);
  }

  review(corrections: Corrections | null): void {
    this.#hasResult = corrections !== null;
    this.#showAgain();
    const review = corrections?.review;
    set(this.#undo, "disabled", !corrections?.canUndo);
    set(this.#redo, "disabled", !review?.can_redo || corrections?.unsaved);
    set(this.#undo, "title", review?.undo_label ? `Undo: ${review.undo_label} (Ctrl Z)` : "Nothing to undo");
    set(this.#redo, "title", review?.redo_label ? `Redo: ${review.redo_label} (Ctrl Shift Z)` : "Nothing to redo");
    set(this.#reviewed, "disabled", !review);
    set(this.#reviewed, "aria-pressed", review?.reviewed ? "true" : "false");
    this.#export.hidden = !review;
  }
}

/** Everything that there is once a video has a result. */
class Parts {
  readonly element: HTMLElement;
  readonly player: Player;
  readonly corrections: Corrections;
  #timeline: Timeline;
  #list: EventList;
  #inspector: Inspector;
  #panel: ThresholdPanel;
  #grid: Grid;
  #lanes: string[];
  #lane: string | null;
  #selected: string | null = null;
  #limits = new Map<string, Map<Limit, number>>();
  #changedLimits = new Set<string>();
  #preview = new Map<string, Events>();
  #previewing: AbortController | null = null;
  #previewTimer = 0;
  #asked = new Set<string>();
  #heat = false;
  #spectrogram = false;
  #allScores: boolean;
  #mark: number | null = null;
  #categories: readonly string[];
  #time = h("span", { class: "clock" });
  #play: HTMLButtonElement;
  #loop: HTMLButtonElement;
  #speed: HTMLSelectElement;
  #newLane: HTMLSelectElement;
  #details: HTMLSelectElement;
  #checks = new Map<"heat" | "spectrogram" | "scores", HTMLInputElement>();

  constructor(
    private readonly api: Api,
    private readonly id: string,
    private readonly detail: VideoDetail,
    private readonly told: { reviewed(corrections: Corrections): void; saving(word: string): void; go(path: string): void },
  ) {
    this.#grid = { segment_seconds: detail.segment_seconds, duration_seconds: detail.duration_seconds };
    this.#lanes = [...new Set(byStart(detail.events).map(({ category }) => category))];
    if (this.#lanes.length === 0) this.#lanes = detail.categories.slice(0, 1);
    this.#lane = this.#lanes[0] ?? null;
    this.#allScores = this.#lanes.length <= FEW_LANES;
    this.#categories = [...new Set([...api.session.categories, ...detail.categories, ...this.#lanes])].sort((a, b) =>
      a.localeCompare(b),
    );
    this.corrections = new Corrections(
      { events: detail.events, review: detail.review },
      {
        save: (revision, events, label) => api.save(id, revision, events, label),
        undo: (revision) => api.undo(id, revision),
        redo: (revision) => api.redo(id, revision),
      },
      (happening) => this.#happened(happening),
    );
    const frame = 1 / (detail.media.frames_per_second || 25);
    this.player = new Player(detail.duration_seconds, frame, (seconds, playing) => this.#ticked(seconds, playing));
    this.#timeline = new Timeline(this.#grid, detail.segments, {
      seek: (seconds) => this.#seek(seconds),
      select: (event, category) => this.#select(event, category),
      dragBoundary: (event, side, seconds, snap) =>
        this.#apply(editing.withBoundary(this.#events, event, side, seconds, this.#grid, snap)),
      dragEvent: (event, start, snap) => this.#apply(editing.withMove(this.#events, event, start, this.#grid, snap)),
      drawEvent: (category, from, to, snap) =>
        this.#apply(editing.withNew(this.#events, category, from, to, this.#grid, snap)),
      dragLimit: (category, limit, value) => {
        this.#select(this.#selected, category);
        this.#moveLimit(category, limit, value);
      },
    });
    this.#list = new EventList((event) => this.#choose(event));
    this.#inspector = new Inspector(
      {
        act: (action) => this.act(action),
        category: (category) => this.#giveCategory(category),
        modality: (modality) => this.#withSelected((event) => editing.withModality(this.#events, event, modality)),
        boundary: (side, seconds) =>
          this.#withSelected((event) => editing.withBoundary(this.#events, event, side, seconds, this.#grid, false)),
      },
      detail.duration_seconds,
      api.session.search,
    );
    this.#panel = new ThresholdPanel(
      (limit, value) => this.#lane !== null && this.#moveLimit(this.#lane, limit, value),
      () => this.#usePreview(),
      () => this.#putBack(),
    );
    this.#play = this.#button("play", "▶", "Play", "Space", "icon");
    this.#loop = this.#button("loop", "Loop", "Loop the event", "O");
    set(this.#loop, "aria-pressed", "false");
    this.#speed = h(
      "select",
      { "aria-label": "Speed" },
      ...SPEEDS.map((speed) => h("option", { value: speed, selected: speed === 1 }, `${speed} ×`)),
    );
    this.#speed.addEventListener("change", () => this.player.setSpeed(Number(this.#speed.value)));
    this.#newLane = h("select", { "aria-label": "Add a lane for a category" });
    this.#newLane.addEventListener("change", () => {
      if (this.#newLane.value !== "") this.#select(null, this.#newLane.value);
      this.#newLane.value = "";
    });
    this.#details = h(
      "select",
      { "aria-label": "What the model knows besides", title: "What the model knows besides" },
      h("option", { value: "" }, "No detail"),
      ...detail.details.map(({ title, meaning }) => h("option", { value: title, title: meaning }, title)),
    );
    this.#details.addEventListener("change", () => void this.#showDetail(this.#details.value));
    this.element = this.#assembled();
  }

  start(seconds: number): void {
    const { detail } = this;
    this.player.open(detail.media);
    this.#show();
    this.#seek(seconds);
    if (detail.media.has_sound) {
      this.api.peaks(this.id, PEAKS_PER_SECOND).then(
        (peaks) => this.#timeline.setPeaks(peaks),
        () => undefined, // a lane of silence; the warnings say what could not be read
      );
    }
    if (detail.media.has_picture) {
      const { width, height } = detail.media;
      const count = editing.clamp(Math.ceil(detail.duration_seconds), 8, STRIP_FRAMES);
      loaded(this.api.partUrl(this.id, "strip", { count })).then(
        (image) => this.#timeline.setStrip({ image, count, aspect: (width && height && width / height) || 16 / 9 }),
        () => undefined,
      );
    }
  }

  close(): void {
    this.corrections.close();
    this.player.close();
    this.#timeline.close();
    this.#previewing?.abort();
    clearTimeout(this.#previewTimer);
  }

  focus(): void {
    this.#timeline.focusable.focus({ preventScroll: true });
  }

  /** Does what a key or a button says; whether it was something to do here. */
  act(action: Action, event?: KeyboardEvent): boolean {
    const { player } = this;
    const segment = this.#grid.segment_seconds;
    const time = player.time;
    const selected = find(this.#events, this.#selected);
    switch (action) {
      case "play":
        player.toggle();
        return true;
      case "back":
        this.#seek(time - Math.max(segment, 0.1));
        return true;
      case "on":
        this.#seek(time + Math.max(segment, 0.1));
        return true;
      case "far-back":
        this.#seek(time - FAR_SECONDS);
        return true;
      case "far-on":
        this.#seek(time + FAR_SECONDS);
        return true;
      case "frame-back":
        player.step(-1);
        return true;
      case "frame-on":
        player.step(1);
        return true;
      case "beginning":
        this.#seek(0);
        return true;
      case "end":
        this.#seek(this.#grid.duration_seconds);
        return true;
      case "shuttle-back":
        player.shuttle(-1);
        return true;
      case "shuttle-stop":
        player.stop();
        return true;
      case "shuttle-on":
        player.shuttle(1);
        return true;
      case "slower":
        this.#changeSpeed(-1);
        return true;
      case "faster":
        this.#changeSpeed(1);
        return true;
      case "previous-event":
        this.#neighbour(-1);
        return true;
      case "next-event":
        this.#neighbour(1);
        return true;
      case "event-start":
        if (selected) this.#seek(selected.start_seconds);
        return true;
      case "event-end":
        if (selected) this.#seek(selected.end_seconds);
        return true;
      case "loop":
        this.#toggleLoop();
        return true;
      case "alike":
        this.#findAlike();
        return true;
      case "leave":
        this.#mark = null;
        this.#select(null, this.#lane);
        return true;
      case "set-start":
        this.#setEnd("start", time, !event?.altKey);
        return true;
      case "set-end":
        this.#setEnd("end", time, !event?.altKey);
        return true;
      case "move-back":
      case "move-on": {
        const by = action === "move-on" ? segment : -segment;
        this.#withSelected((id, at) => editing.withMove(this.#events, id, at.start_seconds + by, this.#grid, false));
        return true;
      }
      case "add":
        this.#addHere(time);
        return true;
      case "split":
        this.#split(time);
        return true;
      case "merge":
        this.#withSelected(
          (id) => editing.withMerge(this.#events, id),
          "There is no later event of this category to merge with.",
        );
        return true;
      case "delete":
        this.#withSelected((id) => editing.withoutEvent(this.#events, id));
        return true;
      case "category":
        if (selected) this.#inspector.category.focus();
        else this.#newLane.focus();
        return true;
      case "number":
        this.#number(Number(event?.key));
        return true;
      case "undo":
        this.corrections.undo();
        return true;
      case "redo":
        this.corrections.redo();
        return true;
      case "zoom-in":
        this.#timeline.zoom(1.5);
        return true;
      case "zoom-out":
        this.#timeline.zoom(1 / 1.5);
        return true;
      case "zoom-all":
        this.#timeline.zoomAll();
        return true;
      case "zoom-event":
        if (selected) this.#timeline.zoomTo(selected.start_seconds, selected.end_seconds);
        return true;
      case "pan-back":
        this.#timeline.page(-1);
        return true;
      case "pan-on":
        this.#timeline.page(1);
        return true;
      case "heat":
        return this.#check("heat");
      case "spectrogram":
        return this.#check("spectrogram");
      case "help":
        showHelp();
        return true;
      default:
        return false;
    }
  }

  get #events(): Events {
    return this.corrections.events;
  }

  #assembled(): HTMLElement {
    const { detail } = this;
    const check = (name: "heat" | "spectrogram" | "scores", text: string, on: boolean): HTMLElement => {
      const input = h("input", { type: "checkbox", checked: on });
      input.addEventListener("change", () => this.#checked(name, input.checked));
      this.#checks.set(name, input);
      return h("label", { class: "check" }, input, text);
    };
    const sound = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: 1, "aria-label": "Volume", class: "volume" });
    sound.addEventListener("input", () => {
      this.player.video.volume = sound.valueAsNumber;
    });
    const controls = h(
      "div",
      { class: "controls", role: "group", "aria-label": "Player" },
      this.#play,
      this.#time,
      this.#speed,
      detail.media.has_sound && sound,
      this.#loop,
      this.player.note,
    );
    const tools = h(
      "div",
      { class: "controls timelinetools", role: "group", "aria-label": "Timeline" },
      this.#button("add", "Add event", "Add an event here", "A"),
      this.#newLane,
      h("span", { class: "space" }),
      detail.has_maps && check("heat", "Heat map", false),
      detail.media.has_sound && check("spectrogram", "Spectrogram", false),
      check("scores", "All scores", this.#allScores),
      detail.details.length > 0 && this.#details,
      this.#button("zoom-out", "−", "Zoom out", "-", "icon"),
      this.#button("zoom-in", "+", "Zoom in", "+", "icon"),
      this.#button("zoom-all", "Whole video", "Show all of the video", "0"),
    );
    const legend = h(
      "ul",
      { class: "legend", "aria-label": "What the bands and lines mean" },
      ...(["audio-visual", "audio", "visual"] as const).map((modality) =>
        h(
          "li",
          {},
          h("i", { class: `swatch ${modality}` }),
          { "audio-visual": "heard and seen", audio: "heard only", visual: "seen only" }[modality],
        ),
      ),
      h("li", {}, h("i", { class: "stroke audio" }), "score of what is heard"),
      h("li", {}, h("i", { class: "stroke visual" }), "score of what is seen"),
      h("li", {}, h("i", { class: "swatch void" }), "could not be read"),
    );
    const warnings =
      detail.warnings.length > 0 &&
      h(
        "details",
        { class: "warnings" },
        h("summary", {}, detail.warnings.length === 1 ? "1 warning" : `${detail.warnings.length} warnings`),
        h("ul", {}, ...detail.warnings.map((text) => h("li", {}, text))),
      );
    return h(
      "div",
      { class: "parts-of-review" },
      h("div", { class: "screen" }, this.player.element, controls),
      h("div", { class: "side" }, warnings, this.#list.element, this.#inspector.element),
      h(
        "section",
        { class: "timelinepart", "aria-label": "Timeline" },
        tools,
        this.#panel.element,
        this.#timeline.element,
        legend,
      ),
    );
  }

  #button(action: Action, text: string, name: string, key: string, style = ""): HTMLButtonElement {
    return h(
      "button",
      {
        class: style,
        title: `${name} (key: ${key})`,
        "aria-label": text.length === 1 ? name : null,
        onclick: () => this.act(action),
      },
      text,
    );
  }

  /** Everything that can be seen follows from the state. */
  #show(): void {
    const { corrections } = this;
    const events = corrections.events;
    const selected = find(events, this.#selected);
    if (selected === null) this.#selected = null;
    for (const { category } of events) if (!this.#lanes.includes(category)) this.#lanes.push(category);
    if (this.#lane !== null && !this.#lanes.includes(this.#lane)) this.#lanes.push(this.#lane);
    for (const category of this.#lanes) {
      if (!this.#limits.has(category)) this.#limits.set(category, limitsOf(this.detail.thresholds, category));
    }
    const curves = new Set(this.#allScores ? this.#lanes : this.#lane !== null ? [this.#lane] : []);
    for (const category of curves) this.#fetchScores(category);
    this.#timeline.show({
      events,
      lanes: this.#lanes,
      lane: this.#lane,
      selected: this.#selected,
      shown: {
        strip: this.detail.media.has_picture,
        wave: this.detail.media.has_sound,
        spectrogram: this.#spectrogram,
        detail: this.#details.value !== "",
        curves,
      },
      limits: this.#limits,
      preview: this.#preview,
    });
    this.#list.show(events, this.#selected, "No event was found. Press A to add one where the video stands.");
    this.#inspector.show(selected, this.#lane, this.#categories, this.#can(selected));
    const now = events.filter(({ category }) => category === this.#lane).length;
    const lane = this.#lane ?? "";
    this.#panel.show(
      this.#lane,
      this.#limits.get(lane) ?? new Map(),
      now,
      this.#preview.get(lane) ?? null,
      this.#changedLimits.has(lane),
    );
    const free = this.#categories.filter((category) => !this.#lanes.includes(category));
    if (this.#newLane.options.length !== free.length + 1) {
      this.#newLane.replaceChildren(
        h("option", { value: "" }, "Add a category …"),
        ...free.map((category) => h("option", { value: category }, category)),
      );
    }
    if (this.player.looping) this.player.loop(selected && { start: selected.start_seconds, end: selected.end_seconds });
    set(this.#loop, "aria-pressed", this.player.looping ? "true" : "false");
    this.told.reviewed(corrections);
  }

  #can(selected: editing.Events[number] | null): Set<Action> {
    const can = new Set<Action>(["set-start", "set-end", "delete", "alike"]);
    if (selected === null) return can;
    const time = this.player.time;
    if (time > selected.start_seconds && time < selected.end_seconds) can.add("split");
    const alike = byStart(this.#events.filter(({ category }) => category === selected.category));
    if (alike[alike.length - 1]?.id !== selected.id) can.add("merge");
    return can;
  }

  #happened(happening: Happening): void {
    switch (happening.kind) {
      case "changed":
        this.told.saving("Saving …");
        break;
      case "saved":
        this.told.saving(this.corrections.unsaved ? "Saving …" : this.corrections.review.corrected ? "All changes are saved." : "");
        break;
      case "waiting":
        this.told.saving("Not saved yet: avel does not answer. It is tried again; keep this page open.");
        break;
      case "elsewhere":
        this.told.saving("");
        notify("This video was changed in another window. Its present state is shown here.");
        break;
      case "undone":
        this.told.saving("All changes are saved.");
        announce(`Undone: ${happening.label}.`);
        break;
      case "redone":
        this.told.saving("All changes are saved.");
        announce(`Redone: ${happening.label}.`);
        break;
      case "refused":
        this.told.saving("");
        notify(`Not saved. ${happening.message}`, "error");
        break;
    }
    this.#show();
  }

  #ticked(seconds: number, playing: boolean): void {
    write(this.#time, `${clock(seconds)} / ${clock(this.#grid.duration_seconds)}`);
    write(this.#play, playing ? "❚❚" : "▶");
    set(this.#play, "aria-label", playing ? "Pause" : "Play");
    this.#timeline.setTime(seconds, playing);
    if (this.#heat) this.#showHeat(seconds);
    const selected = find(this.#events, this.#selected);
    if (selected !== null && !playing) this.#inspector.show(selected, this.#lane, this.#categories, this.#can(selected));
  }

  #seek(seconds: number): void {
    this.player.seek(seconds);
    this.#timeline.reveal(this.player.time);
  }

  #select(id: string | null, category: string | null): void {
    const changed = id !== this.#selected || category !== this.#lane;
    this.#selected = id;
    this.#lane = category;
    if (changed) this.#show();
  }

  #choose(id: string): void {
    const event = find(this.#events, id);
    if (event === null) return;
    this.#select(id, event.category);
    this.#seek(event.start_seconds);
    announce(described(event));
  }

  #neighbour(step: 1 | -1): void {
    const ordered = byStart(this.#events);
    const place = ordered.findIndex(({ id }) => id === this.#selected);
    const time = this.player.time;
    const next =
      place >= 0
        ? ordered[place + step]
        : step > 0
          ? ordered.find(({ start_seconds }) => start_seconds >= time)
          : ordered.findLast(({ start_seconds }) => start_seconds <= time);
    if (next !== undefined) this.#choose(next.id);
    else announce(step > 0 ? "This is the last event." : "This is the first event.");
  }

  #apply(edit: Edit | null, otherwise = ""): void {
    if (edit === null) {
      if (otherwise) announce(otherwise);
      this.#show();
      return;
    }
    this.#selected = edit.selected;
    const selected = find(edit.events, edit.selected);
    if (selected !== null) this.#lane = selected.category;
    this.corrections.apply(edit);
    announce(selected === null ? `${edit.label}.` : `${edit.label}: ${described(selected)}`);
  }

  #withSelected(change: (id: string, event: editing.Events[number]) => Edit | null, otherwise = ""): void {
    const event = find(this.#events, this.#selected);
    if (event === null) announce("Choose an event first.");
    else this.#apply(change(event.id, event), otherwise);
  }

  #setEnd(side: "start" | "end", time: number, snap: boolean): void {
    const event = find(this.#events, this.#selected);
    if (event !== null) {
      this.#apply(editing.withBoundary(this.#events, event.id, side, time, this.#grid, snap));
      return;
    }
    if (this.#lane === null) return;
    if (side === "start") {
      this.#mark = time;
      announce(`A new ${this.#lane} starts at ${spoken(time)}. Press the right bracket where it ends.`);
    } else if (this.#mark !== null) {
      this.#apply(editing.withNew(this.#events, this.#lane, this.#mark, time, this.#grid, snap));
      this.#mark = null;
    }
  }

  #addHere(time: number): void {
    if (this.#lane === null) {
      this.#newLane.focus();
      return;
    }
    const { segment_seconds: segment, duration_seconds: duration } = this.#grid;
    const start = Math.min(Math.floor(time / segment + 1e-6) * segment, duration - editing.SHORTEST_SECONDS);
    const length = Math.max(segment, 0.5);
    this.#apply(editing.withNew(this.#events, this.#lane, start, start + length, this.#grid, true));
  }

  #split(time: number): void {
    this.#withSelected(
      (id) => editing.withSplit(this.#events, id, time),
      "The video has to stand inside the event to split it.",
    );
  }

  #number(number: number): void {
    const category = this.#lanes[number - 1];
    if (category === undefined) announce(`There is no category number ${number}.`);
    else this.#giveCategory(category);
  }

  #giveCategory(category: string): void {
    const event = find(this.#events, this.#selected);
    if (event !== null) this.#apply(editing.withCategory(this.#events, event.id, category));
    else {
      this.#select(null, category);
      announce(`${category} is the category of new events.`);
    }
  }

  #changeSpeed(step: 1 | -1): void {
    const place = SPEEDS.indexOf(this.player.speed);
    const speed = SPEEDS[editing.clamp(place + step, 0, SPEEDS.length - 1)]!;
    this.player.setSpeed(speed);
    this.#speed.value = String(speed);
    announce(`Speed ${speed}.`);
  }

  #toggleLoop(): void {
    const event = find(this.#events, this.#selected);
    if (this.player.looping || event === null) {
      this.player.loop(null);
      if (event === null) announce("Choose an event first.");
    } else {
      this.player.loop({ start: event.start_seconds, end: event.end_seconds });
      this.player.seek(event.start_seconds);
      this.player.play();
    }
    set(this.#loop, "aria-pressed", this.player.looping ? "true" : "false");
  }

  #findAlike(): void {
    const event = find(this.#events, this.#selected);
    if (!this.api.session.search) notify("To find moments like this one, start avel serve with --library LIBRARY.");
    else if (event === null) announce("Choose an event first.");
    else {
      const by = event.modality === "audio" ? "audio" : "video";
      const { start_seconds: start, end_seconds: end } = event;
      this.told.go(addressOf({ kind: "like", id: this.id, start, end, by, lookedIn: "both" }));
    }
  }

  #check(name: "heat" | "spectrogram"): boolean {
    const input = this.#checks.get(name);
    if (input === undefined) return false;
    input.checked = !input.checked;
    this.#checked(name, input.checked);
    return true;
  }

  #checked(name: "heat" | "spectrogram" | "scores", on: boolean): void {
    if (name === "heat") {
      this.#heat = on;
      if (on) this.#showHeat(this.player.time);
      else this.player.heat(null);
    } else if (name === "scores") {
      this.#allScores = on;
    } else {
      this.#spectrogram = on;
      if (on && !this.#asked.has("spectrogram")) {
        this.#asked.add("spectrogram");
        loaded(this.api.partUrl(this.id, "spectrogram")).then(
          (image) => this.#timeline.setSpectrogram(image),
          () => notify("The spectrogram could not be made.", "error"),
        );
      }
    }
    this.#show();
  }

  async #showDetail(title: string): Promise<void> {
    const detail = this.detail.details.find((one) => one.title === title) ?? null;
    this.#timeline.setDetail(detail && { detail, values: [] });
    this.#show();
    if (detail === null) return;
    try {
      const values = await this.api.detail(this.id, title);
      if (this.#details.value === title) this.#timeline.setDetail({ detail, values });
    } catch (error) {
      notify(messageOf(error), "error");
    }
  }

  #showHeat(seconds: number): void {
    // There is a map where something is both heard and seen, and nowhere else.
    const there = this.detail.events.some(
      ({ modality, start_seconds, end_seconds }) =>
        modality === "audio-visual" && start_seconds <= seconds && seconds < end_seconds,
    );
    const segment = Math.floor(seconds / this.#grid.segment_seconds + 1e-6);
    this.player.heat(there ? this.api.partUrl(this.id, "map", { segment }) : null);
  }

  #fetchScores(category: string): void {
    if (this.#asked.has(`scores ${category}`) || !this.detail.categories.includes(category)) return;
    this.#asked.add(`scores ${category}`);
    this.api.scores(this.id, category).then(
      (scores) => this.#timeline.setScores(category, scores),
      () => this.#asked.delete(`scores ${category}`),
    );
  }

  #moveLimit(category: string, limit: Limit, value: number): void {
    const rounded = Math.round(value * 100) / 100;
    this.#limits.set(category, new Map(this.#limits.get(category)).set(limit, rounded));
    this.#changedLimits.add(category);
    this.#show();
    // One request at a time, for the newest place of the threshold.
    clearTimeout(this.#previewTimer);
    this.#previewTimer = window.setTimeout(() => void this.#askPreview(category), 60);
  }

  async #askPreview(category: string): Promise<void> {
    this.#previewing?.abort();
    this.#previewing = new AbortController();
    const { signal } = this.#previewing;
    try {
      const limits = Object.fromEntries(this.#limits.get(category) ?? []);
      const found = await this.api.preview(this.id, category, limits, signal);
      if (signal.aborted || !this.#changedLimits.has(category)) return;
      this.#preview.set(category, found);
      this.#show();
    } catch (error) {
      if (!signal.aborted) notify(messageOf(error), "error");
    }
  }

  #usePreview(): void {
    const found = this.#lane === null ? undefined : this.#preview.get(this.#lane);
    if (this.#lane === null || found === undefined) return;
    this.#preview.delete(this.#lane);
    this.#apply(editing.withFound(this.#events, this.#lane, found));
  }

  #putBack(): void {
    if (this.#lane === null) return;
    this.#previewing?.abort();
    clearTimeout(this.#previewTimer);
    this.#preview.delete(this.#lane);
    this.#changedLimits.delete(this.#lane);
    this.#limits.delete(this.#lane);
    this.#show();
  }
}

function actionFrom(event: KeyboardEvent): Action | null {
  const target = event.target instanceof Element ? event.target : null;
  if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return null;
  const graph = event.getModifierState("AltGraph"); // some keyboards write brackets with it
  const pressed = {
    key: event.key,
    ctrlKey: event.ctrlKey && !graph,
    metaKey: event.metaKey,
    altKey: event.altKey && !graph,
    shiftKey: event.shiftKey,
  };
  if (isSingle(pressed) && !singleKeys()) return null;
  const action = actionOf(pressed);
  if (action === null || target === null) return action;
  // Keys mean to a field what they always mean there.
  const tag = target.tagName;
  if (target.matches("input[type=number], input[type=search], input[type=text], select, textarea")) return null;
  if (target.matches("input[type=range]") && /^(arrow|page|home|end)/i.test(event.key)) return null;
  if (event.key === " " && (tag === "BUTTON" || tag === "SUMMARY" || tag === "INPUT")) return null;
  if (event.key === "Escape" && target.closest("details[open]")) return null;
  return action;
}

function closesItself(menu: HTMLDetailsElement): void {
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary")?.focus();
  });
  menu.addEventListener("focusout", (event) => {
    if (!(event.relatedTarget instanceof Node) || !menu.contains(event.relatedTarget)) {
      setTimeout(() => {
        if (!menu.contains(document.activeElement)) menu.open = false;
      }, 150);
    }
  });
}

function loaded(url: string): Promise<HTMLImageElement> {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.addEventListener("load", () => resolve(image));
    image.addEventListener("error", () => reject(new Error("The picture could not be loaded.")));
    image.src = url;
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
