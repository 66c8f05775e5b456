/** The events as they are on the page, and their way to the server: one change at a time, in order, until it is kept. */

import { Conflict, Unreachable } from "./api.ts";
import { same, type Edit, type Events } from "./editing.ts";
import type { Review, Saved } from "./types.ts";

export interface Keeper {
  save(revision: number, events: Events, label: string): Promise<Saved>;
  undo(revision: number): Promise<Saved>;
  redo(revision: number): Promise<Saved>;
}

type Change = { readonly kind: "save"; readonly events: Events; readonly label: string } | { readonly kind: "undo" | "redo" };

export type Happening =
  | { readonly kind: "changed" | "saved" | "waiting" | "elsewhere" }
  | { readonly kind: "undone" | "redone"; readonly label: string }
  | { readonly kind: "refused"; readonly message: string };

export class Corrections {
  #events: Events;
  #review: Review;
  #kept: Events;
  #queue: Change[] = [];
  #sending = false;
  #closed = false;

  constructor(
    saved: Saved,
    private readonly keeper: Keeper,
    private readonly happened: (happening: Happening) => void,
    private readonly pause: (seconds: number) => Promise<void> = (seconds) =>
      new Promise((resolve) => setTimeout(resolve, seconds * 1000)),
  ) {
    this.#events = this.#kept = saved.events;
    this.#review = saved.review;
  }

  get events(): Events {
    return this.#events;
  }

  get review(): Review {
    return this.#review;
  }

  /** Whether something is not on the server yet. */
  get unsaved(): boolean {
    return this.#queue.length > 0;
  }

  get canUndo(): boolean {
    return this.#review.can_undo || this.unsaved;
  }

  apply(edit: Edit): void {
    this.#events = edit.events;
    this.#queue.push({ kind: "save", events: edit.events, label: edit.label });
    this.#tell({ kind: "changed" });
    void this.#send();
  }

  undo(): void {
    if (!this.canUndo) return;
    this.#queue.push({ kind: "undo" });
    void this.#send();
  }

  redo(): void {
    if (!this.#review.can_redo || this.unsaved) return;
    this.#queue.push({ kind: "redo" });
    void this.#send();
  }

  /** What the server says on its own: someone else changed or marked the video. */
  receive(saved: Saved): void {
    if (this.unsaved) return; // the next answer of the server will say so
    const elsewhere = saved.review.revision !== this.#review.revision;
    this.#adopt(saved);
    this.#tell({ kind: elsewhere ? "elsewhere" : "saved" });
  }

  marked(review: Review): void {
    this.#review = review;
    this.#tell({ kind: "saved" });
  }

  /** Nobody looks any more; what is on its way still gets there. */
  close(): void {
    this.#closed = true;
  }

  #tell(happening: Happening): void {
    if (!this.#closed) this.happened(happening);
  }

  async #send(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    let wait = 0.5;
    for (;;) {
      const change = this.#queue[0];
      if (change === undefined) break;
      const before = this.#review;
      try {
        const saved = await this.#sent(change);
        this.#queue.shift();
        this.#review = saved.review;
        this.#kept = saved.events;
        if (this.#queue.length === 0) this.#events = saved.events;
        wait = 0.5;
        if (change.kind === "undo") this.#tell({ kind: "undone", label: before.undo_label ?? "" });
        else if (change.kind === "redo") this.#tell({ kind: "redone", label: before.redo_label ?? "" });
        else this.#tell({ kind: "saved" });
      } catch (error) {
        if (error instanceof Unreachable) {
          this.#tell({ kind: "waiting" });
          await this.pause(wait);
          wait = Math.min(wait * 1.5, 5);
        } else if (error instanceof Conflict) {
          // A change that was kept before the connection broke comes back as a conflict with itself.
          const own = change.kind === "save" && same(error.saved.events, change.events);
          if (own) this.#queue.shift();
          else this.#queue = [];
          this.#review = error.saved.review;
          this.#kept = error.saved.events;
          if (this.#queue.length === 0) this.#events = error.saved.events;
          this.#tell({ kind: own ? "saved" : "elsewhere" });
        } else {
          this.#queue = [];
          this.#events = this.#kept;
          this.#tell({ kind: "refused", message: error instanceof Error ? error.message : String(error) });
        }
      }
    }
    this.#sending = false;
  }

  #sent(change: Change): Promise<Saved> {
    const { revision } = this.#review;
    if (change.kind === "save") return this.keeper.save(revision, change.events, change.label);
    return change.kind === "undo" ? this.keeper.undo(revision) : this.keeper.redo(revision);
  }

  #adopt(saved: Saved): void {
    this.#review = saved.review;
    this.#events = this.#kept = saved.events;
  }
}
