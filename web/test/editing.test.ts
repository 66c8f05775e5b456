import assert from "node:assert/strict";
import test from "node:test";
import * as editing from "../src/editing.ts";
import type { EventSpan } from "../src/types.ts";

const GRID = { segment_seconds: 1, duration_seconds: 10.4 };

function event(id: string, start: number, end: number, more: Partial<EventSpan> = {}): EventSpan {
  return {
    id, start_seconds: start, end_seconds: end, category: "Bark", modality: "audio-visual", score: 0.8, source: "localizer",
    ...more,
  };
}

const spans = (edit: editing.Edit | null): [number, number][] =>
  (edit?.events ?? []).map(({ start_seconds, end_seconds }) => [start_seconds, end_seconds]);

test("times snap to the segments, and to the end of the video", () => {
  assert.equal(editing.snapped(3.4, GRID), 3);
  assert.equal(editing.snapped(3.6, GRID), 4);
  assert.equal(editing.snapped(-2, GRID), 0);
  assert.equal(editing.snapped(10.3, GRID), 10.4);
  assert.equal(editing.snapped(10.1, GRID), 10);
  assert.equal(editing.snapped(99, GRID), 10.4);
  assert.equal(editing.snapped(0.31, { segment_seconds: 0.1, duration_seconds: 1 }), 0.3);
});

test("an end is dragged to the grid, or freely", () => {
  const events = [event("a", 1, 3)];
  assert.deepEqual(spans(editing.withBoundary(events, "a", "end", 4.3, GRID, true)), [[1, 4]]);
  assert.deepEqual(spans(editing.withBoundary(events, "a", "end", 4.3, GRID, false)), [[1, 4.3]]);
  assert.equal(editing.withBoundary(events, "a", "end", 4.3, GRID, true)?.label, "Move end of Bark");
  assert.equal(editing.withBoundary(events, "a", "end", 4.3, GRID, true)?.events[0]?.source, "person");
  assert.equal(editing.withBoundary(events, "a", "end", 3.2, GRID, true), null, "nothing changed");
  assert.equal(editing.withBoundary(events, "b", "end", 4, GRID, true), null, "no such event");
});

test("an end never passes the other one, nor the video", () => {
  const events = [event("a", 1, 3)];
  assert.deepEqual(spans(editing.withBoundary(events, "a", "end", 0, GRID, true)), [[1, 1 + editing.SHORTEST_SECONDS]]);
  assert.deepEqual(spans(editing.withBoundary(events, "a", "start", 8, GRID, true)), [[3 - editing.SHORTEST_SECONDS, 3]]);
  assert.deepEqual(spans(editing.withBoundary(events, "a", "end", 99, GRID, true)), [[1, 10.4]]);
});

test("an event is moved with its length, within the video", () => {
  const events = [event("a", 1.2, 3)];
  assert.deepEqual(spans(editing.withMove(events, "a", 4.3, GRID, true)), [[4, 5.8]]);
  assert.deepEqual(spans(editing.withMove(events, "a", -4, GRID, true)), [[0, 1.8]]);
  assert.deepEqual(spans(editing.withMove(events, "a", 99, GRID, true)), [[8.6, 10.4]]);
});

test("split and merge are each other's opposite", () => {
  const events = [event("a", 1, 3), event("b", 2, 5, { category: "Dog" })];
  const split = editing.withSplit(events, "a", 2.2);
  assert.deepEqual(spans(split), [[1, 2.2], [2, 5], [2.2, 3]]);
  assert.notEqual(split?.selected, "a");
  assert.deepEqual(spans(editing.withMerge(split!.events, "a")), [[1, 3], [2, 5]]);
  assert.equal(editing.withSplit(events, "a", 3.5), null, "outside");
  assert.equal(editing.withMerge(events, "a"), null, "nothing to merge with");
});

test("merged events are heard and seen where they differ, and keep the better score", () => {
  const events = [event("a", 1, 3, { modality: "audio" }), event("b", 4, 5, { modality: "visual", score: 0.9 })];
  const merged = editing.withMerge(events, "a")!.events[0]!;
  assert.equal(merged.modality, "audio-visual");
  assert.equal(merged.score, 0.9);
});

test("the neighbour of a deleted event is chosen", () => {
  const events = [event("a", 1, 3), event("b", 4, 5)];
  assert.equal(editing.withoutEvent(events, "a")?.selected, "b");
  assert.equal(editing.withoutEvent(events, "b")?.selected, "a");
  assert.equal(editing.withoutEvent([events[0]!], "a")?.selected, null);
});

test("a new event has an id of its own, and may be drawn backwards", () => {
  const edit = editing.withNew([event("a", 5, 6)], "Dog", 3.8, 1.2, GRID, true)!;
  assert.deepEqual(spans(edit), [[1, 4], [5, 6]]);
  assert.match(edit.selected!, /^n[0-9a-f]{16}$/);
  assert.equal(editing.withNew([], "Dog", 3.1, 3.2, GRID, true), null, "of no length");
});

test("another category has no score", () => {
  const changed = editing.withCategory([event("a", 1, 3)], "a", "Dog")!.events[0]!;
  assert.equal(changed.category, "Dog");
  assert.equal(changed.score, null);
});

test("other thresholds change one category", () => {
  const found = [event("p1", 0, 1)];
  const edit = editing.withFound([event("a", 1, 3), event("b", 2, 5, { category: "Dog" })], "Bark", found);
  assert.deepEqual(spans(edit), [[0, 1], [2, 5]]);
  const kept = editing.withFound([event("a", 1, 3)], "Bark", [event("p1", 1, 3), event("p2", 5, 6)]);
  assert.equal(kept.events[0]?.id, "a", "what was there before stays the same event");
});

test("overlapping events of one category lie in rows of their own", () => {
  const { rows, rowOf } = editing.rowsOf([event("a", 0, 2), event("b", 1, 3), event("c", 2, 4)]);
  assert.equal(rows, 2);
  assert.deepEqual([rowOf.get("a"), rowOf.get("b"), rowOf.get("c")], [0, 1, 0]);
});

test("what is the same is told from what is not", () => {
  assert.ok(editing.same([event("a", 1, 2), event("b", 0, 1)], [event("x", 0, 1), event("y", 1, 2)]));
  assert.ok(!editing.same([event("a", 1, 2)], [event("a", 1, 2.1)]));
});
