/** Links to files that the server makes: it may take a while, and it may go wrong, and both are said. */

import type { Api } from "./api.ts";
import { h, notify, save, type Properties } from "./dom.ts";
import { bytes } from "./words.ts";

export function downloadLink(api: Api, path: string, properties: Properties, ...children: (Node | string)[]): HTMLElement {
  const link = h("a", { ...properties, href: path, download: true }, ...children);
  link.addEventListener("click", async (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (link.getAttribute("aria-busy") === "true") return;
    link.setAttribute("aria-busy", "true");
    const waits = setTimeout(() => notify("The file is being made …", "word", 0), 700);
    try {
      const { name, content } = await api.file(path);
      save(name, content);
      notify(`${name} is saved (${bytes(content.size)}).`);
    } catch (error) {
      notify(error instanceof Error ? error.message : String(error), "error");
    } finally {
      clearTimeout(waits);
      link.removeAttribute("aria-busy");
    }
  });
  return link;
}
