/** Numbers as people read and hear them. */

import { MODALITY_WORDS, type EventSpan } from "./types.ts";

/** 83.456 is "1:23.46"; as many decimals as asked for, hours where there are some. */
export function clock(seconds: number, decimals = 2): string {
  const unit = 10 ** decimals;
  const all = Math.round(Math.max(0, seconds) * unit);
  const whole = Math.floor(all / unit);
  const fraction = decimals > 0 ? `.${String(all % unit).padStart(decimals, "0")}` : "";
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${hours > 0 ? `${hours}:${two(minutes)}` : minutes}:${two(whole % 60)}${fraction}`;
}

/** From when to when: "1.20 – 6.00 s", with minutes only where there are some. */
export function span(start: number, end: number): string {
  return end < 60 ? `${start.toFixed(2)} – ${end.toFixed(2)} s` : `${clock(start)} – ${clock(end)}`;
}

/** A moment for the ear: "1 minute 23.5 seconds". */
export function spoken(seconds: number): string {
  const tenths = Math.round(Math.max(0, seconds) * 10);
  const minutes = Math.floor(tenths / 600);
  const rest = (tenths % 600) / 10;
  const parts = [];
  if (minutes > 0) parts.push(counted(minutes, "minute"));
  if (rest > 0 || minutes === 0) parts.push(counted(rest, "second"));
  return parts.join(" ");
}

export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** How long a job still takes, roughly. */
export function timeLeft(seconds: number): string {
  if (seconds < 5) return "a few seconds left";
  if (seconds < 55) return `about ${Math.ceil(seconds / 5) * 5} s left`;
  if (seconds < 3570) return `about ${Math.round(seconds / 60)} min left`;
  return `about ${(seconds / 3600).toFixed(1)} h left`;
}

/** A length of time in its largest unit: "4 hours". */
export function timeOf(seconds: number): string {
  const round = (value: number): number => Math.round(value * 10) / 10;
  if (seconds >= 3600) return counted(round(seconds / 3600), "hour");
  return seconds >= 60 ? counted(round(seconds / 60), "minute") : counted(round(seconds), "second");
}

export function bytes(count: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function described(event: EventSpan): string {
  const score = event.score === null ? "" : `, score ${event.score.toFixed(2)}`;
  const person = event.source === "person" ? ", set by a person" : "";
  return (
    `${event.category}, ${MODALITY_WORDS[event.modality]}, ` +
    `from ${spoken(event.start_seconds)} to ${spoken(event.end_seconds)}${score}${person}`
  );
}
