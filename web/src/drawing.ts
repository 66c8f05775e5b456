/** Paints the timeline on a canvas. Units are CSS pixels; only what is in view is painted. */

import type { Events } from "./editing.ts";
import { BAND, bandTop, scoreY, steps, type Box, type Geometry, type LaneBox, type Limit, type Step } from "./geometry.ts";
import type { Detail, EventSpan, Modality, Scores, SegmentSpan } from "./types.ts";
import { endOf, ticks, toX, type Viewport } from "./viewport.ts";
import { limitWord } from "./thresholds.ts";
import type { Waveform } from "./waveform.ts";
import { clock } from "./words.ts";

export interface Theme {
  readonly page: string;
  readonly ink: string;
  readonly soft: string;
  readonly faint: string;
  readonly line: string;
  readonly well: string;
  readonly void: string;
  readonly hatch: string;
  readonly wave: string;
  readonly accent: string;
  readonly heard: string;
  readonly seen: string;
  readonly both: string;
  readonly font: string;
}

const NAMES = [
  "page", "ink", "soft", "faint", "line", "well", "void", "hatch", "wave", "accent", "heard", "seen", "both", "font",
] as const;

export function themeOf(element: Element): Theme {
  const style = getComputedStyle(element);
  return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as unknown as Theme;
}

export function colorOf(theme: Theme, modality: Modality): string {
  return modality === "audio-visual" ? theme.both : modality === "audio" ? theme.heard : theme.seen;
}

function limitColor(theme: Theme, limit: Limit): string {
  return limit === "combined" ? theme.both : colorOf(theme, limit);
}

export interface Strip {
  readonly image: HTMLImageElement;
  readonly count: number;
  /** Width by height of the video: what lies beside it in a tile is black and not drawn. */
  readonly aspect: number;
}

export interface DetailLine {
  readonly detail: Detail;
  /** A number a segment, once the server has sent them. */
  readonly values: readonly number[];
}

export interface Scene {
  readonly view: Viewport;
  readonly boxes: Geometry;
  readonly events: Events;
  /** What other thresholds would give, by category. */
  readonly preview: ReadonlyMap<string, Events>;
  readonly selected: string | null;
  readonly lane: string | null;
  readonly limits: ReadonlyMap<string, ReadonlyMap<Limit, number>>;
  readonly scores: ReadonlyMap<string, Scores>;
  readonly segments: readonly SegmentSpan[];
  readonly segmentSeconds: number;
  readonly strip: Strip | null;
  readonly waveform: Waveform | null;
  readonly spectrogram: HTMLImageElement | null;
  readonly detail: DetailLine | null;
  /** From where to where the canvas can be seen at all. */
  readonly seen: { readonly from: number; readonly to: number };
}

export class Painter {
  #patterns = new Map<string, CanvasPattern | string>();

  constructor(
    private readonly context: CanvasRenderingContext2D,
    private readonly theme: Theme,
    private readonly ratio: number,
  ) {}

  paint(scene: Scene): void {
    const { context, theme } = this;
    const { view, boxes } = scene;
    const isSeen = ({ top, height }: Box): boolean => top <= scene.seen.to && top + height >= scene.seen.from;
    const lanes = boxes.lanes.filter(isSeen);
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, view.width, boxes.height);
    if (isSeen(boxes.ruler)) this.#ruler(view, boxes.ruler);
    if (boxes.strip && isSeen(boxes.strip)) this.#strip(view, boxes.strip, scene);
    if (boxes.wave && isSeen(boxes.wave)) this.#wave(view, boxes.wave, scene);
    if (boxes.spectrogram && isSeen(boxes.spectrogram)) this.#spectrogram(view, boxes.spectrogram, scene);
    if (boxes.detail && isSeen(boxes.detail)) this.#detail(view, boxes.detail, scene);
    for (const lane of lanes) {
      context.fillStyle = theme.well;
      rounded(context, 0, lane.top, view.width, lane.height, 4);
      context.fill();
      if (lane.category === scene.lane) {
        context.fillStyle = theme.accent;
        context.fillRect(0, lane.top, 3, lane.height);
      }
    }
    this.#grid(view, lanes, scene.segmentSeconds);
    for (const lane of lanes) this.#lane(lane, scene);
  }

  #ruler(view: Viewport, box: Box): void {
    const { context, theme } = this;
    const marks = ticks(view);
    context.font = `11px ${theme.font}`;
    context.textBaseline = "top";
    context.fillStyle = theme.soft;
    context.strokeStyle = theme.hatch;
    context.lineWidth = 1;
    context.beginPath();
    for (const { seconds, labelled } of marks.ticks) {
      const x = Math.round(toX(view, seconds)) + 0.5;
      context.moveTo(x, box.top + box.height);
      context.lineTo(x, box.top + box.height - (labelled ? 8 : 4));
      if (!labelled) continue;
      const text = clock(seconds, marks.decimals);
      const width = context.measureText(text).width;
      context.fillText(text, Math.min(Math.max(0, x - width / 2), view.width - width), box.top + 1);
    }
    context.stroke();
  }

  #strip(view: Viewport, box: Box, scene: Scene): void {
    const { context, theme } = this;
    const right = Math.min(view.width, toX(view, view.duration));
    context.fillStyle = theme.void;
    context.fillRect(0, box.top, right, box.height);
    const strip = scene.strip;
    if (strip !== null) {
      const tile = strip.image.naturalWidth / strip.count;
      const { naturalHeight } = strip.image;
      const wide = Math.min(tile, naturalHeight * strip.aspect);
      const high = Math.min(naturalHeight, tile / strip.aspect);
      const width = (box.height * wide) / high;
      // Pictures stay where they are in time while the view is panned.
      const first = Math.floor((view.start * view.pixelsPerSecond) / width);
      const last = Math.ceil((endOf(view) * view.pixelsPerSecond) / width);
      context.save();
      context.beginPath();
      context.rect(0, box.top, right, box.height);
      context.clip();
      for (let n = first; n < last; n += 1) {
        const middle = ((n + 0.5) * width) / view.pixelsPerSecond;
        const frame = Math.min(strip.count - 1, Math.floor((middle / view.duration) * strip.count));
        const x = Math.round(n * width - view.start * view.pixelsPerSecond);
        const next = Math.round((n + 1) * width - view.start * view.pixelsPerSecond);
        context.drawImage(
          strip.image, frame * tile + (tile - wide) / 2, (naturalHeight - high) / 2, wide, high,
          x, box.top, next - x - 1, box.height,
        );
      }
      context.restore();
    }
    this.#voids(view, box, scene.segments, "visual_valid");
  }

  #wave(view: Viewport, box: Box, scene: Scene): void {
    const { context, theme } = this;
    const middle = box.top + box.height / 2;
    context.fillStyle = theme.well;
    context.fillRect(0, box.top, view.width, box.height);
    this.#voids(view, box, scene.segments, "audio_valid");
    context.fillStyle = theme.wave;
    if (scene.waveform === null) {
      context.fillRect(0, Math.round(middle), view.width, 1);
      return;
    }
    // A column a device pixel, as one shape.
    const step = 1 / this.ratio;
    const count = Math.ceil(Math.min(view.width, toX(view, view.duration)) * this.ratio);
    const { low, high } = scene.waveform.columns(view.start, step / view.pixelsPerSecond, count);
    const half = box.height / 2 - 1;
    context.beginPath();
    context.moveTo(0, middle);
    for (let n = 0; n < count; n += 1) context.lineTo(n * step, middle - Math.max(high[n]! * half, 0.5));
    for (let n = count - 1; n >= 0; n -= 1) context.lineTo(n * step, middle - Math.min(low[n]! * half, -0.5));
    context.closePath();
    context.fill();
  }

  #spectrogram(view: Viewport, box: Box, scene: Scene): void {
    const { context, theme } = this;
    context.fillStyle = theme.void;
    context.fillRect(0, box.top, view.width, box.height);
    const image = scene.spectrogram;
    if (image === null) return;
    const perSecond = image.naturalWidth / view.duration;
    const to = endOf(view);
    context.imageSmoothingEnabled = true;
    context.drawImage(
      image, view.start * perSecond, 0, (to - view.start) * perSecond, image.naturalHeight,
      0, box.top, (to - view.start) * view.pixelsPerSecond, box.height,
    );
  }

  #detail(view: Viewport, box: Box, scene: Scene): void {
    const { context, theme } = this;
    context.fillStyle = theme.well;
    context.fillRect(0, box.top, view.width, box.height);
    context.fillStyle = theme.hatch;
    context.fillRect(0, Math.round(box.top + box.height / 2), view.width, 1);
    if (scene.detail === null) return;
    const { detail: { low, high }, values } = scene.detail;
    const shares = values.map((value) => (value - low) / (high - low));
    const starts = scene.segments.map(({ start_seconds }) => start_seconds);
    context.strokeStyle = theme.ink;
    context.lineWidth = 2;
    this.#line(box, steps(shares, starts, scene.segmentSeconds, view), false);
  }

  #voids(view: Viewport, box: Box, segments: readonly SegmentSpan[], valid: "audio_valid" | "visual_valid"): void {
    const to = endOf(view);
    this.context.fillStyle = this.#pattern("void");
    for (const segment of segments) {
      if (segment[valid] || segment.end_seconds < view.start || segment.start_seconds > to) continue;
      const x = toX(view, segment.start_seconds);
      this.context.fillRect(x, box.top, toX(view, segment.end_seconds) - x, box.height);
    }
  }

  #grid(view: Viewport, lanes: readonly Box[], segmentSeconds: number): void {
    if (segmentSeconds * view.pixelsPerSecond < 7) return;
    const { context } = this;
    context.strokeStyle = this.theme.line;
    context.lineWidth = 1;
    context.beginPath();
    const first = Math.ceil(view.start / segmentSeconds);
    for (let n = first; n * segmentSeconds <= endOf(view); n += 1) {
      const x = Math.round(toX(view, n * segmentSeconds)) + 0.5;
      for (const lane of lanes) {
        context.moveTo(x, lane.top);
        context.lineTo(x, lane.top + lane.height);
      }
    }
    context.stroke();
  }

  #lane(lane: LaneBox, scene: Scene): void {
    const { view } = scene;
    const { context, theme } = this;
    const to = endOf(view);
    const preview = scene.preview.get(lane.category);
    for (const event of scene.events) {
      if (event.category !== lane.category || event.end_seconds < view.start || event.start_seconds > to) continue;
      context.globalAlpha = preview === undefined ? 1 : 0.25;
      this.#band(view, event, bandTop(lane, event), BAND, event.id === scene.selected);
    }
    context.globalAlpha = 1;
    for (const event of preview ?? []) {
      if (event.end_seconds < view.start || event.start_seconds > to) continue;
      const x = toX(view, event.start_seconds);
      const width = Math.max(2, toX(view, event.end_seconds) - x);
      context.fillStyle = this.#pattern(event.modality);
      context.fillRect(x, lane.bands.top + BAND - 10, width, 10);
      context.strokeStyle = colorOf(theme, event.modality);
      context.lineWidth = 1.5;
      context.setLineDash([3, 2]);
      context.strokeRect(x, lane.bands.top + BAND - 10, width, 10);
      context.setLineDash([]);
    }
    if (lane.curves !== null) this.#curves(lane, lane.curves, scene);
  }

  #band(view: Viewport, event: EventSpan, top: number, height: number, selected: boolean): void {
    const { context, theme } = this;
    const x = toX(view, event.start_seconds);
    const width = Math.max(3, toX(view, event.end_seconds) - x);
    const color = colorOf(theme, event.modality);
    rounded(context, x, top, width, height, Math.min(4, width / 2));
    context.fillStyle = theme.page;
    context.fill();
    context.fillStyle = this.#pattern(event.modality);
    context.fill();
    context.strokeStyle = color;
    context.lineWidth = 1.5;
    context.stroke();
    const text = event.score === null ? "by hand" : event.score.toFixed(2) + (event.source === "person" ? " ✎" : "");
    context.font = `600 11px ${theme.font}`;
    const wide = context.measureText(text).width;
    const left = Math.max(x, 0) + 8;
    if (left + wide + 8 < Math.min(x + width, view.width)) {
      context.fillStyle = theme.page;
      rounded(context, left - 4, top + 4, wide + 8, height - 8, 3);
      context.fill();
      context.fillStyle = theme.ink;
      context.textBaseline = "middle";
      context.fillText(text, left, top + height / 2 + 0.5);
    }
    if (!selected) return;
    context.strokeStyle = theme.ink;
    context.lineWidth = 2;
    rounded(context, x - 2, top - 2, width + 4, height + 4, 5);
    context.stroke();
    context.fillStyle = theme.ink;
    for (const edge of [x, x + width]) {
      rounded(context, edge - 3, top + height / 2 - 8, 6, 16, 3);
      context.fill();
    }
  }

  #curves(lane: LaneBox, box: Box, scene: Scene): void {
    const { context, theme } = this;
    const { view } = scene;
    context.strokeStyle = theme.hatch;
    context.lineWidth = 1;
    context.strokeRect(0.5, Math.round(box.top) + 0.5, view.width - 1, box.height);
    const scores = scene.scores.get(lane.category);
    if (scores === undefined) return;
    // A model that does not tell the two apart has one line.
    const alone = scores.audio === null && scores.visual === null;
    const lines = [
      { values: scores.combined, color: theme.both, dash: [], width: 1, filled: true },
      { values: alone ? scores.combined : null, color: theme.both, dash: [], width: 2, filled: false },
      { values: scores.audio, color: theme.heard, dash: [], width: 2, filled: false },
      { values: scores.visual, color: theme.seen, dash: [6, 3], width: 2, filled: false },
    ];
    context.save();
    context.beginPath();
    context.rect(0, box.top - 1, view.width, box.height + 2);
    context.clip();
    for (const { values, color, dash, width, filled } of lines) {
      if (values === null) continue;
      const found = steps(values, scores.start_seconds, scores.segment_seconds, view);
      context.strokeStyle = context.fillStyle = color;
      context.lineWidth = width;
      context.setLineDash(dash);
      this.#line(box, found, filled);
    }
    context.restore();
    const limits = [...(scene.limits.get(lane.category) ?? [])];
    context.lineWidth = 1.5;
    context.setLineDash([2, 3]);
    for (const [limit, value] of limits) {
      context.strokeStyle = limitColor(theme, limit);
      context.beginPath();
      context.moveTo(0, scoreY(box, value));
      context.lineTo(view.width, scoreY(box, value));
      context.stroke();
    }
    context.setLineDash([]);
    if (lane.category === scene.lane) for (const [limit, value] of limits) this.#limit(view, box, limit, value);
  }

  /** Steps as a line, or as what lies below it. */
  #line(box: Box, found: readonly Step[], filled: boolean): void {
    const { context } = this;
    context.beginPath();
    for (const run of runs(found)) {
      if (filled) context.moveTo(run[0]!.from, box.top + box.height);
      else context.moveTo(run[0]!.from, scoreY(box, run[0]!.value));
      for (const { from, to, value } of run) {
        context.lineTo(from, scoreY(box, value));
        context.lineTo(to, scoreY(box, value));
      }
      if (filled) context.lineTo(run[run.length - 1]!.to, box.top + box.height);
    }
    if (!filled) {
      context.stroke();
      return;
    }
    context.globalAlpha = 0.22;
    context.fill();
    context.globalAlpha = 1;
  }

  #limit(view: Viewport, box: Box, limit: Limit, value: number): void {
    const { context, theme } = this;
    const y = scoreY(box, value);
    context.strokeStyle = limitColor(theme, limit);
    const text = `${limitWord(limit)} ≥ ${value.toFixed(2)}`;
    context.font = `600 10.5px ${theme.font}`;
    const width = context.measureText(text).width + 10;
    const x = limit === "visual" ? view.width - 2 * width - 12 : view.width - width - 4;
    const top = Math.min(Math.max(y - 8, box.top), box.top + box.height - 16);
    rounded(context, x, top, width, 16, 8);
    context.fillStyle = theme.page;
    context.fill();
    context.lineWidth = 1.5;
    context.stroke();
    context.fillStyle = theme.ink;
    context.textBaseline = "middle";
    context.fillText(text, x + 5, top + 8.5);
  }

  /** Solid is heard and seen; rising lines are heard only, falling ones seen only, as in avel's reports. */
  #pattern(name: Modality | "void"): CanvasPattern | string {
    const { theme } = this;
    if (name === "audio-visual") return theme.both;
    let pattern = this.#patterns.get(name);
    if (pattern !== undefined) return pattern;
    const size = 7 * this.ratio;
    const tile = document.createElement("canvas");
    tile.width = tile.height = Math.round(size);
    const context = tile.getContext("2d")!;
    const side = tile.width;
    if (name === "void") {
      context.fillStyle = theme.void;
      context.fillRect(0, 0, side, side);
    }
    context.strokeStyle = name === "void" ? theme.hatch : colorOf(theme, name);
    context.lineWidth = (name === "void" ? 1 : 2) * this.ratio;
    context.lineCap = "square";
    context.beginPath();
    for (const shift of [-side, 0, side]) {
      const rising = name === "audio";
      context.moveTo(shift, rising ? side : 0);
      context.lineTo(shift + side, rising ? 0 : side);
    }
    context.stroke();
    pattern = this.context.createPattern(tile, "repeat")!;
    pattern.setTransform(new DOMMatrix().scale(1 / this.ratio));
    this.#patterns.set(name, pattern);
    return pattern;
  }
}

/** Steps without a gap between them. */
function runs(found: readonly Step[]): Step[][] {
  const all: Step[][] = [];
  let end = Number.NaN;
  for (const step of found) {
    if (Math.abs(step.from - end) < 0.5) all[all.length - 1]!.push(step);
    else all.push([step]);
    end = step.to;
  }
  return all;
}

function rounded(
  context: CanvasRenderingContext2D, x: number, y: number, width: number, height: number, radius: number,
): void {
  context.beginPath();
  context.roundRect(x, y, width, height, radius);
}
