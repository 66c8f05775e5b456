import assert from "node:assert/strict";
import test from "node:test";
import { addressOf, askedIn, momentAddress, momentIn, queryOf, type Asked } from "../src/search.ts";

const words: Asked = { kind: "words", text: "dog & cat #1, 100 %", lookedIn: "audio" };
const like: Asked = { kind: "like", id: "0a1b", start: 3, end: 6.25, by: "audio", lookedIn: "both" };

test("what is looked for is an address, which says the same again", () => {
  for (const asked of [words, like]) assert.deepEqual(askedIn(new URL(addressOf(asked), "http://avel").hash), asked);
  assert.equal(addressOf({ ...like, start: 3.000001 }), "/#like=0a1b&start=3&end=6.25&by=audio&in=both");
});

test("an address that asks for nothing", () => {
  for (const hash of ["", "#main", "#find=", "#find=++", "#like=a", "#like=a&start=3&end=3", "#like=a&start=-1&end=3"]) {
    assert.equal(askedIn(hash), null, hash);
  }
  assert.equal(askedIn("#like=a&start=0&end=1e9"), null);
  assert.deepEqual(askedIn("#find=dog&in=everywhere"), { kind: "words", text: "dog", lookedIn: "both" });
});

test("what the server is asked", () => {
  assert.deepEqual(queryOf(words), { text: "dog & cat #1, 100 %", modality: "audio" });
  assert.deepEqual(queryOf(like), { video: "0a1b", start: 3, end: 6.25, by: "audio", modality: "both" });
});

test("a moment of a video is an address", () => {
  assert.equal(momentAddress("a/b", 3.456), "/video/a%2Fb#t=3.46");
  assert.equal(momentIn("#t=3.46"), 3.46);
  assert.equal(momentIn("#t=3,6"), 3);
  for (const hash of ["", "#main", "#t=", "#t=x", "#t=-1", "#t=1e400"]) assert.equal(momentIn(hash), null, hash);
});
