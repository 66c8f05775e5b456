/** Elements from code. What comes from outside becomes text, never markup. */

type Child = Node | string | null | undefined | false;
type Listener = (event: never) => void;
export type Properties = Record<string, string | number | boolean | null | undefined | Listener>;

/** `on…` are listeners; true is an attribute without a value; null, undefined and false are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Properties = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as unknown as EventListener);
    else set(element, name, value);
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

export function set(element: Element, name: string, value: string | number | boolean | null | undefined): void {
  const wanted = value === null || value === undefined || value === false ? null : value === true ? "" : String(value);
  if (element.getAttribute(name) === wanted) return;
  if (wanted === null) element.removeAttribute(name);
  else element.setAttribute(name, wanted);
}

/** Changes the text only where it differs, so that nothing is read out or laid out again for nothing. */
export function write(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** For the eyes nothing changes; a screen reader says it. */
export function announce(text: string): void {
  const region = document.getElementById("live");
  if (region === null) return;
  // Said again where it is the same as before.
  region.textContent = region.textContent === text ? `${text}\u00a0` : text;
}

/** A word for the eyes and the ears, which stays until it is closed, replaced or its time is over. */
export function notify(text: string, kind: "word" | "error" = "word", seconds = kind === "error" ? 0 : 8): void {
  const place = document.getElementById("notices");
  if (place === null) return;
  const close = (): void => notice.remove();
  const notice = h(
    "div",
    { class: `notice ${kind}`, role: kind === "error" ? "alert" : "status" },
    h("p", {}, text),
    h("button", { class: "plain", "aria-label": "Close this message", onclick: close }, "×"),
  );
  place.replaceChildren(notice);
  if (seconds > 0) setTimeout(close, seconds * 1000);
}

/** Hands a file to the browser, which saves it as it saves all others. */
export function save(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
