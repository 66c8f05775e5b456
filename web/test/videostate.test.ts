import assert from "node:assert/strict";
import test from "node:test";
import type { VideoSummary } from "../src/types.ts";
import { stateText } from "../src/videostate.ts";

const VIDEO: VideoSummary = {
  id: "v", name: "dog.mp4", folder: "", state: "done", progress: null, seconds_left: null, reason: null,
  duration_seconds: 10, categories: [], event_count: 2, lowest_score: null, corrected: false, thumbnail_url: "/t",
};

test("what a video's state means is said in words", () => {
  assert.equal(stateText(VIDEO), "2 events");
  assert.equal(stateText({ ...VIDEO, event_count: 0 }), "No events");
  assert.equal(stateText({ ...VIDEO, state: "running" }), "Starting …");
  assert.equal(stateText({ ...VIDEO, state: "running", progress: 0.429, seconds_left: 41 }), "42 %, about 45 s left");
  assert.equal(
    stateText({ ...VIDEO, state: "failed", reason: "/videos/dog.mp4: has no sound: nothing to hear." }),
    "Has no sound: nothing to hear.",
  );
  assert.equal(stateText({ ...VIDEO, state: "failed", reason: "No space: disk." }), "No space: disk.");
});
