/** The keys, written from the table that they are read from. */

import { h } from "./dom.ts";
import { GROUPS } from "./keys.ts";

const STORED = "avel-single-keys";

/** Whether bare letters and signs do something; those who dictate can switch them off. */
export function singleKeys(): boolean {
  try {
    return localStorage.getItem(STORED) !== "off";
  } catch {
    return true; // a browser that keeps nothing
  }
}

export function showHelp(): void {
  const dialog = h("dialog", { class: "help", "aria-labelledby": "help-title" });
  const single = h("input", { type: "checkbox", checked: singleKeys() });
  single.addEventListener("change", () => {
    try {
      localStorage.setItem(STORED, single.checked ? "on" : "off");
    } catch {
      // It then holds for as long as nothing is kept.
    }
  });
  dialog.append(
    h(
      "header",
      {},
      h("h2", { id: "help-title" }, "Keys"),
      h("button", { class: "plain", "aria-label": "Close", onclick: () => dialog.close() }, "×"),
    ),
    h(
      "div",
      { class: "groups" },
      ...GROUPS.map(({ title, bindings }) =>
        h(
          "section",
          {},
          h("h3", {}, title),
          h(
            "dl",
            {},
            ...bindings.map(({ shown, does }) => h("div", {}, h("dt", {}, h("kbd", {}, shown)), h("dd", {}, does))),
          ),
        ),
      ),
    ),
    h(
      "p",
      { class: "soft" },
      "Dragged ends, moved and new events snap to the segments; hold Alt to place them freely. Ctrl and the mouse wheel zoom, " +
        "Shift and the wheel pan. On a Mac, Command does what Ctrl does.",
    ),
    h("label", { class: "check" }, single, "Keys that are a single letter or sign work (switch them off if you dictate)"),
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
}
