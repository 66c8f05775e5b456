/** What is looked for in a library, and moments, as addresses, so that Back and a link lead to them. */

export const LOOKED_IN = ["both", "audio", "visual"] as const;
export type LookedIn = (typeof LOOKED_IN)[number];

/** Words; a part of a video, of its sound alone or of sound and picture; or a file, which no address holds. */
export type Asked =
  | { readonly kind: "words"; readonly text: string; readonly lookedIn: LookedIn }
  | {
      readonly kind: "like";
      readonly id: string;
      readonly start: number;
      readonly end: number;
      readonly by: "audio" | "video";
      readonly lookedIn: LookedIn;
    }
  | { readonly kind: "file"; readonly file: File; readonly lookedIn: LookedIn };

/** Where the page shows what is found. */
export function addressOf(asked: Asked): string {
  const given: Record<string, string> =
    asked.kind === "words"
      ? { find: asked.text }
      : asked.kind === "file"
        ? { file: asked.file.name }
        : { like: asked.id, start: hundredths(asked.start), end: hundredths(asked.end), by: asked.by };
  return `/#${new URLSearchParams({ ...given, in: asked.lookedIn })}`;
}

/** What the part of an address after # asks for; null where that is nothing. */
export function askedIn(hash: string): Asked | null {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const lookedIn = LOOKED_IN.find((one) => one === given.get("in")) ?? "both";
  const text = given.get("find")?.trim();
  if (text) return { kind: "words", text, lookedIn };
  const id = given.get("like");
  const [start, end] = [secondsOf(given.get("start")), secondsOf(given.get("end"))];
  if (!id || start === null || end === null || start >= end) return null;
  return { kind: "like", id, start, end, by: given.get("by") === "audio" ? "audio" : "video", lookedIn };
}

/** What the server is asked. */
export function queryOf(asked: Asked): Record<string, string | number> {
  const { lookedIn: modality } = asked;
  if (asked.kind === "file") return { modality };
  if (asked.kind === "words") return { text: asked.text, modality };
  return { video: asked.id, start: asked.start, end: asked.end, by: asked.by, modality };
}

/** A video at a moment, as W3C Media Fragments write it. */
export function momentAddress(id: string, seconds: number): string {
  return `/video/${encodeURIComponent(id)}#t=${hundredths(seconds)}`;
}

/** The moment that the part of an address after # names. */
export function momentIn(hash: string): number | null {
  return secondsOf(new URLSearchParams(hash.replace(/^#/, "")).get("t")?.split(",")[0] ?? null);
}

function secondsOf(text: string | null): number | null {
  return text !== null && /^\d{1,7}(\.\d{1,6})?$/.test(text) ? Number(text) : null;
}

/** In hundredths at most: 3, 3.5, 3.25. */
function hundredths(seconds: number): string {
  return String(Math.round(seconds * 100) / 100);
}
