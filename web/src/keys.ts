/** What each key does. The help is written from this table. */

export type Action =
  | "play" | "back" | "on" | "far-back" | "far-on" | "frame-back" | "frame-on" | "beginning" | "end"
  | "shuttle-back" | "shuttle-stop" | "shuttle-on" | "slower" | "faster"
  | "previous-event" | "next-event" | "event-start" | "event-end" | "loop"
  | "set-start" | "set-end" | "move-back" | "move-on" | "add" | "split" | "merge" | "delete" | "category" | "number"
  | "undo" | "redo" | "zoom-in" | "zoom-out" | "zoom-all" | "zoom-event" | "pan-back" | "pan-on"
  | "reviewed" | "next-video" | "alike" | "heat" | "spectrogram" | "help" | "leave";

interface Binding {
  readonly action: Action;
  /** As `KeyboardEvent.key`, in lower case; "ctrl+" also stands for Command. */
  readonly keys: readonly string[];
  readonly shown: string;
  readonly does: string;
}

interface Group {
  readonly title: string;
  readonly bindings: readonly Binding[];
}

export const GROUPS: readonly Group[] = [
  {
    title: "Play",
    bindings: [
      { action: "play", keys: [" "], shown: "Space", does: "Play or pause" },
      { action: "shuttle-back", keys: ["j"], shown: "J", does: "Play backwards; again: faster" },
      { action: "shuttle-stop", keys: ["k"], shown: "K", does: "Pause" },
      { action: "shuttle-on", keys: ["l"], shown: "L", does: "Play forwards; again: faster" },
      { action: "back", keys: ["arrowleft"], shown: "←", does: "One segment back" },
      { action: "on", keys: ["arrowright"], shown: "→", does: "One segment on" },
      { action: "far-back", keys: ["shift+arrowleft"], shown: "Shift ←", does: "Five seconds back" },
      { action: "far-on", keys: ["shift+arrowright"], shown: "Shift →", does: "Five seconds on" },
      { action: "frame-back", keys: [","], shown: ",", does: "One frame back" },
      { action: "frame-on", keys: ["."], shown: ".", does: "One frame on" },
      { action: "beginning", keys: ["home"], shown: "Home", does: "To the beginning" },
      { action: "end", keys: ["end"], shown: "End", does: "To the end" },
      { action: "slower", keys: ["<", "shift+,"], shown: "<", does: "Slower" },
      { action: "faster", keys: [">", "shift+."], shown: ">", does: "Faster" },
    ],
  },
  {
    title: "Events",
    bindings: [
      { action: "previous-event", keys: ["arrowup"], shown: "↑", does: "Event before" },
      { action: "next-event", keys: ["arrowdown"], shown: "↓", does: "Next event" },
      { action: "event-start", keys: ["{", "shift+["], shown: "{", does: "To the start of the event" },
      { action: "event-end", keys: ["}", "shift+]"], shown: "}", does: "To the end of the event" },
      { action: "loop", keys: ["o"], shown: "O", does: "Loop the event" },
      { action: "alike", keys: ["f"], shown: "F", does: "Find moments like the event" },
      { action: "leave", keys: ["escape"], shown: "Esc", does: "Leave a field; choose no event" },
    ],
  },
  {
    title: "Correct",
    bindings: [
      { action: "set-start", keys: ["[", "alt+["], shown: "[", does: "Event starts here; without an event, a new one does" },
      { action: "set-end", keys: ["]", "alt+]"], shown: "]", does: "Event ends here" },
      { action: "move-back", keys: ["ctrl+arrowleft"], shown: "Ctrl ←", does: "Move the event one segment back" },
      { action: "move-on", keys: ["ctrl+arrowright"], shown: "Ctrl →", does: "Move the event one segment on" },
      { action: "number", keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"], shown: "1 – 9", does: "Category by its number" },
      { action: "category", keys: ["c"], shown: "C", does: "Choose a category" },
      { action: "add", keys: ["a"], shown: "A", does: "Add an event here" },
      { action: "split", keys: ["s"], shown: "S", does: "Split the event here" },
      { action: "merge", keys: ["m"], shown: "M", does: "Merge with the next of its category" },
      { action: "delete", keys: ["delete", "backspace"], shown: "Delete", does: "Delete the event" },
      { action: "undo", keys: ["ctrl+z"], shown: "Ctrl Z", does: "Undo" },
      { action: "redo", keys: ["ctrl+shift+z", "ctrl+y"], shown: "Ctrl Shift Z", does: "Redo" },
    ],
  },
  {
    title: "View",
    bindings: [
      { action: "zoom-in", keys: ["+", "=", "shift++"], shown: "+", does: "Zoom in" },
      { action: "zoom-out", keys: ["-"], shown: "−", does: "Zoom out" },
      { action: "zoom-event", keys: ["z"], shown: "Z", does: "Zoom to the event" },
      { action: "zoom-all", keys: ["0"], shown: "0", does: "Show all of the video" },
      { action: "pan-back", keys: ["pageup"], shown: "Page ↑", does: "A view back" },
      { action: "pan-on", keys: ["pagedown"], shown: "Page ↓", does: "A view on" },
      { action: "heat", keys: ["h"], shown: "H", does: "Heat map" },
      { action: "spectrogram", keys: ["g"], shown: "G", does: "Spectrogram" },
    ],
  },
  {
    title: "Work",
    bindings: [
      { action: "reviewed", keys: ["r"], shown: "R", does: "Mark as reviewed" },
      { action: "next-video", keys: ["n"], shown: "N", does: "Next video that is not reviewed" },
      { action: "help", keys: ["?", "shift+?"], shown: "?", does: "These keys" },
    ],
  },
];

const TABLE: ReadonlyMap<string, Action> = new Map(
  GROUPS.flatMap(({ bindings }) => bindings.flatMap(({ action, keys }) => keys.map((key) => [key, action] as const))),
);

export interface Pressed {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
  readonly shiftKey: boolean;
}

/** What a key does, or null. Some signs need Shift on some keyboards, so Shift counts only where it is bound. */
export function actionOf(pressed: Pressed): Action | null {
  const key = pressed.key.toLowerCase();
  const modifiers = `${pressed.ctrlKey || pressed.metaKey ? "ctrl+" : ""}${pressed.altKey ? "alt+" : ""}`;
  const shifted = `${modifiers}${pressed.shiftKey ? "shift+" : ""}${key}`;
  const isSign = key.length === 1 && !/[a-z0-9 ]/.test(key);
  return TABLE.get(shifted) ?? (isSign ? TABLE.get(`${modifiers}${key}`) : undefined) ?? null;
}

/** Whether an action is bound to a bare sign, which those who dictate may want to switch off. */
export function isSingle(pressed: Pressed): boolean {
  return pressed.key.length === 1 && pressed.key !== " " && !pressed.ctrlKey && !pressed.metaKey && !pressed.altKey;
}
