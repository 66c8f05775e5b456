/** Requests to the server that the page came from. */

import { queryOf, type Asked } from "./search.ts";
import type { EventSpan, Found, Peaks, Review, Saved, Scores, Session, VideoDetail, VideoPage, VideoSummary } from "./types.ts";

/** The server says no. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Someone else changed the video first; this is what it is now. */
export class Conflict extends ApiError {
  constructor(
    message: string,
    readonly saved: Saved,
  ) {
    super(409, message);
  }
}

/** No server answers. */
export class Unreachable extends Error {
  constructor() {
    super("avel does not answer. Is avel serve still running?");
  }
}

export class Api {
  session: Session;

  private constructor(session: Session) {
    this.session = session;
  }

  static async open(): Promise<Api> {
    return new Api(await requested<Session>("/api/session", {}));
  }

  videos(query: Record<string, string | number>): Promise<VideoPage> {
    return this.#get(`/api/videos?${parameters(query)}`);
  }

  video(id: string): Promise<VideoDetail> {
    return this.#get(of(id));
  }

  scores(id: string, category: string): Promise<Scores> {
    return this.#get(`${of(id)}/scores?${parameters({ category })}`);
  }

  async detail(id: string, title: string): Promise<readonly number[]> {
    return (await this.#get<{ values: readonly number[] }>(`${of(id)}/detail?${parameters({ title })}`)).values;
  }

  async preview(id: string, category: string, limits: Record<string, number>, signal: AbortSignal): Promise<EventSpan[]> {
    const answer = await this.#get<{ events: EventSpan[] }>(`${of(id)}/preview?${parameters({ category, ...limits })}`, signal);
    return answer.events;
  }

  search(asked: Asked, signal: AbortSignal): Promise<Found> {
    const path = `/api/search?${parameters(queryOf(asked))}`;
    if (asked.kind !== "file") return this.#get(path, signal);
    return this.#again(() =>
      requested<Found>(path, {
        method: "POST",
        headers: {
          "Content-Type": "application/octet-stream",
          "X-Avel-Token": this.session.token,
          "X-Filename": encodeURIComponent(asked.file.name),
        },
        body: asked.file,
        signal,
      }),
    );
  }

  peaks(id: string, perSecond: number): Promise<Peaks> {
    return this.#get(`${of(id)}/peaks?per_second=${perSecond}`);
  }

  async next(after: string | null): Promise<string | null> {
    return (await this.#get<{ id: string | null }>(`/api/next${after === null ? "" : `?${parameters({ after })}`}`)).id;
  }

  run(id: string, force: boolean): Promise<VideoSummary> {
    return this.#post(`${of(id)}/run`, { force });
  }

  /** How many videos and results have come. */
  rescan(): Promise<{ videos: number; results: number }> {
    return this.#post("/api/rescan", {});
  }

  cancel(id: string): Promise<VideoSummary> {
    return this.#post(`${of(id)}/cancel`, {});
  }

  save(id: string, revision: number, events: readonly EventSpan[], label: string): Promise<Saved> {
    return this.#post(`${of(id)}/events`, { revision, events, label });
  }

  undo(id: string, revision: number): Promise<Saved> {
    return this.#post(`${of(id)}/undo`, { revision });
  }

  redo(id: string, revision: number): Promise<Saved> {
    return this.#post(`${of(id)}/redo`, { revision });
  }

  reviewed(id: string, reviewed: boolean): Promise<{ video: VideoSummary; review: Review }> {
    return this.#post(`${of(id)}/reviewed`, { reviewed });
  }

  exportUrl(id: string, format: string): string {
    return `${of(id)}/export?${parameters({ format })}`;
  }

  partUrl(id: string, part: string, query: Record<string, string | number> = {}): string {
    const text = parameters(query);
    return `${of(id)}/${part}${text ? `?${text}` : ""}`;
  }

  /** A file that the server makes, with the name that it gives it. */
  async file(path: string): Promise<{ name: string; content: Blob }> {
    const response = await this.#again(() => answered(path, {}));
    const disposition = response.headers.get("Content-Disposition") ?? "";
    return { name: fileName(disposition), content: await response.blob().catch(() => Promise.reject(new Unreachable())) };
  }

  /** Sends a file; `progress` is called with the share that has been sent. */
  upload(file: File, progress: (share: number) => void, signal: AbortSignal): Promise<VideoSummary> {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", "/api/videos");
      request.setRequestHeader("X-Avel-Token", this.session.token);
      request.setRequestHeader("X-Filename", encodeURIComponent(file.name));
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.upload.addEventListener("progress", (event) => {
        if (event.lengthComputable && event.total > 0) progress(event.loaded / event.total);
      });
      request.addEventListener("load", () => {
        const answer: unknown = parsed(request.responseText);
        if (request.status < 300) resolve(answer as VideoSummary);
        else reject(new ApiError(request.status, errorIn(answer, request.status)));
      });
      request.addEventListener("error", () => reject(new Unreachable()));
      request.addEventListener("abort", () => reject(new ApiError(0, "The upload was cancelled.")));
      signal.addEventListener("abort", () => request.abort());
      request.send(file);
    });
  }

  #get<T>(path: string, signal?: AbortSignal): Promise<T> {
    return this.#again(() => requested<T>(path, signal ? { signal } : {}));
  }

  #post<T>(path: string, body: unknown): Promise<T> {
    return this.#again(() =>
      requested<T>(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Avel-Token": this.session.token },
        body: JSON.stringify(body),
      }),
    );
  }

  async #again<T>(send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof ApiError) || (error.status !== 401 && error.status !== 403)) throw error;
      await this.renew();
      return send();
    }
  }

  /** A server that was started anew since the page was opened has a new cookie and a new token. */
  async renew(): Promise<void> {
    await fetch("/", { credentials: "same-origin", cache: "reload" }).catch(() => undefined);
    this.session = await requested<Session>("/api/session", {});
  }
}

function of(id: string): string {
  return `/api/videos/${encodeURIComponent(id)}`;
}

function parameters(query: Record<string, string | number>): string {
  return new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)])).toString();
}

async function requested<T>(path: string, how: RequestInit): Promise<T> {
  const response = await answered(path, how);
  return parsed(await response.text().catch(() => Promise.reject(new Unreachable()))) as T;
}

/** An answer that is a yes. */
async function answered(path: string, how: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...how });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Unreachable();
  }
  if (response.ok) return response;
  const answer = parsed(await response.text().catch(() => ""));
  const message = errorIn(answer, response.status);
  if (response.status === 409 && isSaved(answer)) throw new Conflict(message, answer);
  throw new ApiError(response.status, message);
}

/** From the header Content-Disposition, in its plain and its encoded form (RFC 6266). */
export function fileName(disposition: string): string {
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(disposition)?.[1];
  if (encoded !== undefined) return decodeURIComponent(encoded);
  return /filename="?([^";]+)"?/i.exec(disposition)?.[1] ?? "avel";
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function errorIn(answer: unknown, status: number): string {
  const said = typeof answer === "object" && answer !== null && "error" in answer ? answer.error : null;
  return typeof said === "string" ? said : `The server answered with status ${status}.`;
}

function isSaved(answer: unknown): answer is Saved {
  return typeof answer === "object" && answer !== null && "events" in answer && "review" in answer;
}
