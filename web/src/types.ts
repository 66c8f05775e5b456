/** What the server says; see src/avel/web. Times are seconds, spans are half open. */

export type Modality = "audio-visual" | "audio" | "visual";
export const MODALITIES: readonly Modality[] = ["audio-visual", "audio", "visual"];
export const MODALITY_WORDS: Readonly<Record<Modality, string>> = {
  "audio-visual": "heard and seen",
  audio: "heard only",
  visual: "seen only",
};

export type State = "new" | "queued" | "running" | "done" | "reviewed" | "failed";
export const STATES: readonly State[] = ["new", "queued", "running", "done", "reviewed", "failed"];

export interface EventSpan {
  readonly id: string;
  readonly start_seconds: number;
  readonly end_seconds: number;
  readonly category: string;
  readonly modality: Modality;
  readonly score: number | null;
  readonly source: "localizer" | "person";
}

export interface Review {
  readonly revision: number;
  readonly reviewed: boolean;
  readonly can_undo: boolean;
  readonly can_redo: boolean;
  readonly undo_label: string | null;
  readonly redo_label: string | null;
  readonly corrected: boolean;
}

export interface VideoSummary {
  readonly id: string;
  readonly name: string;
  readonly folder: string;
  readonly state: State;
  readonly progress: number | null;
  readonly seconds_left: number | null;
  readonly reason: string | null;
  readonly duration_seconds: number | null;
  readonly categories: readonly string[];
  readonly event_count: number;
  readonly lowest_score: number | null;
  readonly corrected: boolean;
  /** It came through the page, and goes with the server. */
  readonly uploaded?: boolean;
  readonly thumbnail_url: string;
}

export interface VideoPage {
  readonly total: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly categories: Readonly<Record<string, number>>;
  readonly videos: readonly VideoSummary[];
}

export interface Session {
  readonly token: string;
  readonly version: string;
  readonly title: string;
  readonly source: "folder" | "results" | "videos" | "uploads";
  readonly categories: readonly string[];
  readonly formats: readonly { readonly name: string; readonly suffix: string; readonly title: string }[];
  readonly upload: { readonly max_bytes: number; readonly max_seconds: number; readonly suffixes: readonly string[] };
  readonly model: string;
  /** Whether there is a library to find moments in. */
  readonly search: boolean;
}

/** A moment of a video, which is on this page where it has an id. */
export interface Moment {
  readonly video_id: string | null;
  readonly name: string;
  readonly start_seconds: number;
  readonly end_seconds: number;
  readonly score: number;
  readonly modality: Modality;
  readonly why: string;
  readonly is_close: boolean;
}

export interface Found {
  /** In words. */
  readonly asked: string;
  /** What words were taken for. */
  readonly meaning: string | null;
  /** Said where nothing is close. */
  readonly note: string | null;
  readonly warnings: readonly string[];
  readonly hits: readonly Moment[];
}

export interface Media {
  readonly url: string;
  readonly kind: "original" | "proxy" | "preparing" | "unplayable";
  readonly note: string | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly frames_per_second: number | null;
  readonly has_picture: boolean;
  readonly has_sound: boolean;
}

export interface SegmentSpan {
  readonly start_seconds: number;
  readonly end_seconds: number;
  readonly audio_valid: boolean;
  readonly visual_valid: boolean;
}

export interface VideoDetail {
  readonly video: VideoSummary;
  readonly media: Media;
  readonly duration_seconds: number;
  readonly segment_seconds: number;
  readonly segments: readonly SegmentSpan[];
  readonly categories: readonly string[];
  readonly thresholds: Thresholds;
  readonly warnings: readonly string[];
  readonly events: readonly EventSpan[];
  readonly review: Review;
  readonly has_maps: boolean;
  readonly details: readonly Detail[];
}

/** What a model knows beside its scores, a number a segment. */
export interface Detail {
  readonly title: string;
  readonly meaning: string;
  readonly low: number;
  readonly high: number;
}

/** By modality: one number for all categories, or a number by category. */
export type Thresholds = Readonly<Record<string, number | null | Readonly<Record<string, number>>>>;

export interface Scores {
  readonly segment_seconds: number;
  readonly start_seconds: readonly number[];
  readonly audio: readonly (number | null)[] | null;
  readonly visual: readonly (number | null)[] | null;
  readonly combined: readonly (number | null)[] | null;
}

export interface Peaks {
  readonly per_second: number;
  readonly minimum: readonly number[];
  readonly maximum: readonly number[];
}

export interface Saved {
  readonly events: readonly EventSpan[];
  readonly review: Review;
}
