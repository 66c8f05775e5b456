/** The picture, with what plays it and the heat map over it. */

import { h, set } from "./dom.ts";
import { clamp } from "./editing.ts";
import type { Media } from "./types.ts";

const SHUTTLE = [1, 1.5, 2, 4, 8];
export const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];

export class Player {
  readonly element: HTMLElement;
  readonly video: HTMLVideoElement;
  #heat = h("img", { class: "heat", alt: "", hidden: true });
  /** What there is to say of the picture: over it where it cannot be seen, and else beside the controls. */
  readonly note = h("p", { class: "soft" });
  #over = h("p", { class: "over" });
  #loop: { start: number; end: number } | null = null;
  #backwards = 0;
  #backwardsSince = 0;
  #forwards = 0;
  #frame = 0;
  #last = -1;
  #cleanup = new AbortController();

  constructor(
    private readonly duration: number,
    private readonly frameSeconds: number,
    private readonly ticked: (seconds: number, playing: boolean) => void,
  ) {
    this.video = h("video", { preload: "auto", playsinline: true, tabindex: -1, "aria-label": "The video" });
    this.element = h("div", { class: "player" }, this.video, this.#heat, this.#over);
    const { signal } = this.#cleanup;
    const tell = (): void => this.#tell();
    for (const name of ["play", "pause", "seeked", "timeupdate", "ended", "ratechange"]) {
      this.video.addEventListener(name, tell, { signal });
    }
    this.video.addEventListener("play", () => this.#follow(), { signal });
    this.video.addEventListener("loadedmetadata", () => this.#place(), { signal });
    this.video.addEventListener("click", () => this.toggle(), { signal });
    this.video.addEventListener("error", () => this.say("This browser cannot play the video."), { signal });
    const resize = new ResizeObserver(() => this.#place());
    resize.observe(this.element);
    signal.addEventListener("abort", () => resize.disconnect());
  }

  open(media: Media): void {
    const isSilent = media.kind === "preparing" || media.kind === "unplayable";
    this.element.classList.toggle("soundonly", !media.has_picture);
    this.element.classList.toggle("silent", isSilent);
    if (media.width && media.height) this.element.style.setProperty("--shape", `${media.width} / ${media.height}`);
    this.say(isSilent ? (media.note ?? "") : "");
    this.note.textContent = isSilent ? "" : media.note;
    if (media.kind === "original" || media.kind === "proxy") set(this.video, "src", media.url);
    else this.video.removeAttribute("src");
  }

  close(): void {
    this.#cleanup.abort();
    cancelAnimationFrame(this.#frame);
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load(); // lets go of the connection
  }

  say(text: string): void {
    this.#over.textContent = text;
    this.#over.hidden = text === "";
  }

  get time(): number {
    return this.video.readyState === 0 ? Math.max(0, this.#last) : this.video.currentTime;
  }

  get playing(): boolean {
    return !this.video.paused || this.#backwards > 0;
  }

  get looping(): boolean {
    return this.#loop !== null;
  }

  seek(seconds: number): void {
    // A hair before the very end, where a browser still shows the last frame.
    this.video.currentTime = clamp(seconds, 0, Math.max(0, this.duration - 0.001));
    this.#last = this.video.currentTime;
    this.ticked(this.#last, this.playing);
  }

  step(frames: number): void {
    this.stop();
    this.seek(this.time + frames * this.frameSeconds);
  }

  toggle(): void {
    if (this.playing) this.stop();
    else this.play();
  }

  play(): void {
    this.#backwards = 0;
    if (this.time >= this.duration - 0.05) this.seek(0);
    void this.video.play().catch(() => undefined); // refused or broken off: the page shows that it does not play
  }

  stop(): void {
    this.#backwards = this.#forwards = 0;
    this.video.pause();
    this.video.playbackRate = this.speed;
    this.#tell();
  }

  speed = 1;

  setSpeed(speed: number): void {
    this.speed = speed;
    this.video.playbackRate = speed;
  }

  /** J, K, L: each press in the same direction is faster. */
  shuttle(direction: 1 | -1): void {
    if (direction > 0) {
      this.#backwards = 0;
      this.#forwards = this.video.paused ? 1 : Math.min(this.#forwards + 1, SHUTTLE.length);
      this.video.playbackRate = SHUTTLE[Math.max(1, this.#forwards) - 1]!;
      if (this.video.paused) void this.video.play().catch(() => undefined);
      return;
    }
    this.#forwards = 0;
    this.video.pause();
    // No browser plays backwards; it is shown picture by picture.
    this.#backwards = Math.min(this.#backwards + 1, SHUTTLE.length);
    this.#backwardsSince = performance.now();
    this.#follow();
  }

  loop(span: { start: number; end: number } | null): void {
    this.#loop = span;
  }

  /** The heat map of the moment, or none. */
  heat(url: string | null): void {
    if (url === null) {
      this.#heat.hidden = true;
      this.#heat.removeAttribute("src");
      return;
    }
    set(this.#heat, "src", url);
    this.#heat.hidden = false;
  }

  #follow(): void {
    cancelAnimationFrame(this.#frame);
    const step = (): void => {
      if (!this.playing || this.#cleanup.signal.aborted) return;
      if (this.#backwards > 0) this.#stepBack();
      const loop = this.#loop;
      if (loop !== null && this.#backwards === 0 && (this.time >= loop.end || this.time < loop.start - 0.25)) {
        this.seek(loop.start);
      }
      this.#tell();
      this.#frame = requestAnimationFrame(step);
    };
    this.#frame = requestAnimationFrame(step);
  }

  #stepBack(): void {
    const now = performance.now();
    const passed = (now - this.#backwardsSince) / 1000;
    if (passed < 0.08 || this.video.seeking) return;
    this.#backwardsSince = now;
    this.seek(this.time - passed * SHUTTLE[this.#backwards - 1]!);
    if (this.time <= 0) this.stop();
  }

  #tell(): void {
    this.#last = this.time;
    this.ticked(this.#last, this.playing);
  }

  /** The map lies over the picture alone, not over the bars beside it. */
  #place(): void {
    const { videoWidth, videoHeight, clientWidth, clientHeight } = this.video;
    if (videoWidth === 0 || videoHeight === 0) return;
    const scale = Math.min(clientWidth / videoWidth, clientHeight / videoHeight);
    const [width, height] = [videoWidth * scale, videoHeight * scale];
    const { style } = this.#heat;
    style.left = `${this.video.offsetLeft + (clientWidth - width) / 2}px`;
    style.top = `${this.video.offsetTop + (clientHeight - height) / 2}px`;
    style.width = `${width}px`;
    style.height = `${height}px`;
  }
}
