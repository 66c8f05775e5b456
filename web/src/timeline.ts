/** The timeline: one canvas under one pointer, with the lanes' names beside it and an overview below. */

import { h, set, write } from "./dom.ts";
import { colorOf, Painter, themeOf, type DetailLine, type Scene, type Strip, type Theme } from "./drawing.ts";
import { boundary, clamp, moved, snapped, type Events, type Grid } from "./editing.ts";
import { geometry, hit, scoreAt, type Geometry, type Hit, type Limit, type Shown } from "./geometry.ts";
import type { Peaks, Scores, SegmentSpan } from "./types.ts";
import * as viewport from "./viewport.ts";
import { toSeconds, toX, type Viewport } from "./viewport.ts";
import { Waveform } from "./waveform.ts";
import { clock, counted, span, spoken } from "./words.ts";

export interface TimelineEvents {
  seek(seconds: number): void;
  select(id: string | null, category: string | null): void;
  /** An end was dragged, a band moved, or a new band drawn; Alt switches snapping off. */
  dragBoundary(id: string, side: "start" | "end", seconds: number, snap: boolean): void;
  dragEvent(id: string, start: number, snap: boolean): void;
  drawEvent(category: string, from: number, to: number, snap: boolean): void;
  dragLimit(category: string, limit: Limit, value: number): void;
}

interface Drag {
  readonly hit: Hit;
  readonly x: number;
  readonly y: number;
  readonly seconds: number;
  readonly category: string | null;
  /** It is a click until the pointer has moved some way. */
  going: boolean;
  at: { start: number; end: number } | null;
}

const REACH = { mouse: 6, pen: 10, touch: 16 } as const;
const CLICK = 4;

export class Timeline {
  readonly element: HTMLElement;
  readonly focusable: HTMLElement;
  #names: HTMLElement;
  #stage: HTMLElement;
  #canvas = h("canvas");
  #over = h("canvas", { class: "over" });
  #overview = h("canvas", { class: "overview", "aria-hidden": "true" });
  #painter: Painter | null = null;
  #theme: Theme | null = null;
  #boxes: Geometry;
  #view: Viewport;
  #time = 0;
  #events: Events = [];
  #lanes: readonly string[] = [];
  #lane: string | null = null;
  #selected: string | null = null;
  #shown: Shown = { strip: true, wave: true, spectrogram: false, detail: false, curves: new Set() };
  #limits: ReadonlyMap<string, ReadonlyMap<Limit, number>> = new Map();
  #preview: ReadonlyMap<string, Events> = new Map();
  #scores = new Map<string, Scores>();
  #strip: Strip | null = null;
  #waveform: Waveform | null = null;
  #spectrogram: HTMLImageElement | null = null;
  #detail: DetailLine | null = null;
  #whole: HTMLCanvasElement | null = null;
  #drag: Drag | null = null;
  #hover: number | null = null;
  #pointers = new Map<number, { x: number; y: number }>();
  #dirty = { scene: true, over: true, layout: true };
  #frame = 0;
  #cleanup = new AbortController();

  constructor(
    private readonly grid: Grid,
    private readonly segments: readonly SegmentSpan[],
    private readonly told: TimelineEvents,
  ) {
    this.#view = viewport.whole(grid.duration_seconds, 600);
    this.#boxes = geometry([], [], this.#shown);
    this.#names = h("div", { class: "names" });
    this.#stage = h(
      "div",
      {
        class: "stage",
        role: "slider",
        tabindex: 0,
        "aria-label": "Position in the video",
        "aria-valuemin": 0,
        "aria-valuemax": grid.duration_seconds.toFixed(2),
      },
      this.#canvas,
      this.#over,
    );
    this.focusable = this.#stage;
    this.element = h("div", { class: "timeline" }, this.#names, this.#stage, this.#overview);
    this.#listen();
  }

  get view(): Viewport {
    return this.#view;
  }

  close(): void {
    this.#cleanup.abort();
    cancelAnimationFrame(this.#frame);
  }

  show(state: {
    events: Events;
    lanes: readonly string[];
    lane: string | null;
    selected: string | null;
    shown: Shown;
    limits: ReadonlyMap<string, ReadonlyMap<Limit, number>>;
    preview: ReadonlyMap<string, Events>;
  }): void {
    this.#events = state.events;
    this.#lanes = state.lanes;
    this.#lane = state.lane;
    this.#selected = state.selected;
    this.#shown = state.shown;
    this.#limits = state.limits;
    this.#preview = state.preview;
    this.#dirty.layout = true;
    this.#draw();
  }

  setScores(category: string, scores: Scores): void {
    this.#scores.set(category, scores);
    this.#draw();
  }

  setPeaks(peaks: Peaks): void {
    this.#waveform = new Waveform(peaks);
    this.#draw();
  }

  setStrip(strip: Strip): void {
    this.#strip = strip;
    this.#draw();
  }

  setSpectrogram(image: HTMLImageElement): void {
    this.#spectrogram = image;
    this.#draw();
  }

  setDetail(line: DetailLine | null): void {
    this.#detail = line;
    this.#relayout();
  }

  /** Follows the player; where it plays out of view, the view pages on. */
  setTime(seconds: number, follow: boolean): void {
    this.#time = seconds;
    set(this.#stage, "aria-valuenow", seconds.toFixed(2));
    set(this.#stage, "aria-valuetext", `${spoken(seconds)} of ${spoken(this.grid.duration_seconds)}`);
    if (follow && this.#drag === null) {
      const view = viewport.revealing(this.#view, seconds);
      if (view !== this.#view) this.#setView(view);
    }
    this.#dirty.over = true;
    this.#schedule();
  }

  zoom(factor: number): void {
    const at = clamp(toX(this.#view, this.#time), 0, this.#view.width);
    this.#setView(viewport.zoomed(this.#view, factor, at));
  }

  zoomTo(start: number, end: number): void {
    this.#setView(viewport.showing(this.#view, start, end));
  }

  zoomAll(): void {
    this.#setView(viewport.whole(this.grid.duration_seconds, this.#view.width));
  }

  page(direction: 1 | -1): void {
    this.#setView(viewport.panned(this.#view, direction * 0.85 * this.#view.width));
  }

  pan(pixels: number): void {
    this.#setView(viewport.panned(this.#view, pixels));
  }

  reveal(seconds: number): void {
    this.#setView(viewport.revealing(this.#view, seconds));
  }

  #setView(view: Viewport): void {
    this.#view = view;
    this.#draw();
  }

  #draw(): void {
    this.#dirty.scene = this.#dirty.over = true;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#frame === 0 && !this.#cleanup.signal.aborted) this.#frame = requestAnimationFrame(() => this.#render());
  }

  #render(): void {
    this.#frame = 0;
    if (!this.element.isConnected) return;
    const ratio = Math.min(window.devicePixelRatio || 1, 3);
    if (this.#dirty.layout) this.#layout(ratio);
    if (this.#dirty.scene) {
      this.#painter?.paint(this.#scene());
      this.#paintOverview(ratio);
    }
    if (this.#dirty.over) this.#paintOver(ratio);
    this.#dirty = { scene: false, over: false, layout: false };
  }

  #layout(ratio: number): void {
    this.#boxes = geometry(this.#lanes, this.#events, this.#shown);
    const width = Math.max(50, this.#stage.clientWidth);
    if (width !== this.#view.width) this.#view = viewport.resized(this.#view, width);
    this.#stage.style.height = `${this.#boxes.height}px`;
    for (const canvas of [this.#canvas, this.#over]) sized(canvas, width, this.#boxes.height, ratio);
    sized(this.#overview, Math.max(50, this.#overview.clientWidth), 28, ratio);
    this.#theme = themeOf(this.element);
    this.#whole = null;
    this.#painter = new Painter(this.#canvas.getContext("2d")!, this.#theme, ratio);
    this.#dirty.scene = this.#dirty.over = true;
    this.#writeNames();
  }

  #scene(): Scene {
    return {
      view: this.#view,
      boxes: this.#boxes,
      events: this.#dragged(),
      preview: this.#preview,
      selected: this.#selected,
      lane: this.#lane,
      limits: this.#limits,
      scores: this.#scores,
      segments: this.segments,
      segmentSeconds: this.grid.segment_seconds,
      strip: this.#strip,
      waveform: this.#waveform,
      spectrogram: this.#spectrogram,
      detail: this.#detail,
      seen: this.#seen(),
    };
  }

  /** Lanes below the window's edge cost nothing; a little more than is seen is there when the page is scrolled. */
  #seen(): { from: number; to: number } {
    const { top } = this.#stage.getBoundingClientRect();
    return { from: -top - window.innerHeight / 4, to: window.innerHeight * 1.25 - top };
  }

  /** The events with the one that is being dragged where it is held. */
  #dragged(): Events {
    const drag = this.#drag;
    if (drag?.at == null || (drag.hit.kind !== "edge" && drag.hit.kind !== "event")) return this.#events;
    const { event } = drag.hit;
    const at = { ...event, start_seconds: drag.at.start, end_seconds: drag.at.end };
    return this.#events.map((other) => (other.id === event.id ? at : other));
  }

  #paintOver(ratio: number): void {
    const context = this.#over.getContext("2d")!;
    const theme = this.#theme;
    if (theme === null) return;
    const { height } = this.#boxes;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.#view.width, height);
    const x = Math.round(toX(this.#view, this.#time));
    context.fillStyle = theme.ink;
    context.fillRect(x - 1, 0, 2, height);
    context.beginPath();
    context.moveTo(x - 6, 0);
    context.lineTo(x + 6, 0);
    context.lineTo(x, 9);
    context.fill();
    const drag = this.#drag;
    if (drag !== null && drag.going && drag.at !== null) {
      for (const seconds of [drag.at.start, drag.at.end]) {
        context.strokeStyle = theme.accent;
        context.lineWidth = 1;
        line(context, Math.round(toX(this.#view, seconds)) + 0.5, 0, height);
      }
      if (drag.hit.kind === "lane") {
        const lane = this.#boxes.lanes.find(({ category }) => category === drag.category);
        const x = toX(this.#view, drag.at.start);
        if (lane) {
          context.fillStyle = theme.accent;
          context.globalAlpha = 0.3;
          context.fillRect(x, lane.bands.top, toX(this.#view, drag.at.end) - x, lane.bands.height);
          context.globalAlpha = 1;
        }
      }
      const text = span(drag.at.start, drag.at.end);
      label(context, theme, text, toX(this.#view, drag.at.start), this.#boxes.ruler.height + 4, this.#view.width);
    } else if (this.#hover !== null) {
      context.strokeStyle = theme.soft;
      context.globalAlpha = 0.5;
      line(context, Math.round(toX(this.#view, this.#hover)) + 0.5, 0, height);
      context.globalAlpha = 1;
      label(context, theme, clock(this.#hover), toX(this.#view, this.#hover), 0, this.#view.width);
    }
  }

  #paintOverview(ratio: number): void {
    const theme = this.#theme;
    const context = this.#overview.getContext("2d")!;
    if (theme === null) return;
    const width = this.#overview.width / ratio;
    const height = this.#overview.height / ratio;
    const per = width / this.grid.duration_seconds;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.#whole ?? this.#paintWhole(ratio, theme), 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const left = this.#view.start * per;
    const right = viewport.endOf(this.#view) * per;
    context.fillStyle = theme.page;
    context.globalAlpha = 0.65;
    context.fillRect(0, 0, left, height);
    context.fillRect(right, 0, width - right, height);
    context.globalAlpha = 1;
    context.strokeStyle = theme.accent;
    context.lineWidth = 2;
    context.strokeRect(left + 1, 1, Math.max(4, right - left - 2), height - 2);
  }

  /** All events, small, for the overview; the same until an event, the size or the colours change. */
  #paintWhole(ratio: number, theme: Theme): HTMLCanvasElement {
    const canvas = h("canvas", { width: this.#overview.width, height: this.#overview.height });
    const context = canvas.getContext("2d")!;
    const [width, height] = [canvas.width / ratio, canvas.height / ratio];
    const per = width / this.grid.duration_seconds;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = theme.well;
    context.fillRect(0, 0, width, height);
    const rows = Math.max(1, this.#lanes.length);
    for (const event of this.#events) {
      const row = this.#lanes.indexOf(event.category);
      context.fillStyle = colorOf(theme, event.modality);
      const wide = Math.max(1, (event.end_seconds - event.start_seconds) * per);
      const high = Math.max(1, (height - 4) / rows - 0.5);
      context.fillRect(event.start_seconds * per, 2 + (row * (height - 4)) / rows, wide, high);
    }
    this.#whole = canvas;
    return canvas;
  }

  #writeNames(): void {
    const wanted = ["", ...this.#lanes];
    while (this.#names.children.length > wanted.length) this.#names.lastElementChild!.remove();
    const parts: [string, { top: number; height: number } | null][] = [
      ["Pictures", this.#boxes.strip],
      ["Sound", this.#boxes.wave],
      ["Spectrogram", this.#boxes.spectrogram],
      [this.#detail === null ? "" : named(this.#detail.detail), this.#boxes.detail],
    ];
    let heads = this.#names.children[0] as HTMLElement | undefined;
    if (heads === undefined) {
      heads = h("div", { class: "parts" });
      this.#names.append(heads);
    }
    heads.replaceChildren(
      ...parts.flatMap(([name, box]) => {
        if (box === null) return [];
        const element = h("span", {}, name);
        placed(element, box);
        return [element];
      }),
    );
    this.#boxes.lanes.forEach((lane, index) => {
      let button = this.#names.children[index + 1] as HTMLButtonElement | undefined;
      if (button === undefined) {
        button = h(
          "button",
          { class: "name", onclick: () => this.told.select(null, this.#lanes[index] ?? null) },
          h("b"),
          h("small"),
          h("kbd"),
        );
        this.#names.append(button);
      }
      const [name, count, key] = [...button.children] as [Element, Element, Element];
      const number = this.#events.filter((event) => event.category === lane.category).length;
      write(name, lane.category);
      write(count, counted(number, "event"));
      write(key, index < 9 ? String(index + 1) : "");
      set(button, "title", lane.category);
      set(button, "aria-pressed", lane.category === this.#lane ? "true" : "false");
      placed(button, lane);
    });
    this.#names.style.height = `${this.#boxes.height}px`;
  }

  #listen(): void {
    const { signal } = this.#cleanup;
    const stage = this.#stage;
    const resize = new ResizeObserver(() => {
      this.#dirty.layout = true;
      this.#draw();
    });
    resize.observe(stage);
    signal.addEventListener("abort", () => resize.disconnect());
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", () => this.#relayout(), { signal });
    window.addEventListener("scroll", () => this.#draw(), { signal, passive: true });
    stage.addEventListener("pointerdown", (event) => this.#down(event), { signal });
    stage.addEventListener("pointermove", (event) => this.#move(event), { signal });
    stage.addEventListener("pointerup", (event) => this.#up(event), { signal });
    stage.addEventListener("pointercancel", (event) => this.#forget(event), { signal });
    stage.addEventListener("pointerleave", () => this.#hoverAt(null), { signal });
    stage.addEventListener("wheel", (event) => this.#wheel(event), { signal, passive: false });
    const overview = this.#overview;
    const jump = (event: PointerEvent): void => {
      if (event.buttons === 0) return;
      const at = (event.offsetX / overview.clientWidth) * this.grid.duration_seconds;
      const span = viewport.endOf(this.#view) - this.#view.start;
      this.#setView(viewport.panned(this.#view, (at - span / 2 - this.#view.start) * this.#view.pixelsPerSecond));
    };
    overview.addEventListener(
      "pointerdown",
      (event) => {
        overview.setPointerCapture(event.pointerId);
        jump(event);
      },
      { signal },
    );
    overview.addEventListener("pointermove", jump, { signal });
  }

  #relayout(): void {
    this.#dirty.layout = true;
    this.#draw();
  }

  #wheel(event: WheelEvent): void {
    const x = event.clientX - this.#stage.getBoundingClientRect().left;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.#setView(viewport.zoomed(this.#view, Math.exp(-event.deltaY / 300), x));
      return;
    }
    const across = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
    if (across === 0) return; // up and down scroll the page
    event.preventDefault();
    this.#setView(viewport.panned(this.#view, across));
  }

  #at(event: PointerEvent): { x: number; y: number; hit: Hit } {
    const box = this.#stage.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    const reach = REACH[event.pointerType as keyof typeof REACH] ?? REACH.mouse;
    return { x, y, hit: hit(this.#boxes, this.#view, this.#events, this.#selected, this.#limits, x, y, reach) };
  }

  #down(event: PointerEvent): void {
    if (event.button !== 0) return;
    const { x, y, hit: found } = this.#at(event);
    this.#pointers.set(event.pointerId, { x, y });
    if (this.#pointers.size > 1) {
      this.#drag = null; // two fingers zoom
      return;
    }
    this.#stage.setPointerCapture(event.pointerId);
    this.#stage.focus({ preventScroll: true });
    const category =
      found.kind === "lane" || found.kind === "threshold"
        ? found.category
        : found.kind === "edge" || found.kind === "event"
          ? found.event.category
          : null;
    this.#drag = { hit: found, x, y, seconds: toSeconds(this.#view, x), category, going: false, at: null };
    if (found.kind === "edge" || found.kind === "event") this.told.select(found.event.id, category);
    if (found.kind === "time" && event.pointerType === "mouse") this.told.seek(toSeconds(this.#view, x));
  }

  #move(event: PointerEvent): void {
    const { x, y, hit: found } = this.#at(event);
    const before = this.#pointers.get(event.pointerId);
    if (before !== undefined) {
      this.#pointers.set(event.pointerId, { x, y });
      if (this.#pointers.size === 2) {
        this.#pinch(event.pointerId, before, { x, y });
        return;
      }
    }
    const drag = this.#drag;
    if (drag === null) {
      this.#stage.style.cursor = cursorOf(found);
      this.#hoverAt(event.pointerType === "mouse" ? toSeconds(this.#view, x) : null);
      return;
    }
    const far = drag.hit.kind === "threshold" ? Math.abs(y - drag.y) : Math.abs(x - drag.x);
    if (!drag.going && far < CLICK) return;
    drag.going = true;
    const seconds = toSeconds(this.#view, x);
    const snap = !event.altKey;
    const held = drag.hit;
    if (held.kind === "edge") {
      drag.at = boundary(held.event, held.side, seconds, this.grid, snap);
    } else if (held.kind === "event") {
      drag.at = moved(held.event, held.event.start_seconds + seconds - drag.seconds, this.grid, snap);
    } else if (held.kind === "threshold") {
      const curves = this.#boxes.lanes.find(({ category }) => category === held.category)?.curves;
      if (curves) this.told.dragLimit(held.category, held.limit, scoreAt(curves, y));
    } else if (event.pointerType !== "mouse") {
      // A finger moves the paper.
      if (before !== undefined) this.#setView(viewport.panned(this.#view, before.x - x));
    } else if (held.kind === "lane") {
      const ends = [drag.seconds, seconds].map((end) => (snap ? snapped(end, this.grid) : end));
      drag.at = { start: Math.min(...ends), end: Math.max(...ends) };
    } else {
      this.told.seek(seconds);
    }
    this.#draw();
  }

  #up(event: PointerEvent): void {
    const drag = this.#drag;
    const { x } = this.#at(event);
    this.#forget(event);
    if (drag === null) return;
    const snap = !event.altKey;
    const seconds = toSeconds(this.#view, x);
    const held = drag.hit;
    if (!drag.going) {
      if (held.kind === "lane") this.told.select(null, held.category);
      if (held.kind !== "edge" && held.kind !== "threshold") this.told.seek(drag.seconds);
    } else if (held.kind === "edge") {
      this.told.dragBoundary(held.event.id, held.side, seconds, snap);
    } else if (held.kind === "event") {
      this.told.dragEvent(held.event.id, held.event.start_seconds + seconds - drag.seconds, snap);
    } else if (held.kind === "lane" && event.pointerType === "mouse") {
      this.told.drawEvent(held.category, drag.seconds, seconds, snap);
    }
  }

  #forget(event: PointerEvent): void {
    this.#pointers.delete(event.pointerId);
    this.#drag = null;
    this.#draw();
  }

  #pinch(id: number, before: { x: number; y: number }, now: { x: number; y: number }): void {
    const other = [...this.#pointers].find(([key]) => key !== id)?.[1];
    if (other === undefined) return;
    const apart = Math.max(10, Math.abs(before.x - other.x));
    const factor = Math.max(10, Math.abs(now.x - other.x)) / apart;
    const middle = (before.x + other.x) / 2;
    const shift = (before.x - now.x) / 2;
    this.#setView(viewport.panned(viewport.zoomed(this.#view, factor, middle), shift));
  }

  #hoverAt(seconds: number | null): void {
    this.#hover = seconds;
    this.#dirty.over = true;
    this.#schedule();
  }
}

function named({ title, low, high }: DetailLine["detail"]): string {
  return `${title}, ${low} to ${high}`;
}

function cursorOf(found: Hit): string {
  if (found.kind === "edge") return "ew-resize";
  if (found.kind === "event") return "grab";
  if (found.kind === "threshold") return "ns-resize";
  return found.kind === "lane" ? "crosshair" : "pointer";
}

function sized(canvas: HTMLCanvasElement, width: number, height: number, ratio: number): void {
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide) canvas.width = wide;
  if (canvas.height !== high) canvas.height = high;
  canvas.style.height = `${height}px`;
}

function placed(element: HTMLElement, box: { top: number; height: number }): void {
  element.style.top = `${box.top}px`;
  element.style.height = `${box.height}px`;
}

function line(context: CanvasRenderingContext2D, x: number, from: number, to: number): void {
  context.beginPath();
  context.moveTo(x, from);
  context.lineTo(x, to);
  context.stroke();
}

function label(
  context: CanvasRenderingContext2D, theme: Theme, text: string, x: number, top: number, width: number,
): void {
  context.font = `600 11px ${theme.font}`;
  const wide = context.measureText(text).width + 10;
  const left = clamp(x - wide / 2, 0, width - wide);
  context.fillStyle = theme.ink;
  context.beginPath();
  context.roundRect(left, top, wide, 18, 4);
  context.fill();
  context.fillStyle = theme.page;
  context.textBaseline = "middle";
  context.fillText(text, left + 5, top + 9.5);
}
