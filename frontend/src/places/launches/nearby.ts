/** Where the focus goes when the control that had it is gone: the heading of the first of these sections that is still there. */
export const nearby =
  (...sections: string[]) =>
  (): HTMLElement | undefined =>
    sections.map((id) => document.querySelector<HTMLElement>(`#${id} h2`)).find((heading) => heading !== null) ?? undefined;
