/** Peaks of the sound, ready to be drawn at any zoom. */

import type { Peaks } from "./types.ts";

interface Level {
  readonly perSecond: number;
  readonly minimum: Float32Array;
  readonly maximum: Float32Array;
}

/** Each level has half the peaks of the one before, so that a column of pixels never spans more than a few of them. */
export class Waveform {
  readonly #levels: Level[];

  constructor(peaks: Peaks) {
    let level: Level = {
      perSecond: peaks.per_second,
      minimum: Float32Array.from(peaks.minimum),
      maximum: Float32Array.from(peaks.maximum),
    };
    this.#levels = [level];
    while (level.minimum.length > 512) {
      level = halved(level);
      this.#levels.push(level);
    }
  }

  /** The least and the greatest sample of each column of pixels; 0 where there is no sound. */
  columns(start: number, secondsPerPixel: number, count: number): { low: Float32Array; high: Float32Array } {
    const low = new Float32Array(count);
    const high = new Float32Array(count);
    const level = this.#levels.findLast(({ perSecond }) => perSecond * secondsPerPixel >= 1) ?? this.#levels[0]!;
    for (let x = 0; x < count; x += 1) {
      const from = Math.max(0, Math.floor((start + x * secondsPerPixel) * level.perSecond));
      const to = Math.min(
        level.minimum.length,
        Math.max(from + 1, Math.ceil((start + (x + 1) * secondsPerPixel) * level.perSecond)),
      );
      if (from >= to) continue;
      let least = 1;
      let most = -1;
      for (let n = from; n < to; n += 1) {
        least = Math.min(least, level.minimum[n]!);
        most = Math.max(most, level.maximum[n]!);
      }
      low[x] = least;
      high[x] = most;
    }
    return { low, high };
  }
}

function halved(level: Level): Level {
  const count = Math.ceil(level.minimum.length / 2);
  const minimum = new Float32Array(count);
  const maximum = new Float32Array(count);
  for (let n = 0; n < count; n += 1) {
    const other = Math.min(2 * n + 1, level.minimum.length - 1);
    minimum[n] = Math.min(level.minimum[2 * n]!, level.minimum[other]!);
    maximum[n] = Math.max(level.maximum[2 * n]!, level.maximum[other]!);
  }
  return { perSecond: level.perSecond / 2, minimum, maximum };
}
