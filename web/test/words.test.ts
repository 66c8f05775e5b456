import assert from "node:assert/strict";
import test from "node:test";
import { fileName } from "../src/api.ts";
import { actionOf, GROUPS, isSingle } from "../src/keys.ts";
import { refusal } from "../src/uploads.ts";
import { layout, visible } from "../src/virtual.ts";
import { bytes, clock, counted, described, span, spoken, timeLeft, timeOf } from "../src/words.ts";

const key = (name: string, held = ""): Parameters<typeof actionOf>[0] => ({
  key: name,
  ctrlKey: held.includes("ctrl"),
  metaKey: held.includes("meta"),
  altKey: held.includes("alt"),
  shiftKey: held.includes("shift"),
});

test("times as they are read", () => {
  assert.equal(clock(0), "0:00.00");
  assert.equal(clock(83.456), "1:23.46");
  assert.equal(clock(59.999), "1:00.00", "rounding carries");
  assert.equal(clock(3725, 0), "1:02:05");
  assert.equal(span(1.2, 6), "1.20 – 6.00 s");
  assert.equal(span(58, 61.5), "0:58.00 – 1:01.50");
});

test("times as they are heard", () => {
  assert.equal(spoken(0), "0 seconds");
  assert.equal(spoken(1), "1 second");
  assert.equal(spoken(83.46), "1 minute 23.5 seconds");
  assert.equal(spoken(120), "2 minutes");
});

test("how long it takes is said roughly", () => {
  assert.equal(timeLeft(2), "a few seconds left");
  assert.equal(timeLeft(41), "about 45 s left");
  assert.equal(timeLeft(400), "about 7 min left");
  assert.equal(timeLeft(5400), "about 1.5 h left");
});

test("sizes and counts", () => {
  assert.equal(timeOf(14400), "4 hours");
  assert.equal(timeOf(90), "1.5 minutes");
  assert.equal(bytes(999), "999 bytes");
  assert.equal(bytes(1_500_000), "1.5 MB");
  assert.equal(counted(1, "event"), "1 event");
  assert.equal(counted(10000, "video"), "10,000 videos");
});

test("an event is described in a sentence", () => {
  assert.equal(
    described({
      id: "a", start_seconds: 1.2, end_seconds: 6, category: "Bark", modality: "audio", score: 0.82, source: "person",
    }),
    "Bark, heard only, from 1.2 seconds to 6 seconds, score 0.82, set by a person",
  );
});

test("keys do what annotators expect", () => {
  assert.equal(actionOf(key(" ")), "play");
  assert.equal(actionOf(key("J")), "shuttle-back");
  assert.equal(actionOf(key("[")), "set-start");
  assert.equal(actionOf(key("[", "alt")), "set-start");
  assert.equal(actionOf(key("{", "shift")), "event-start");
  assert.equal(actionOf(key("?", "shift")), "help");
  assert.equal(actionOf(key("5")), "number");
  assert.equal(actionOf(key("z", "ctrl")), "undo");
  assert.equal(actionOf(key("z", "meta")), "undo");
  assert.equal(actionOf(key("Z", "ctrl shift")), "redo");
  assert.equal(actionOf(key("ArrowLeft", "ctrl")), "move-back");
  assert.equal(actionOf(key("c", "ctrl")), null, "copying stays the browser's");
  assert.equal(actionOf(key("ArrowLeft", "alt")), null, "and so does going back");
});

test("no two actions share a key", () => {
  const keys = GROUPS.flatMap(({ bindings }) => bindings.flatMap((binding) => binding.keys));
  assert.equal(new Set(keys).size, keys.length);
});

test("single keys are those that dictation might press", () => {
  assert.ok(isSingle(key("s")));
  assert.ok(!isSingle(key(" ")));
  assert.ok(!isSingle(key("z", "ctrl")));
  assert.ok(!isSingle(key("ArrowDown")));
});

test("of ten thousand videos only the rows in view are there", () => {
  const grid = layout(1000, 10_000, 200, 10, () => 190);
  assert.deepEqual(grid, { columns: 4, rowHeight: 200, rows: 2500, height: 499_990 });
  assert.deepEqual(visible(grid, 0, 800, 10_000), { from: 0, to: 24 });
  assert.deepEqual(visible(grid, 100_000, 800, 10_000), { from: 1992, to: 2024 });
  assert.deepEqual(visible(grid, 499_000, 800, 10_000).to, 10_000);
  assert.deepEqual(visible(layout(1000, 0, 200, 10, () => 190), 0, 800, 0), { from: 0, to: 0 });
});

test("what cannot be uploaded is refused before it is sent", () => {
  const upload = { max_bytes: 1_000_000, max_seconds: 60, suffixes: ["mp4", ".mkv"] };
  assert.equal(refusal("a.MP4", 10, upload), null);
  assert.match(refusal("a.exe", 10, upload)!, /\.exe is not a kind of video that avel reads: \.mp4, \.mkv/);
  assert.match(refusal("a.mkv", 2_000_000, upload)!, /2\.0 MB; at most 1\.0 MB/);
  assert.equal(refusal("a.mkv", 0, upload), "It is empty.");
});

test("a file is named as the server says", () => {
  assert.equal(fileName('attachment; filename="dog.srt"'), "dog.srt");
  assert.equal(fileName("attachment; filename*=UTF-8''h%C3%BCnd%20bellt.json"), "hünd bellt.json");
  assert.equal(fileName(""), "avel");
});
