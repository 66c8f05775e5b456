/** What state a video is in, in words. */

import { h } from "./dom.ts";
import type { State, VideoSummary } from "./types.ts";
import { counted, timeLeft } from "./words.ts";

export const STATE_WORDS: Readonly<Record<State, string>> = {
  new: "New",
  queued: "Waiting",
  running: "Running",
  done: "Done",
  reviewed: "Reviewed",
  failed: "Failed",
};

export function badge(video: VideoSummary): HTMLElement {
  const corrected = video.corrected && video.state === "done" ? "Corrected" : STATE_WORDS[video.state];
  return h("span", { class: `badge ${video.state}` }, corrected);
}

/** Whether the server localizes it now, or will. */
export function isWorking(video: Pick<VideoSummary, "state">): boolean {
  return video.state === "queued" || video.state === "running";
}

export function stateText(video: VideoSummary): string {
  switch (video.state) {
    case "new":
      return "Nothing looked for yet.";
    case "queued":
      return "Waits for its turn.";
    case "running": {
      const share = video.progress === null ? "Starting" : `${Math.floor(video.progress * 100)} %`;
      return video.seconds_left === null ? `${share} …` : `${share}, ${timeLeft(video.seconds_left)}`;
    }
    case "failed":
      return reasonOf(video);
    default:
      return video.event_count === 0 ? "No events" : counted(video.event_count, "event");
  }
}

/** Why a video failed, without its name, which stands above it. */
function reasonOf(video: VideoSummary): string {
  const reason = video.reason ?? "The video could not be read.";
  const [path, ...rest] = reason.split(": ");
  const said = path!.endsWith(video.name) && rest.length > 0 ? rest.join(": ") : reason;
  return said.charAt(0).toUpperCase() + said.slice(1);
}
