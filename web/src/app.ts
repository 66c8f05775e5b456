/** The page of `avel serve`: which view is shown, and what the server tells of its own accord. */

import { Api, ApiError } from "./api.ts";
import { h, notify } from "./dom.ts";
import { LibraryView } from "./library.ts";
import { ReviewView } from "./review.ts";
import { askedIn, momentIn } from "./search.ts";
import type { Review, VideoSummary } from "./types.ts";

interface View {
  readonly element: HTMLElement;
  readonly unsaved: boolean;
  close(): void;
  key(event: KeyboardEvent): void;
  videoChanged(video: VideoSummary): void;
  reviewChanged(id: string, review: Review): void;
  reconnected(): void;
}

class App {
  #view: View | null = null;
  /** Views that have been left and still send something. */
  #left: View[] = [];
  #root = document.getElementById("app")!;

  constructor(private readonly api: Api) {
    window.addEventListener("popstate", () => {
      if (location.hash !== `#${this.#view?.element.id}`) this.#show(); // which is where the skip link leads
    });
    document.addEventListener("click", (event) => this.#clicked(event));
    document.addEventListener("go", (event) => this.go((event as CustomEvent<string>).detail));
    document.addEventListener("keydown", (event) => this.#view?.key(event));
    window.addEventListener("beforeunload", (event) => {
      if ([this.#view, ...this.#left].some((view) => view?.unsaved)) event.preventDefault();
    });
    this.#show();
    this.#follow();
  }

  go(path: string): void {
    if (path !== location.pathname + location.hash) history.pushState(null, "", path);
    this.#show();
  }

  #show(): void {
    this.#view?.close();
    this.#left = [...this.#left, ...(this.#view ? [this.#view] : [])].filter((view) => view.unsaved);
    const id = /^\/video\/([^/]+)$/.exec(location.pathname)?.[1];
    this.#view =
      id === undefined
        ? new LibraryView(this.api, askedIn(location.hash))
        : new ReviewView(this.api, decodeURIComponent(id), momentIn(location.hash), { go: (path) => this.go(path) });
    this.#root.replaceChildren(this.#view.element);
    window.scrollTo(0, 0);
  }

  #clicked(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    // A button that was clicked gives the keys back: Space plays, and does not press it again.
    const button = target?.closest("button");
    if (button && event.detail > 0 && !button.closest("dialog")) button.blur();
    const link = target?.closest("a[data-link]");
    if (!(link instanceof HTMLAnchorElement) || event.button !== 0) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    const { pathname, hash } = new URL(link.href);
    this.go(pathname + hash);
  }

  /** Server-sent events; where they break off, the page asks until the server is there again. */
  #follow(): void {
    let broken = false;
    const open = (): void => {
      const source = new EventSource("/api/stream");
      source.addEventListener("open", () => {
        if (broken) this.#view?.reconnected();
        broken = false;
      });
      source.addEventListener("video", ({ data }) => this.#view?.videoChanged(JSON.parse(data) as VideoSummary));
      source.addEventListener("review", ({ data }) => {
        const { id, review } = JSON.parse(data) as { id: string; review: Review };
        this.#view?.reviewChanged(id, review);
      });
      source.addEventListener("error", () => {
        broken = true;
        source.close();
        setTimeout(async () => {
          await this.api.renew().catch(() => undefined);
          open();
        }, 1500);
      });
    };
    open();
  }
}

try {
  new App(await Api.open());
} catch (error) {
  const text = error instanceof ApiError ? error.message : "avel does not answer. Is avel serve still running?";
  document.getElementById("app")!.replaceChildren(h("p", { class: "problem", role: "alert" }, text));
  if (!(error instanceof ApiError)) notify(error instanceof Error ? error.message : String(error), "error");
}
