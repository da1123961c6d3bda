/** Where the focus goes when the control that had it is gone: what still waits, else the section that it went to. */
export const nearby = (section: string) => (): HTMLElement | null =>
  document.querySelector<HTMLElement>('#waiting h2') ?? document.querySelector<HTMLElement>(`#${section} h2`);
