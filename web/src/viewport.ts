/** Which part of a video's time is in view, and how many seconds a pixel is. */

import { clamp } from "./editing.ts";

export interface Viewport {
  /** The moment at the left edge. */
  readonly start: number;
  readonly pixelsPerSecond: number;
  /** In CSS pixels. */
  readonly width: number;
  /** Of the video. */
  readonly duration: number;
}

/** A frame of 60 frames a second is then 13 pixels wide. */
const CLOSEST = 800;

export function whole(duration: number, width: number): Viewport {
  return bounded({ start: 0, pixelsPerSecond: width / Math.max(duration, 1e-3), width, duration });
}

export function toX(view: Viewport, seconds: number): number {
  return (seconds - view.start) * view.pixelsPerSecond;
}

export function toSeconds(view: Viewport, x: number): number {
  return clamp(view.start + x / view.pixelsPerSecond, 0, view.duration);
}

export function endOf(view: Viewport): number {
  return Math.min(view.duration, view.start + view.width / view.pixelsPerSecond);
}

export function panned(view: Viewport, pixels: number): Viewport {
  return bounded({ ...view, start: view.start + pixels / view.pixelsPerSecond });
}

/** Zooms so that the moment under a pixel stays there. */
export function zoomed(view: Viewport, factor: number, x: number): Viewport {
  const anchor = view.start + x / view.pixelsPerSecond;
  const pixelsPerSecond = clampZoom(view.pixelsPerSecond * factor, view);
  return bounded({ ...view, pixelsPerSecond, start: anchor - x / pixelsPerSecond });
}

/** A span with some room at both sides. */
export function showing(view: Viewport, start: number, end: number): Viewport {
  const pixelsPerSecond = clampZoom(view.width / Math.max((end - start) * 1.5, 0.1), view);
  return bounded({ ...view, pixelsPerSecond, start: (start + end) / 2 - view.width / pixelsPerSecond / 2 });
}

/** At the same zoom, with a moment in view; pages on where it is not. */
export function revealing(view: Viewport, seconds: number): Viewport {
  const x = toX(view, seconds);
  if (x >= 0 && x <= view.width) return view;
  return bounded({ ...view, start: seconds - (0.1 * view.width) / view.pixelsPerSecond });
}

export function resized(view: Viewport, width: number): Viewport {
  const fitted = view.pixelsPerSecond <= (view.width / view.duration) * 1.001;
  return fitted ? whole(view.duration, width) : bounded({ ...view, width });
}

function bounded(view: Viewport): Viewport {
  const pixelsPerSecond = clampZoom(view.pixelsPerSecond, view);
  const latest = Math.max(0, view.duration - view.width / pixelsPerSecond);
  return { ...view, pixelsPerSecond, start: clamp(view.start, 0, latest) };
}

function clampZoom(pixelsPerSecond: number, view: Viewport): number {
  const least = view.width / Math.max(view.duration, 1e-3);
  return clamp(pixelsPerSecond, least, Math.max(CLOSEST, least));
}

const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

export interface Tick {
  readonly seconds: number;
  readonly labelled: boolean;
}

/** Marks of the ruler in view: labelled ones at least `apart` pixels from each other, and finer ones between them. */
export function ticks(view: Viewport, apart = 80): { decimals: number; ticks: Tick[] } {
  const wanted = apart / view.pixelsPerSecond;
  const step = STEPS.find((candidate) => candidate >= wanted) ?? Math.ceil(wanted / 7200) * 7200;
  const parts = [5, 4, 3, 2].find((count) => (step / count) * view.pixelsPerSecond >= 7 && isRound(step / count)) ?? 1;
  const fine = step / parts;
  const found: Tick[] = [];
  for (let n = Math.floor(view.start / fine); n * fine <= endOf(view) + 1e-9; n += 1) {
    found.push({ seconds: n * fine, labelled: n % parts === 0 });
  }
  return { decimals: step >= 1 ? 0 : step >= 0.1 ? 1 : 2, ticks: found };
}

function isRound(step: number): boolean {
  return step >= 1 ? Number.isInteger(step) : Math.abs(step * 1000 - Math.round(step * 1000)) < 1e-6;
}
