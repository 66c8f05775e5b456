import assert from "node:assert/strict";
import test from "node:test";
import { geometry, hit, scoreAt, scoreY, steps, type Hit } from "../src/geometry.ts";
import { limitsOf } from "../src/thresholds.ts";
import type { EventSpan } from "../src/types.ts";
import * as viewport from "../src/viewport.ts";
import { Waveform } from "../src/waveform.ts";

const near = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) < 1e-6, `${actual} is not ${expected}`);

test("the whole video fits", () => {
  const view = viewport.whole(10, 500);
  assert.equal(view.pixelsPerSecond, 50);
  assert.equal(viewport.toX(view, 4), 200);
  assert.equal(viewport.toSeconds(view, 200), 4);
});

test("zooming keeps the moment under the pointer, and stops at the whole video", () => {
  const view = viewport.zoomed(viewport.whole(100, 500), 4, 250);
  near(viewport.toSeconds(view, 250), 50);
  assert.equal(view.pixelsPerSecond, 20);
  assert.deepEqual(viewport.zoomed(view, 0.001, 250), viewport.whole(100, 500));
});

test("panning stops at both ends", () => {
  const view = viewport.zoomed(viewport.whole(100, 500), 4, 250);
  assert.equal(viewport.panned(view, -99999).start, 0);
  near(viewport.endOf(viewport.panned(view, 99999)), 100);
});

test("a moment out of view is paged to", () => {
  const view = viewport.zoomed(viewport.whole(100, 500), 4, 0);
  assert.equal(viewport.revealing(view, 10), view);
  near(viewport.toX(viewport.revealing(view, 60), 60), 50);
});

test("a fitted view fits after a change of width, another one keeps its zoom", () => {
  assert.equal(viewport.resized(viewport.whole(10, 500), 1000).pixelsPerSecond, 100);
  const close = viewport.zoomed(viewport.whole(10, 500), 4, 0);
  assert.equal(viewport.resized(close, 1000).pixelsPerSecond, 200);
});

test("the ruler has round marks and no labels too near to each other", () => {
  for (const duration of [0.3, 4, 10, 61, 3600, 40000]) {
    const view = viewport.whole(duration, 700);
    const labelled = viewport.ticks(view).ticks.filter((tick) => tick.labelled);
    assert.ok(labelled.length >= 1);
    for (let n = 1; n < labelled.length; n += 1) {
      assert.ok((labelled[n]!.seconds - labelled[n - 1]!.seconds) * view.pixelsPerSecond >= 79.9);
    }
  }
});

test("a column of the waveform has the greatest and least of its samples, at any zoom", () => {
  const maximum = Array.from({ length: 4000 }, (_, n) => (n === 2345 ? 0.9 : 0.1));
  const wave = new Waveform({ per_second: 50, minimum: maximum.map((value) => -value), maximum });
  for (const pixels of [10, 160, 800, 4000]) {
    const { low, high } = wave.columns(0, 80 / pixels, pixels);
    near(Math.max(...high), Math.fround(0.9));
    near(Math.min(...low), Math.fround(-0.9));
    assert.ok(Math.abs(high.indexOf(Math.fround(0.9)) - Math.floor((2345 / 4000) * pixels)) <= 1);
  }
  assert.equal(wave.columns(79.9, 1, 2).high[1], 0, "after the end there is no sound");
});

const EVENTS: EventSpan[] = [
  { id: "a", start_seconds: 2, end_seconds: 4, category: "Bark", modality: "audio", score: 0.7, source: "localizer" },
  { id: "b", start_seconds: 4, end_seconds: 6, category: "Bark", modality: "audio", score: 0.7, source: "localizer" },
];
const BOXES = geometry(["Bark", "Dog"], EVENTS, { strip: true, wave: true, spectrogram: false, detail: false, curves: new Set(["Bark"]) });
const VIEW = viewport.whole(10, 1000);
const LIMITS = new Map([["Bark", new Map([["audio", 0.5]] as const)]]);
const at = (x: number, y: number, selected: string | null = null): Hit => hit(BOXES, VIEW, EVENTS, selected, LIMITS, x, y, 6);

test("parts lie below each other and nowhere overlap", () => {
  const parts = [BOXES.ruler, BOXES.strip!, BOXES.wave!, ...BOXES.lanes];
  for (let n = 1; n < parts.length; n += 1) assert.ok(parts[n]!.top >= parts[n - 1]!.top + parts[n - 1]!.height);
  const last = parts[parts.length - 1]!;
  assert.equal(BOXES.height, last.top + last.height);
});

test("what lies under the pointer is found", () => {
  const y = BOXES.lanes[0]!.bands.top + 5;
  assert.deepEqual(at(300, y), { kind: "event", event: EVENTS[0] });
  assert.deepEqual(at(203, y), { kind: "edge", event: EVENTS[0], side: "start" });
  assert.deepEqual(at(100, y), { kind: "lane", category: "Bark" });
  assert.deepEqual(at(100, BOXES.ruler.top + 3), { kind: "time" });
  assert.deepEqual(at(300, BOXES.lanes[1]!.top + 5), { kind: "lane", category: "Dog" });
  const curves = BOXES.lanes[0]!.curves!;
  assert.deepEqual(at(50, scoreY(curves, 0.5) + 2), { kind: "threshold", category: "Bark", limit: "audio" });
});

test("where two events touch, the chosen one is grasped", () => {
  const y = BOXES.lanes[0]!.bands.top + 5;
  assert.deepEqual(at(400, y, "a"), { kind: "edge", event: EVENTS[0], side: "end" });
  assert.deepEqual(at(400, y, "b"), { kind: "edge", event: EVENTS[1], side: "start" });
});

test("a score and its height are each other's opposite", () => {
  const curves = BOXES.lanes[0]!.curves!;
  near(scoreAt(curves, scoreY(curves, 0.37)), 0.37);
});

test("scores are steps, with gaps where there are none", () => {
  const found = steps([0.1, null, 0.3], [0, 1, 2], 1, viewport.whole(3, 300));
  assert.deepEqual(found, [{ from: 0, to: 100, value: 0.1 }, { from: 200, to: 300, value: 0.3 }]);
});

test("an hour of scores is hardly more steps than pixels, and keeps its peaks", () => {
  const values = Array.from({ length: 36000 }, (_, n) => (n === 20000 ? 0.95 : 0.2));
  const starts = values.map((_, n) => n / 10);
  const found = steps(values, starts, 0.1, viewport.whole(3600, 800));
  assert.ok(found.length <= 880);
  assert.equal(Math.max(...found.map(({ value }) => value)), 0.95);
});

test("thresholds are read in each of their forms", () => {
  assert.deepEqual([...limitsOf({ audio: 0.5, visual: 0.4, av: 0.3 }, "Bark")], [["audio", 0.5], ["visual", 0.4]]);
  assert.deepEqual([...limitsOf({ audio: { default: 0.5, Bark: 0.2 } }, "Bark")], [["audio", 0.2]]);
  assert.deepEqual([...limitsOf({ audio: { default: 0.5, Bark: 0.2 }, visual: null }, "Dog")], [["audio", 0.5]]);
  assert.deepEqual([...limitsOf({ av: 0.5 }, "Dog")], [["combined", 0.5]]);
  assert.deepEqual([...limitsOf({}, "Dog")], []);
});
