/** What a person does to events. Nothing here changes its input; times stay within the video. */

import type { EventSpan, Modality } from "./types.ts";

export type Events = readonly EventSpan[];

/** A change of the events and what it is called in the list of what can be undone. */
export interface Edit {
  readonly events: Events;
  readonly label: string;
  /** What is selected afterwards. */
  readonly selected: string | null;
}

export interface Grid {
  readonly segment_seconds: number;
  readonly duration_seconds: number;
}

/** Shorter events can neither be seen nor grasped, and every format of times can hold this. */
export const SHORTEST_SECONDS = 0.05;

/** The nearest boundary of the segment grid; the end of the video is one. */
export function snapped(seconds: number, grid: Grid): number {
  const nearest = tidy(Math.round(seconds / grid.segment_seconds) * grid.segment_seconds);
  const end = grid.duration_seconds;
  if (nearest >= end || Math.abs(seconds - end) < Math.abs(seconds - nearest)) return end;
  return Math.max(0, nearest);
}

export function byStart(events: Events): EventSpan[] {
  return [...events].sort(
    (a, b) =>
      a.start_seconds - b.start_seconds || a.end_seconds - b.end_seconds || (a.category < b.category ? -1 : 1),
  );
}

export function find(events: Events, id: string | null): EventSpan | null {
  return events.find((event) => event.id === id) ?? null;
}

/** Moves one end of an event; it never passes the other one. */
export function withBoundary(
  events: Events,
  id: string,
  side: "start" | "end",
  seconds: number,
  grid: Grid,
  snap: boolean,
): Edit | null {
  const event = find(events, id);
  if (event === null) return null;
  const { start, end } = boundary(event, side, seconds, grid, snap);
  if (start === event.start_seconds && end === event.end_seconds) return null;
  return {
    events: replaced(events, { ...byPerson(event), start_seconds: start, end_seconds: end }),
    label: `${side === "start" ? "Move start of" : "Move end of"} ${event.category}`,
    selected: id,
  };
}

/** Where an event lies while one of its ends is dragged. */
export function boundary(
  event: EventSpan,
  side: "start" | "end",
  seconds: number,
  grid: Grid,
  snap: boolean,
): { start: number; end: number } {
  const moment = snap ? snapped(seconds, grid) : tidy(seconds);
  if (side === "start") {
    const latest = tidy(event.end_seconds - SHORTEST_SECONDS);
    return { start: clamp(moment, 0, Math.max(0, latest)), end: event.end_seconds };
  }
  const earliest = tidy(event.start_seconds + SHORTEST_SECONDS);
  return { start: event.start_seconds, end: clamp(moment, earliest, grid.duration_seconds) };
}

/** Where an event lies when its start is moved to a moment and its length kept. */
export function moved(event: EventSpan, start: number, grid: Grid, snap: boolean): { start: number; end: number } {
  const length = event.end_seconds - event.start_seconds;
  const at = clamp(snap ? snapped(start, grid) : tidy(start), 0, Math.max(0, grid.duration_seconds - length));
  return { start: tidy(at), end: Math.min(tidy(at + length), grid.duration_seconds) };
}

export function withMove(events: Events, id: string, to: number, grid: Grid, snap: boolean): Edit | null {
  const event = find(events, id);
  if (event === null) return null;
  const { start, end } = moved(event, to, grid, snap);
  if (start === event.start_seconds) return null;
  return {
    events: replaced(events, { ...byPerson(event), start_seconds: start, end_seconds: end }),
    label: `Move ${event.category}`,
    selected: id,
  };
}

/** Cuts an event in two at a moment that lies well inside it. */
export function withSplit(events: Events, id: string, seconds: number): Edit | null {
  const event = find(events, id);
  const at = tidy(seconds);
  if (event === null || at - event.start_seconds < SHORTEST_SECONDS || event.end_seconds - at < SHORTEST_SECONDS) {
    return null;
  }
  const second = { ...byPerson(event), id: newId(), start_seconds: at };
  return {
    events: byStart([...replaced(events, { ...byPerson(event), end_seconds: at }), second]),
    label: `Split ${event.category}`,
    selected: second.id,
  };
}

/** Joins an event with the next one of its category, and what lies between them. */
export function withMerge(events: Events, id: string): Edit | null {
  const event = find(events, id);
  if (event === null) return null;
  const ordered = byStart(events.filter((other) => other.category === event.category));
  const next = ordered[ordered.findIndex((other) => other.id === id) + 1];
  if (next === undefined) return null;
  const scores = [event.score, next.score].filter((score) => score !== null);
  const whole: EventSpan = {
    ...byPerson(event),
    end_seconds: Math.max(event.end_seconds, next.end_seconds),
    modality: event.modality === next.modality ? event.modality : "audio-visual",
    score: scores.length > 0 ? Math.max(...scores) : null,
  };
  return {
    events: replaced(
      events.filter((other) => other.id !== next.id),
      whole,
    ),
    label: `Merge ${event.category}`,
    selected: id,
  };
}

export function withoutEvent(events: Events, id: string): Edit | null {
  const event = find(events, id);
  if (event === null) return null;
  const ordered = byStart(events);
  const place = ordered.findIndex((other) => other.id === id);
  const neighbour = ordered[place + 1] ?? ordered[place - 1];
  return {
    events: events.filter((other) => other.id !== id),
    label: `Delete ${event.category}`,
    selected: neighbour?.id ?? null,
  };
}

export function withNew(
  events: Events,
  category: string,
  from: number,
  to: number,
  grid: Grid,
  snap: boolean,
  modality: Modality = "audio-visual",
): Edit | null {
  const at = (seconds: number): number => clamp(snap ? snapped(seconds, grid) : tidy(seconds), 0, grid.duration_seconds);
  const start = Math.min(at(from), at(to));
  const end = Math.max(at(from), at(to));
  if (end - start < SHORTEST_SECONDS) return null;
  const event: EventSpan = {
    id: newId(),
    start_seconds: start,
    end_seconds: end,
    category,
    modality,
    score: null,
    source: "person",
  };
  return { events: byStart([...events, event]), label: `Add ${category}`, selected: event.id };
}

export function withCategory(events: Events, id: string, category: string): Edit | null {
  const event = find(events, id);
  if (event === null || event.category === category) return null;
  return {
    events: replaced(events, { ...byPerson(event), category, score: null }),
    label: `Change ${event.category} to ${category}`,
    selected: id,
  };
}

export function withModality(events: Events, id: string, modality: Modality): Edit | null {
  const event = find(events, id);
  if (event === null || event.modality === modality) return null;
  return {
    events: replaced(events, { ...byPerson(event), modality }),
    label: `Change how ${event.category} was noticed`,
    selected: id,
  };
}

/** The events of one category are those that other thresholds give; what stays as it is stays what it is. */
export function withFound(events: Events, category: string, found: Events): Edit {
  const others = events.filter((event) => event.category !== category);
  const now = found.map((event) => events.find((other) => same([other], [event])) ?? { ...event, id: newId() });
  return { events: byStart([...others, ...now]), label: `Change thresholds of ${category}`, selected: null };
}

/** Whether two lists say the same, whatever their ids are. */
export function same(a: Events, b: Events): boolean {
  const key = (event: EventSpan): string =>
    JSON.stringify([event.start_seconds.toFixed(4), event.end_seconds.toFixed(4), event.category, event.modality]);
  return a.length === b.length && byStart(a).every((event, index) => key(event) === key(byStart(b)[index]!));
}

/** Events of one category in rows in which none overlaps another. */
export function rowsOf(events: Events): { rows: number; rowOf: Map<string, number> } {
  const ends: number[] = [];
  const rowOf = new Map<string, number>();
  for (const event of byStart(events)) {
    let row = ends.findIndex((end) => end <= event.start_seconds);
    if (row < 0) row = ends.length;
    ends[row] = event.end_seconds;
    rowOf.set(event.id, row);
  }
  return { rows: Math.max(1, ends.length), rowOf };
}

/** Milliseconds, without what binary fractions add. */
export function tidy(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}

export function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

function replaced(events: Events, event: EventSpan): EventSpan[] {
  return byStart(events.map((other) => (other.id === event.id ? event : other)));
}

function byPerson(event: EventSpan): EventSpan {
  return { ...event, source: "person" };
}

function newId(): string {
  const random = crypto.getRandomValues(new Uint8Array(8));
  return `n${[...random].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
