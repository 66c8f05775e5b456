/** Files on their way to the server, one after the other. */

import type { Api } from "./api.ts";
import { announce, h, notify, set, write } from "./dom.ts";
import type { Session, VideoSummary } from "./types.ts";
import { bytes } from "./words.ts";

/** Why a file need not be sent at all, or null. The server decides; this spares waiting for its no. */
export function refusal(name: string, size: number, upload: Session["upload"]): string | null {
  const suffix = /\.[^.]+$/.exec(name)?.[0].toLowerCase() ?? "";
  const known = upload.suffixes.map((one) => `.${one.replace(/^\./, "").toLowerCase()}`);
  if (known.length > 0 && !known.includes(suffix)) {
    return `${suffix || "A file without a suffix"} is not a kind of video that avel reads: ${known.join(", ")}.`;
  }
  if (size > upload.max_bytes) return `It has ${bytes(size)}; at most ${bytes(upload.max_bytes)} can be uploaded.`;
  return size === 0 ? "It is empty." : null;
}

export class Uploads {
  readonly element = h("section", { class: "uploads", "aria-label": "Uploads", hidden: true });
  #list = h("ul");
  #queue: (() => Promise<void>)[] = [];
  #busy = false;

  constructor(
    private readonly api: Api,
    private readonly arrived: (video: VideoSummary) => void,
  ) {
    this.element.append(this.#list);
  }

  get sending(): boolean {
    return this.#busy;
  }

  add(files: Iterable<File>): void {
    for (const file of files) {
      const abort = new AbortController();
      const bar = h("progress", { max: 1, value: 0, "aria-label": `Upload of ${file.name}` });
      const word = h("span", { class: "soft" }, "waits");
      const row = h("li", {}, h("span", { class: "what" }, file.name), bar, word);
      const remove = h("button", { class: "plain", "aria-label": `Remove ${file.name}` }, "×");
      remove.addEventListener("click", () => {
        abort.abort();
        row.remove();
        this.element.hidden = this.#list.children.length === 0;
      });
      row.append(remove);
      this.#list.append(row);
      this.element.hidden = false;
      const why = refusal(file.name, file.size, this.api.session.upload);
      if (why !== null) this.#failed(row, bar, word, file.name, why);
      else this.#queue.push(() => this.#send(file, row, bar, word, abort.signal));
    }
    void this.#run();
  }

  async #run(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) await next();
    this.#busy = false;
  }

  async #send(file: File, row: HTMLElement, bar: HTMLProgressElement, word: HTMLElement, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    try {
      const video = await this.api.upload(
        file,
        (share) => {
          bar.value = share;
          write(word, `${Math.floor(share * 100)} % of ${bytes(file.size)}`);
        },
        signal,
      );
      announce(`${file.name} is uploaded.`);
      row.remove();
      this.element.hidden = this.#list.children.length === 0;
      this.arrived(video);
    } catch (error) {
      if (!signal.aborted) this.#failed(row, bar, word, file.name, error instanceof Error ? error.message : String(error));
    }
  }

  #failed(row: HTMLElement, bar: HTMLElement, word: HTMLElement, name: string, why: string): void {
    row.classList.add("failed");
    bar.remove();
    set(word, "class", "");
    write(word, why);
    const said = `${name} was not uploaded. ${why}`;
    if (this.element.isConnected) announce(said);
    else notify(said, "error"); // the list has been left meanwhile
  }
}
