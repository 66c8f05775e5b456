/** Where on the timeline everything is, from top to bottom, and what lies under a pointer. */

import { rowsOf, type Events } from "./editing.ts";
import type { EventSpan } from "./types.ts";
import { toX, type Viewport } from "./viewport.ts";

export interface Box {
  readonly top: number;
  readonly height: number;
}

export interface LaneBox extends Box {
  readonly category: string;
  readonly rowOf: ReadonlyMap<string, number>;
  /** Of the first row of bands. */
  readonly bands: Box;
  readonly rows: number;
  readonly curves: Box | null;
}

export interface Geometry {
  readonly height: number;
  readonly ruler: Box;
  readonly strip: Box | null;
  readonly wave: Box | null;
  readonly spectrogram: Box | null;
  readonly detail: Box | null;
  readonly lanes: readonly LaneBox[];
}

export interface Shown {
  readonly strip: boolean;
  readonly wave: boolean;
  readonly spectrogram: boolean;
  readonly detail: boolean;
  /** Of which categories the scores are drawn. */
  readonly curves: ReadonlySet<string>;
}

export const BAND = 24;
const ROW_GAP = 3;
const PADDING = 6;
const CURVES = 54;
const GAP = 6;

export function geometry(lanes: readonly string[], events: Events, shown: Shown): Geometry {
  let y = 0;
  const take = (height: number): Box => {
    const box = { top: y, height };
    y += height + GAP;
    return box;
  };
  const ruler = take(22);
  const strip = shown.strip ? take(54) : null;
  const wave = shown.wave ? take(64) : null;
  const spectrogram = shown.spectrogram ? take(110) : null;
  const detail = shown.detail ? take(CURVES) : null;
  const boxes = lanes.map((category): LaneBox => {
    const { rows, rowOf } = rowsOf(events.filter((event) => event.category === category));
    const bandsHeight = rows * (BAND + ROW_GAP) - ROW_GAP;
    const curvesHeight = shown.curves.has(category) ? CURVES : 0;
    const box = take(PADDING + bandsHeight + PADDING + (curvesHeight > 0 ? curvesHeight + PADDING : 0));
    return {
      ...box,
      category,
      rows,
      rowOf,
      bands: { top: box.top + PADDING, height: BAND },
      curves: curvesHeight > 0 ? { top: box.top + PADDING + bandsHeight + PADDING, height: curvesHeight } : null,
    };
  });
  return { height: Math.max(y - GAP, 0), ruler, strip, wave, spectrogram, detail, lanes: boxes };
}

export function bandTop(lane: LaneBox, event: EventSpan): number {
  return lane.bands.top + (lane.rowOf.get(event.id) ?? 0) * (BAND + ROW_GAP);
}

/** Where a score between 0 and 1 is drawn. */
export function scoreY(curves: Box, score: number): number {
  return curves.top + curves.height * (1 - score);
}

export function scoreAt(curves: Box, y: number): number {
  return Math.min(0.99, Math.max(0.01, 1 - (y - curves.top) / curves.height));
}

/** A threshold of what is heard, of what is seen, or of both where a model does not tell them apart. */
export type Limit = "audio" | "visual" | "combined";

export type Hit =
  | { readonly kind: "edge"; readonly event: EventSpan; readonly side: "start" | "end" }
  | { readonly kind: "event"; readonly event: EventSpan }
  | { readonly kind: "threshold"; readonly category: string; readonly limit: Limit }
  | { readonly kind: "lane"; readonly category: string }
  | { readonly kind: "time" };

export function hit(
  boxes: Geometry,
  view: Viewport,
  events: Events,
  selected: string | null,
  limits: ReadonlyMap<string, ReadonlyMap<Limit, number>>,
  x: number,
  y: number,
  reach: number,
): Hit {
  const lane = boxes.lanes.find(({ top, height }) => y >= top && y < top + height);
  if (lane === undefined) return { kind: "time" };
  const near = events.filter((event) => {
    const top = bandTop(lane, event);
    const wide = toX(view, event.end_seconds) + reach >= x && toX(view, event.start_seconds) - reach <= x;
    return event.category === lane.category && y >= top - 2 && y <= top + BAND + 2 && wide;
  });
  // The selected event is grasped first where two of them touch.
  near.sort((a, b) => Number(b.id === selected) - Number(a.id === selected));
  for (const event of near) {
    const start = toX(view, event.start_seconds);
    const end = toX(view, event.end_seconds);
    // Of a narrow band a third at each side stays for its ends, so that it can still be moved.
    const inner = Math.min(reach, Math.max(1, (end - start) / 3));
    if (x >= start - reach && x <= start + inner) return { kind: "edge", event, side: "start" };
    if (x <= end + reach && x >= end - inner) return { kind: "edge", event, side: "end" };
  }
  const inside = near.find((event) => toX(view, event.start_seconds) <= x && toX(view, event.end_seconds) > x);
  if (inside !== undefined) return { kind: "event", event: inside };
  if (lane.curves !== null) {
    for (const [limit, value] of limits.get(lane.category) ?? []) {
      if (Math.abs(scoreY(lane.curves, value) - y) <= Math.min(reach, 6)) {
        return { kind: "threshold", category: lane.category, limit };
      }
    }
  }
  return { kind: "lane", category: lane.category };
}

/** A score over the pixels `[from, to)`. */
export interface Step {
  readonly from: number;
  readonly to: number;
  readonly value: number;
}

/** Scores as steps, one a segment; where segments are narrower than a pixel, the greatest of each pixel. */
export function steps(
  values: readonly (number | null)[],
  starts: readonly number[],
  segmentSeconds: number,
  view: Viewport,
): Step[] {
  const found: Step[] = [];
  const last = view.start + view.width / view.pixelsPerSecond;
  let held: { from: number; to: number; value: number } | null = null;
  for (let n = firstFrom(starts, view.start - segmentSeconds); n < values.length && starts[n]! <= last; n += 1) {
    const value = values[n];
    if (value === null || value === undefined) continue;
    const from = toX(view, starts[n]!);
    const to = toX(view, Math.min(starts[n]! + segmentSeconds, view.duration));
    if (held !== null && to - held.from < 1) {
      held.to = to;
      held.value = Math.max(held.value, value);
    } else {
      held = { from, to, value };
      found.push(held);
    }
  }
  return found;
}

function firstFrom(starts: readonly number[], seconds: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle]! < seconds) low = middle + 1;
    else high = middle;
  }
  return low;
}
