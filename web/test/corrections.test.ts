import assert from "node:assert/strict";
import test from "node:test";
import { ApiError, Conflict, Unreachable } from "../src/api.ts";
import { Corrections, type Happening, type Keeper } from "../src/corrections.ts";
import type { Edit } from "../src/editing.ts";
import type { EventSpan, Saved } from "../src/types.ts";

function events(...ends: number[]): EventSpan[] {
  return ends.map((end, n) => ({
    id: `e${n}`, start_seconds: 0, end_seconds: end, category: "Bark", modality: "audio", score: null, source: "person",
  }));
}

function saved(revision: number, kept: readonly EventSpan[]): Saved {
  return {
    events: kept,
    review: {
      revision, reviewed: false, can_undo: revision > 0, can_redo: false, undo_label: "Move", redo_label: null, corrected: true,
    },
  };
}

const edit = (...ends: number[]): Edit => ({ events: events(...ends), label: "Move Bark", selected: null });

/** A server that answers each request as told, and then as a server does. */
class Server implements Keeper {
  state = saved(0, events(1));
  asked: string[] = [];
  answers: (() => Saved)[] = [];

  async save(revision: number, kept: readonly EventSpan[], label: string): Promise<Saved> {
    this.asked.push(`save ${revision} ${label}`);
    await Promise.resolve();
    const told = this.answers.shift();
    if (told) return told();
    if (revision !== this.state.review.revision) throw new Conflict("Someone was first.", this.state);
    this.state = saved(revision + 1, kept);
    return this.state;
  }

  async undo(revision: number): Promise<Saved> {
    this.asked.push(`undo ${revision}`);
    await Promise.resolve();
    this.state = saved(revision + 1, events(1));
    return this.state;
  }

  redo = this.undo;
}

function opened(server: Server): { corrections: Corrections; happened: Happening[]; settled(): Promise<void> } {
  const happened: Happening[] = [];
  const corrections = new Corrections(server.state, server, (happening) => happened.push(happening), async () => {});
  const settled = async (): Promise<void> => {
    for (let n = 0; n < 100 && corrections.unsaved; n += 1) await new Promise((resolve) => setTimeout(resolve, 0));
    assert.ok(!corrections.unsaved);
  };
  return { corrections, happened, settled };
}

const kinds = (happened: Happening[]): string[] => happened.map(({ kind }) => kind);

test("changes are shown at once and kept in order, each on top of the one before", async () => {
  const server = new Server();
  const { corrections, settled } = opened(server);
  corrections.apply(edit(2));
  corrections.apply(edit(3));
  assert.deepEqual(corrections.events, events(3));
  await settled();
  assert.deepEqual(server.asked, ["save 0 Move Bark", "save 1 Move Bark"]);
  assert.deepEqual(server.state.events, events(3));
});

test("an undo waits for what is still on its way", async () => {
  const server = new Server();
  const { corrections, happened, settled } = opened(server);
  corrections.apply(edit(2));
  corrections.undo();
  await settled();
  assert.deepEqual(server.asked, ["save 0 Move Bark", "undo 1"]);
  assert.deepEqual(corrections.events, events(1));
  assert.deepEqual(kinds(happened), ["changed", "saved", "undone"]);
});

test("where the server is away, the change is tried until it is there again", async () => {
  const server = new Server();
  const away = (): never => {
    throw new Unreachable();
  };
  server.answers = [away, away, away];
  const { corrections, happened, settled } = opened(server);
  corrections.apply(edit(2));
  await settled();
  assert.deepEqual(kinds(happened), ["changed", "waiting", "waiting", "waiting", "saved"]);
  assert.deepEqual(server.state.events, events(2));
});

test("what was kept before the connection broke is not taken for someone else's", async () => {
  const server = new Server();
  server.answers = [
    () => {
      server.state = saved(1, events(2));
      throw new Unreachable();
    },
  ];
  const { corrections, happened, settled } = opened(server);
  corrections.apply(edit(2));
  await settled();
  assert.deepEqual(kinds(happened), ["changed", "waiting", "saved"]);
  assert.equal(corrections.review.revision, 1);
});

test("where another window was first, its state is shown", async () => {
  const server = new Server();
  const { corrections, happened, settled } = opened(server);
  server.state = saved(7, events(5));
  corrections.apply(edit(2));
  corrections.apply(edit(3));
  await settled();
  assert.deepEqual(corrections.events, events(5));
  assert.equal(corrections.review.revision, 7);
  assert.deepEqual(kinds(happened), ["changed", "changed", "elsewhere"]);
});

test("what the server refuses is taken back, with its reason", async () => {
  const server = new Server();
  server.answers = [
    () => {
      throw new ApiError(400, "An event must end after it starts.");
    },
  ];
  const { corrections, happened, settled } = opened(server);
  corrections.apply(edit(2));
  await settled();
  assert.deepEqual(corrections.events, events(1));
  assert.deepEqual(happened.at(-1), { kind: "refused", message: "An event must end after it starts." });
});

test("news of the server are shown, unless something is on its way", async () => {
  const server = new Server();
  const { corrections, happened, settled } = opened(server);
  corrections.receive(saved(4, events(9)));
  assert.deepEqual(corrections.events, events(9));
  assert.deepEqual(kinds(happened), ["elsewhere"]);
  server.state = saved(4, events(9));
  corrections.apply(edit(2));
  corrections.receive(saved(5, events(8)));
  assert.deepEqual(corrections.events, events(2));
  await settled();
});

test("a change gets there when its view has been left", async () => {
  const server = new Server();
  server.answers = [
    () => {
      throw new Unreachable();
    },
  ];
  const { corrections, happened, settled } = opened(server);
  corrections.apply(edit(2));
  corrections.close();
  await settled();
  assert.deepEqual(server.state.events, events(2));
  assert.deepEqual(kinds(happened), ["changed"]);
});
